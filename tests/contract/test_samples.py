"""`SampleStore`: samples of refused events, few of each reason, and none of a deleted project."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from catchment.core.metering.hints import Advice, Hint
from catchment.core.metering.inbox import KEPT_FOR, KEPT_SAMPLES, Obstacle
from catchment.core.metering.scrub import Replay
from catchment.core.outcomes import Outcome
from catchment.core.project import KeyKind, SettingsChange
from catchment.core.refusals import Reason

from ..support.events import NOON, an_id
from ..support.samples import a_sample
from ..support.storage import Storage

pytestmark = pytest.mark.gen_test


async def ids(storage: Storage, **which: Any) -> list[str]:
    return [one.id for one in await storage.samples.samples(storage.project.id, now=NOON, **which)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "outcome": Outcome.FILTERED,
            "reason": "plugin:rules:é",
            "hint": Hint(advice=Advice.CORRECT_FIELDS, mistakes={"a.b": ("one", "two")}, wait=86_400),
            "payload": None,
            "taken": {},
            "replay": Replay.NO,
            "obstacle": Obstacle.UNREADABLE,
            "event_id": None,
            "key_kind": KeyKind.SERVER,
            "origin": None,
            "headers": {},
            "do_not_track": True,
            "clock_offset": timedelta(days=-700_000),
        },
        {"payload": {"n": [2**63 - 1, 1e300, -0.5, True, None, {"é": "\U0001f600 \\ \" % '"}], "…": "[cut]"}},
        {"payload": ["no", "object"]},
        {"payload": "a text"},
    ],
    ids=["refused", "filtered", "values", "list", "text"],
)
async def test_a_sample_is_returned_as_it_was_stored(storage: Storage, changes: dict[str, Any]) -> None:
    sample = a_sample(storage, "one", **changes)
    await storage.samples.add([sample])
    assert list(await storage.samples.samples(storage.project.id, now=NOON)) == [sample]
    assert await storage.samples.find("one", now=NOON) == sample
    assert await storage.samples.find("two", now=NOON) is None


async def test_the_fields_of_a_payload_stay_in_their_order(storage: Storage) -> None:
    names = ["event_name", "url", "eventId", "a", "bb", "z"]
    await storage.samples.add([a_sample(storage, "one", payload=dict.fromkeys(names, 1))])
    (sample,) = await storage.samples.samples(storage.project.id, now=NOON)
    assert list(sample.payload) == names


async def test_samples_come_newest_first_of_all_reasons_or_of_one(storage: Storage) -> None:
    later = NOON - timedelta(minutes=1)
    await storage.samples.add(
        [
            a_sample(storage, "old", received_at=NOON - timedelta(days=1)),
            a_sample(storage, "new"),
            a_sample(storage, "bot", received_at=later, reason=Reason.BOT),
        ]
    )
    assert await ids(storage) == ["new", "bot", "old"]
    assert await ids(storage, reason=Reason.BOT) == ["bot"]
    assert await ids(storage, reason="unknown") == []


async def test_twenty_of_a_project_and_reason_are_kept_the_newest(storage: Storage) -> None:
    other = await storage.add_project("blog")
    await storage.samples.add([a_sample(storage, "bot", reason=Reason.BOT)])
    await storage.samples.add([a_sample(storage, "blog", project_id=other.id)])
    made = [a_sample(storage, f"s{n:02}", received_at=NOON - timedelta(minutes=50 - n)) for n in range(50)]
    for start in range(0, 50, 7):
        await storage.samples.add(made[start : start + 7])
    assert await ids(storage, reason=Reason.ORIGIN_NOT_ALLOWED) == [one.id for one in reversed(made[-KEPT_SAMPLES:])]
    assert await ids(storage, reason=Reason.BOT) == ["bot"]
    assert [one.id for one in await storage.samples.samples(other.id, now=NOON)] == ["blog"]


async def test_a_sender_replaces_its_own_samples_first(storage: Storage) -> None:
    good = [a_sample(storage, f"good{n}", sender=n, received_at=NOON - timedelta(days=1)) for n in range(5)]
    await storage.samples.add(good)
    flood = [
        a_sample(storage, f"bad{n:02}", sender=99, received_at=NOON - timedelta(minutes=50 - n)) for n in range(50)
    ]
    for start in range(0, 50, 10):
        await storage.samples.add(flood[start : start + 10])
    left = await ids(storage)
    assert len(left) == KEPT_SAMPLES
    assert {one.id for one in good} <= set(left)
    assert left[0] == "bad49"


async def test_writers_at_the_same_time_keep_no_more(storage: Storage) -> None:
    made = [a_sample(storage, f"s{n:02}", received_at=NOON - timedelta(minutes=40 - n)) for n in range(40)]
    await asyncio.gather(*(storage.samples.add(made[start : start + 10]) for start in range(0, 40, 10)))
    assert await ids(storage) == [one.id for one in reversed(made[-KEPT_SAMPLES:])]


async def test_a_sample_that_is_written_again_stays_as_it_is(storage: Storage) -> None:
    await storage.samples.add([a_sample(storage, "one")])
    await storage.samples.mark_replayed("one", NOON)
    await storage.samples.add([a_sample(storage, "one"), a_sample(storage, "two")])
    assert sorted(await ids(storage)) == ["one", "two"]
    found = await storage.samples.find("one", now=NOON)
    assert found is not None
    assert found.replayed_at == NOON


async def test_a_sample_is_there_for_seven_days(storage: Storage) -> None:
    await storage.samples.add([a_sample(storage, "one")])
    before = NOON + KEPT_FOR - timedelta(microseconds=1)
    assert await storage.samples.find("one", now=before) is not None
    assert await storage.samples.find("one", now=NOON + KEPT_FOR) is None
    assert list(await storage.samples.samples(storage.project.id, now=NOON + KEPT_FOR)) == []


async def test_samples_of_a_project_that_does_not_exist_are_not_stored(storage: Storage) -> None:
    await storage.samples.add([a_sample(storage, "one", project_id=an_id(99)), a_sample(storage, "two")])
    assert await storage.samples.find("one", now=NOON) is None
    assert await ids(storage) == ["two"]


async def test_samples_end_with_their_project(storage: Storage) -> None:
    await storage.samples.add([a_sample(storage, "one")])
    await storage.administer.change_project("shop", changes=SettingsChange(enabled=False))
    await storage.administer.delete_project("shop")
    await storage.samples.add([a_sample(storage, "two")])
    assert await ids(storage) == []
    assert await storage.samples.find("one", now=NOON) is None
    assert await storage.samples.find("two", now=NOON) is None

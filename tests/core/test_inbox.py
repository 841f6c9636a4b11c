"""Sending events of the inbox again: on the same path, once, and without what was taken out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from catchment.adapters.memory.parts import CountingIds
from catchment.adapters.memory.samples import MemorySamples
from catchment.adapters.memory.store import MemoryRegistry
from catchment.core.collecting.collect import Collect
from catchment.core.errors import Unavailable
from catchment.core.metering.errors import NoSuchSample
from catchment.core.metering.inbox import Obstacle, Sample, make_sample_id, read_sample_id
from catchment.core.metering.quota import QuotaRule
from catchment.core.metering.replaying import Inbox, Replayed, missing
from catchment.core.outcomes import Filtered, Outcome, WarningCode
from catchment.core.project import KeyKind, Window
from catchment.core.refusals import Reason

from ..support.house import House, a_payload
from .test_sampling import sample_of, samples_of

pytestmark = pytest.mark.gen_test

ELSEWHERE = "https://www.example.com"


class Counted:
    """Opens the collecting use case, and counts how often."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.opened = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Collect]:
        self.opened += 1
        yield self.house.collect


def inbox_of(house: House) -> Inbox:
    return Inbox(MemoryRegistry(house.store), MemorySamples(house.store), Counted(house), house.clock)


async def replay(house: House, *samples: Sample) -> Sequence[Replayed]:
    return [one for _, one in await inbox_of(house).replay([sample.id for sample in samples])]


async def refused(house: House, **fields: Any) -> Sample:
    """Post an event from an origin that is not allowed, and return its sample."""
    fields.setdefault("url", f"{ELSEWHERE}/join")
    await house.post(a_payload(**fields), origin=ELSEWHERE)
    return await sample_of(house)


async def allow(house: House) -> None:
    await house.administer.change_project(house.project.id, add_origins=[ELSEWHERE])


async def test_an_event_is_refused_again_until_the_cause_is_mended_and_then_stored_once(house: House) -> None:
    sample = await refused(house, eventId="e", event_data={"plan": "pro"})
    (first,) = await replay(house, sample)
    assert (first.outcome, first.reason, first.is_stored) == (Outcome.REFUSED, Reason.ORIGIN_NOT_ALLOWED, False)
    await allow(house)
    (second,) = await replay(house, sample)
    (third,) = await replay(house, sample)
    assert [(one.outcome, one.event_id, one.is_stored) for one in (second, third)] == [
        (Outcome.STORED, "e", True),
        (Outcome.DUPLICATE, "e", True),
    ]
    (event,) = house.store.events
    assert (event.event_id, event.data, event.user_agent) == ("e", {"plan": "pro"}, "Mozilla/5.0")


async def test_an_event_without_an_id_keeps_the_one_that_it_was_given(house: House) -> None:
    sample = await refused(house)
    await allow(house)
    for _ in range(2):
        await replay(house, sample)
    (event,) = house.store.events
    assert event.event_id == sample.event_id


async def test_an_event_that_its_sender_stored_meanwhile_is_a_duplicate(house: House) -> None:
    sample = await refused(house, eventId="e")
    await allow(house)
    await house.post(a_payload(eventId="e"))
    (found,) = await replay(house, sample)
    assert found.outcome is Outcome.DUPLICATE


async def test_an_event_keeps_its_time_by_the_clock_here(house: House) -> None:
    now = house.clock.now()
    stamp, sent_at = now - timedelta(hours=3), now - timedelta(hours=2)
    await house.post(a_payload(timestamp=stamp.isoformat(), url=f"{ELSEWHERE}/"), sent_at=sent_at.isoformat())
    sample = await sample_of(house)
    await allow(house)
    house.clock.advance(timedelta(hours=5))
    await replay(house, sample)
    (event,) = house.store.events
    assert event.occurred_at == now - timedelta(hours=1)
    assert event.received_at == now + timedelta(hours=5)


async def test_an_event_without_a_time_happened_when_it_arrived_first(house: House) -> None:
    arrived = house.clock.now()
    sample = await refused(house)
    await allow(house)
    house.clock.advance(timedelta(days=1))
    await replay(house, sample)
    (event,) = house.store.events
    assert event.occurred_at == arrived


async def test_a_browser_s_event_that_is_too_old_gets_the_present_time_with_a_warning(house: House) -> None:
    sample = await refused(house)
    await allow(house)
    house.clock.advance(timedelta(days=4))
    (found,) = await replay(house, sample)
    assert [warning.code for warning in found.warnings] == [WarningCode.TIMESTAMP_REPLACED]
    (event,) = house.store.events
    assert event.occurred_at == house.clock.now()


async def test_an_old_event_of_a_back_end_keeps_its_time(house: House) -> None:
    await house.quotas.set(QuotaRule(window=Window.MONTH, hard=0), project="shop")
    long_ago = house.clock.now() - timedelta(days=300)
    await house.post(a_payload(timestamp=long_ago.isoformat()), key=house.server_key)
    sample = await sample_of(house)
    await house.quotas.set(QuotaRule(window=Window.MONTH, hard=10), project="shop")
    (found,) = await replay(house, sample)
    assert (found.outcome, found.warnings) == (Outcome.STORED, [])
    (event,) = house.store.events
    assert (event.occurred_at, event.key_kind) == (long_ago, KeyKind.SERVER)


async def test_what_was_taken_out_is_missing_in_the_event(house: House) -> None:
    sample = await refused(
        house,
        url=f"{ELSEWHERE}/join?mail=a@b.example",
        userId="person-77",
        page_title="Welcome, a@b.example",
        event_data={"mail": "a@b.example", "plan": "pro"},
    )
    assert missing(sample) == {
        "url": ("query",),
        "userId": ("user",),
        "page_title": ("email",),
        "event_data": ("email",),
    }
    await allow(house)
    await replay(house, sample)
    (event,) = house.store.events
    assert (event.url, event.user_id, event.data) == (f"{ELSEWHERE}/join", None, {"plan": "pro"})
    assert event.page_title == "Welcome, [email]"
    assert event.ip is None


async def test_a_replay_leaves_no_sample_of_its_own(house: House) -> None:
    sample = await refused(house)
    await replay(house, sample)
    assert [one.id for one in await samples_of(house)] == [sample.id]


async def test_what_was_stored_again_is_noted_and_what_was_refused_is_not(house: House) -> None:
    sample = await refused(house)
    await replay(house, sample)
    assert (await sample_of(house)).replayed_at is None
    await allow(house)
    await replay(house, sample)
    assert (await sample_of(house)).replayed_at == house.clock.now()


async def test_another_step_may_refuse_or_filter_the_event(house: House) -> None:
    sample = await refused(house)
    await allow(house)
    house.plugins.verdict = Filtered("plugin:rules:no")
    (found,) = await replay(house, sample)
    assert (found.outcome, found.reason, found.is_stored) == (Outcome.FILTERED, "plugin:rules:no", False)


async def test_an_event_with_an_obstacle_is_not_sent(house: House) -> None:
    await house.post(a_payload(event_name=""))
    sample = await sample_of(house)
    counted = Counted(house)
    inbox = Inbox(MemoryRegistry(house.store), MemorySamples(house.store), counted, house.clock)
    ((_, found),) = await inbox.replay([sample.id])
    assert (found.outcome, found.sample.obstacle, found.is_stored) == (None, Obstacle.WRONG, False)
    assert counted.opened == 0


async def test_nothing_is_sent_if_one_of_the_samples_does_not_exist(house: House) -> None:
    sample = await refused(house)
    await allow(house)
    with pytest.raises(NoSuchSample, match="no event missing0"):
        await inbox_of(house).replay([sample.id, "missing0"])
    assert house.store.events == []


async def test_an_event_that_is_named_twice_is_sent_once(house: House) -> None:
    sample = await refused(house)
    await allow(house)
    assert [one.outcome for one in await replay(house, sample, sample)] == [Outcome.STORED]


async def test_an_outage_is_a_refusal_and_the_event_can_be_sent_later(house: House) -> None:
    sample = await refused(house)
    await allow(house)
    house.store.failing = Unavailable("away")
    (found,) = await replay(house, sample)
    assert (found.outcome, found.reason) == (Outcome.REFUSED, Reason.UNAVAILABLE)
    house.store.failing = None
    (found,) = await replay(house, sample)
    assert found.outcome is Outcome.STORED


async def test_a_sample_ends_after_seven_days(house: House) -> None:
    sample = await refused(house)
    inbox = inbox_of(house)
    house.clock.advance(timedelta(days=7) - timedelta(seconds=1))
    assert (await inbox.show(sample.id))[1] == sample
    house.clock.advance(timedelta(seconds=1))
    with pytest.raises(NoSuchSample):
        await inbox.show(sample.id)
    assert (await inbox.list("shop"))[1] == []


def test_an_id_has_no_letter_that_looks_like_another_one() -> None:
    ids = CountingIds()
    for _ in range(200):
        made = make_sample_id(ids)
        assert len(made) == 8
        assert not set(made) & set("ilou")
        assert read_sample_id(f" {made.upper().replace('0', 'O').replace('1', 'I')} ") == made

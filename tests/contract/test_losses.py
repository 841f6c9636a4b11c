"""`LossLedger`: a report is counted once, by project, day and reason, and no key can fill it."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from catchment.core.collecting.losses import KNOWN_REASONS, Loss, LossReport, Recorded
from catchment.core.project import KeyKind, Project

from ..support.events import NOON
from ..support.storage import FEW, TIMEOUT, Storage

pytestmark = pytest.mark.gen_test


async def record(
    storage: Storage,
    report_id: str,
    at: datetime = NOON,
    project: Project | None = None,
    kind: KeyKind = KeyKind.BROWSER,
    **counts: int,
) -> Recorded:
    return await storage.losses.record(
        (project or storage.project).id,
        kind,
        LossReport(id=report_id, counts=counts or {"expired": 1}),
        at,
        deadline=storage.clock.monotonic() + TIMEOUT,
    )


async def counted(storage: Storage, project: Project | None = None) -> dict[str, int]:
    found: dict[str, int] = {}
    for loss in await storage.losses.losses(project=project.id if project else None):
        found[loss.reason] = found.get(loss.reason, 0) + loss.events
    return found


async def test_nothing_is_lost_at_first(storage: Storage) -> None:
    assert list(await storage.losses.losses()) == []


async def test_reports_are_added_up_by_reason(storage: Storage) -> None:
    assert await record(storage, "a", expired=2, queue_full=1_000_000) is Recorded.NOW
    assert await record(storage, "b", expired=3, my_word=1) is Recorded.NOW
    assert await counted(storage) == {"expired": 5, "queue_full": 1_000_000, "my_word": 1}


async def test_a_report_is_counted_once_whatever_it_says_later(storage: Storage) -> None:
    assert await record(storage, "a", expired=2) is Recorded.NOW
    assert await record(storage, "a", expired=2) is Recorded.BEFORE
    assert await record(storage, "a", NOON + timedelta(days=1), expired=7, queue_full=1) is Recorded.BEFORE
    assert await counted(storage) == {"expired": 2}


@pytest.mark.parametrize("other", ["A", "a ", "\uff41", "a" * 64, "ü'\"\\;--", "\U0001f600"])
async def test_ids_are_compared_to_the_letter(storage: Storage, other: str) -> None:
    assert await record(storage, "a") is Recorded.NOW
    assert await record(storage, other) is Recorded.NOW
    assert await record(storage, other) is Recorded.BEFORE


async def test_ids_belong_to_a_project_and_a_kind_of_key(storage: Storage) -> None:
    other = await storage.add_project("blog", "other")
    assert await record(storage, "a") is Recorded.NOW
    assert await record(storage, "a", kind=KeyKind.SERVER) is Recorded.NOW
    assert await record(storage, "a", project=other) is Recorded.NOW
    assert await counted(storage) == {"expired": 3}
    assert await counted(storage, other) == {"expired": 1}


async def test_losses_are_listed_by_account_project_day_newest_first_and_reason(storage: Storage) -> None:
    other = await storage.add_project("blog", "zoo")
    await record(storage, "b", project=other, expired=5)
    await record(storage, "a", expired=1, b_word=2)
    await record(storage, "c", NOON + timedelta(days=1), expired=4)
    acme = {"account": "acme", "project": "shop", "project_id": storage.project.id}
    today, tomorrow = NOON.date(), NOON.date() + timedelta(days=1)
    assert list(await storage.losses.losses()) == [
        Loss(**acme, day=tomorrow, reason="expired", events=4),
        Loss(**acme, day=today, reason="b_word", events=2),
        Loss(**acme, day=today, reason="expired", events=1),
        Loss(account="zoo", project="blog", project_id=other.id, day=today, reason="expired", events=5),
    ]


async def test_a_day_is_one_in_utc(storage: Storage) -> None:
    late = datetime.fromisoformat("2026-11-02T23:30:00-05:00")
    await record(storage, "a", late)
    assert [loss.day for loss in await storage.losses.losses()] == [date(2026, 11, 3)]


async def test_words_of_a_day_are_bounded_and_known_ones_always_count(storage: Storage) -> None:
    assert FEW.loss_words == 3
    await record(storage, "a", wb=1, wa=1, wc=1, wd=1, we=1)
    await record(storage, "b", wa=1, wf=1, **dict.fromkeys(KNOWN_REASONS, 1))
    assert await counted(storage) == {"wa": 2, "wb": 1, "wc": 1, "other": 3, **dict.fromkeys(KNOWN_REASONS, 1)}
    await record(storage, "c", NOON + timedelta(days=1), wf=1)
    assert (await counted(storage))["wf"] == 1


async def test_other_is_a_reason_as_the_known_ones_are(storage: Storage) -> None:
    await record(storage, "a", other=2, wa=1, wb=1, wc=1)
    assert await counted(storage) == {"other": 2, "wa": 1, "wb": 1, "wc": 1}


async def test_a_project_s_day_takes_so_many_reports_and_forgets_what_it_did_not_take(storage: Storage) -> None:
    other = await storage.add_project("blog", "other")
    done = [await record(storage, f"r-{n}") for n in range(FEW.loss_reports + 2)]
    assert done == [Recorded.NOW] * FEW.loss_reports + [Recorded.FULL] * 2
    assert await record(storage, "r-0") is Recorded.BEFORE
    assert await record(storage, "r-0", project=other) is Recorded.NOW
    assert await record(storage, f"r-{FEW.loss_reports}", NOON + timedelta(days=1)) is Recorded.NOW
    assert await counted(storage, storage.project) == {"expired": FEW.loss_reports + 1}


async def test_a_report_is_not_usage(storage: Storage) -> None:
    await record(storage, "a", expired=1000)
    assert await storage.counted() == 0

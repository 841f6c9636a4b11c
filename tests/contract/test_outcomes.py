"""`OutcomeLedger`: outcomes by project and hour; stored ones are the usage, others are added."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from catchment.core.collecting.losses import LossReport
from catchment.core.metering.outcomes import LOST, OutcomeTally, RefusedOrigin, Slot
from catchment.core.outcomes import Outcome
from catchment.core.project import KeyKind
from catchment.core.refusals import Reason

from ..support.events import NOON, an_id, events
from ..support.storage import TIMEOUT, Storage

pytestmark = pytest.mark.gen_test

HOUR = timedelta(hours=1)


async def found(storage: Storage, project: str | None = None) -> list[tuple[datetime, str, str | None, int]]:
    """Return the outcomes of the day, without their projects."""
    counts = await storage.outcomes.outcomes(project=project, since=NOON - 12 * HOUR, until=NOON + 12 * HOUR)
    assert all((one.account, one.project_id != "") == ("acme", True) for one in counts)
    return [(one.hour, one.outcome, one.reason, one.events) for one in counts]


async def test_stored_events_are_counted_by_the_hour_of_their_arrival(storage: Storage) -> None:
    await storage.store(*events(storage.project, 3, "a"))
    await storage.store(*events(storage.project, 2, "b", received_at=NOON + timedelta(minutes=59, seconds=59)))
    await storage.store(*events(storage.project, 1, "c", received_at=NOON + HOUR))
    assert await found(storage) == [(NOON, "stored", None, 5), (NOON + HOUR, "stored", None, 1)]


async def test_a_duplicate_is_no_stored_event(storage: Storage) -> None:
    for _ in range(2):
        await storage.store(*events(storage.project, 3))
    assert await found(storage) == [(NOON, "stored", None, 3)]


async def test_what_was_not_stored_is_added_up(storage: Storage) -> None:
    refused = Slot(storage.project.id, NOON, Outcome.REFUSED, Reason.ORIGIN_NOT_ALLOWED)
    duplicate = Slot(storage.project.id, NOON, Outcome.DUPLICATE, "")
    await storage.outcomes.add({refused: 2, duplicate: 1}, [])
    await storage.outcomes.add({refused: 3}, [])
    assert await found(storage) == [(NOON, "duplicate", None, 1), (NOON, "refused", "origin_not_allowed", 5)]


async def test_projects_are_apart(storage: Storage) -> None:
    blog = await storage.add_project("blog")
    await storage.outcomes.add({Slot(blog.id, NOON, Outcome.FILTERED, Reason.BOT): 1}, [])
    assert await found(storage, storage.project.id) == []
    assert await found(storage, blog.id) == [(NOON, "filtered", "bot", 1)]


async def test_a_time_ends_before_its_end(storage: Storage) -> None:
    await storage.outcomes.add({Slot(storage.project.id, NOON, Outcome.FILTERED, Reason.BOT): 1}, [])
    assert list(await storage.outcomes.outcomes(since=NOON - HOUR, until=NOON)) == []
    assert len(await storage.outcomes.outcomes(since=NOON, until=NOON + HOUR)) == 1


async def test_losses_of_senders_are_outcomes_too(storage: Storage) -> None:
    report = LossReport(id="r", counts={"expired": 4})
    for _ in range(2):  # a report is counted once
        await storage.losses.record(
            storage.project.id, KeyKind.BROWSER, report, NOON, deadline=storage.clock.monotonic() + TIMEOUT
        )
    assert await found(storage) == [(NOON, LOST, "expired", 4)]


async def test_the_last_refused_origin_is_kept(storage: Storage) -> None:
    def refused(origin: str, minute: int) -> RefusedOrigin:
        return RefusedOrigin(project_id=storage.project.id, origin=origin, refused_at=NOON + timedelta(minutes=minute))

    for one in (refused("https://a.example", 1), refused("https://c.example", 3), refused("https://b.example", 2)):
        await storage.outcomes.add({}, [one])
    assert list(await storage.outcomes.refused_origins()) == [refused("https://c.example", 3)]
    assert list(await storage.outcomes.refused_origins(project=an_id(99))) == []


async def test_a_tally_writes_what_it_added_up(storage: Storage) -> None:
    tally = OutcomeTally(storage.outcomes)
    for _ in range(3):
        tally.add(storage.project.id, Outcome.REFUSED, Reason.INVALID_EVENT, NOON.astimezone(UTC))
    tally.refused_origin(storage.project.id, "https://shop.example", NOON)
    await tally.flush()
    assert await found(storage) == [(NOON, "refused", "invalid_event", 3)]
    (origin,) = await storage.outcomes.refused_origins(project=storage.project.id)
    assert (origin.origin, origin.refused_at) == ("https://shop.example", NOON)

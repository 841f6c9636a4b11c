"""Faults 13 and 17: the same id again, at all times; and a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from catchment.adapters.memory.parts import ToldClock
from catchment.adapters.postgres.link import Link
from catchment.adapters.postgres.low_descriptors import LowDescriptors
from catchment.adapters.system.clock import SystemClock
from catchment.core.event import Event
from catchment.core.outcomes import StoreOutcome
from catchment.core.project import KeyKind

from ..support.database import Database
from ..support.storage import Notes, sink_on
from .load import event, new_id
from .rig import Rig

STORED, DUPLICATE = StoreOutcome.STORED, StoreOutcome.DUPLICATE


def test_the_same_id_in_one_batch_is_stored_once(rig: Rig) -> None:
    rig.serve()
    sent = event(new_id())
    answer = rig.post(*[sent] * 10)
    assert [receipt["outcome"] for receipt in answer.json["results"]] == ["stored", *["duplicate"] * 9]
    assert rig.stored(sent["eventId"]) == 1
    rig.judge()


def test_the_same_id_at_the_same_moment_on_two_servers_is_stored_once(rig: Rig) -> None:
    rig.serve(workers=2)
    rig.serve()
    for _ in range(10):
        sent = [event(new_id()) for _ in range(5)]
        requests = [[one] for one in sent] * 4 + [sent, sent[::-1]]
        answers = rig.post_at_once(requests)
        codes = {answer.code for answer in answers}
        assert codes <= {"stored", "duplicate", "batch"}, f"the same id again is answered {codes}"
    rig.judge()
    assert rig.book.codes["stored"] == 50
    assert rig.stored() == 50


def test_the_same_id_of_another_project_is_its_own_event(rig: Rig) -> None:
    rig.serve()
    sent = event(new_id())
    assert rig.post(sent).code == "stored"
    code = rig.post(sent, key=rig.other_site.browser_key).code
    assert code == "stored", f"another project's event is answered {code}"
    assert rig.post(sent).code == "duplicate"
    assert rig.post(sent, key=rig.other_site.browser_key).code == "duplicate"
    assert rig.stored(sent["eventId"]) == 2
    rig.judge()


class TravellingClock(ToldClock):
    """A wall clock that is told the time, and seconds that pass by themselves."""

    def monotonic(self) -> float:
        return SystemClock().monotonic()


@asynccontextmanager
async def sink_of(rig: Rig, clock: TravellingClock) -> AsyncIterator[Callable[..., object]]:
    """A function that stores events of these ids as they arrive by the clock, and returns their outcomes."""
    Database(rig.dsn).let_clocks_differ("1000 years")  # time is made up here
    descriptors = LowDescriptors(2)
    notes = Notes()
    links = [Link(rig.dsn, name=f"writer {n}", timeout=5, descriptors=descriptors) for n in range(2)]
    sink = sink_on(*links, notes=notes, clock=clock)
    sink.start()

    async def store(*ids: str) -> Sequence[StoreOutcome]:
        now = clock.now()
        made = [_arrived(rig.site.id, one, now) for one in ids]
        outcomes = (await sink.store(made, deadline=clock.monotonic() + 5)).outcomes
        rig.book.acknowledged.update(ids)
        return outcomes

    try:
        yield store
    finally:
        await sink.close()
        descriptors.close()
    assert not notes.deaths


def _arrived(project_id: str, event_id: str, at: datetime) -> Event:
    return Event.with_only(
        project_id=project_id,
        key_kind=KeyKind.BROWSER,
        event_id=event_id,
        name="Fault",
        session_id="session",
        occurred_at=at,
        received_at=at,
    )


NOON = datetime(2026, 10, 31, 12, tzinfo=UTC)


def test_the_same_id_the_next_day_and_the_next_month_is_stored_once(rig: Rig) -> None:
    async def run() -> None:
        clock = TravellingClock(NOON)
        async with sink_of(rig, clock) as store:
            sent = new_id()
            assert await store(sent) == [STORED]
            for days in (1, 1, 28):  # the next day is in the next month, and in another partition
                clock.advance(timedelta(days=days))
                assert await store(sent) == [DUPLICATE]
            assert rig.stored(sent) == 1

    asyncio.run(run())
    rig.judge()


def test_at_a_months_end_under_load_each_event_counts_where_it_arrived(rig: Rig) -> None:
    async def run() -> None:
        clock = TravellingClock(datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC))
        async with sink_of(rig, clock) as store:
            arrivals: list[asyncio.Task[Sequence[StoreOutcome]]] = []
            for number in range(200):
                if number == 100:
                    clock.advance(timedelta(seconds=1))
                arrivals.append(asyncio.create_task(store(*(new_id() for _ in range(5)))))
                await asyncio.sleep(0)
            assert all(list(outcomes) == [STORED] * 5 for outcomes in await asyncio.gather(*arrivals))

    asyncio.run(run())
    usage = dict(rig.execute("SELECT to_char(period, 'YYYY-MM'), events FROM catchment.usage"))
    assert usage == {"2026-10": 500, "2026-11": 500}
    rig.judge()


def test_a_clock_that_jumps_costs_no_event_and_doubles_none(rig: Rig) -> None:
    async def run() -> None:
        clock = TravellingClock(NOON)
        async with sink_of(rig, clock) as store:
            known = new_id()
            assert await store(known) == [STORED]
            for to in (NOON - timedelta(days=40), NOON + timedelta(days=20), NOON - timedelta(hours=1), NOON):
                clock.jump(to)
                assert await store(known, new_id()) == [DUPLICATE, STORED]

    asyncio.run(run())
    usage = dict(rig.execute("SELECT to_char(period, 'YYYY-MM'), events FROM catchment.usage"))
    assert usage == {"2026-09": 1, "2026-10": 3, "2026-11": 1}
    rig.judge()

"""The queue of the group commit: its bounds, its deadlines, its groups, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from catchment.adapters.memory.parts import ToldClock
from catchment.adapters.postgres.link import Link, LowDescriptors
from catchment.adapters.postgres.rows import rows_of
from catchment.adapters.postgres.sink import GroupCommit, GroupLimits
from catchment.core.errors import CommitUnknown, Unavailable
from catchment.core.event import Event
from catchment.core.outcomes import StoreOutcome
from catchment.core.project import Limit

from ..support.database import Database
from ..support.events import an_event, an_id, events, project_limit
from ..support.sessions import busy, locked
from ..support.storage import Notes, in_words, open_sink, postgres_storage
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test

PROJECT = an_id(1)
STORED, DUPLICATE, FULL = StoreOutcome.STORED, StoreOutcome.DUPLICATE, "quota_exceeded"


def asked(
    sink: GroupCommit, batch: Sequence[Event], limits: tuple[Limit, ...] = (), deadline: float = 5
) -> asyncio.Task[list[str]]:
    """A request that is under way."""

    async def store() -> list[str]:
        return in_words(await sink.store(batch, limits, deadline=deadline))

    return asyncio.create_task(store())


async def store_of(sink: GroupCommit, share: str | None, name: str) -> list[str]:
    """Stores ten events that came from an address."""
    return in_words(await sink.store(events(PROJECT, 10, name), (), deadline=60, share=share))


async def first_under_way(database: Database, sink: GroupCommit) -> asyncio.Task[list[str]]:
    """A request that the only writer is at, while the table is locked."""
    first = asked(sink, events(PROJECT, 1, "first"))
    await busy(database, "writer 0")
    return first


async def queued(sink: GroupCommit, count: int) -> None:
    await eventually(lambda: sink.queued[0] == count, f"{count} events wait")


def rows(database: Database) -> int:
    return int(database.one("SELECT count(*) FROM catchment.event"))


# bounds


async def test_one_address_fills_half_of_a_queue_and_leaves_the_rest_to_others(database: Database) -> None:
    async with open_sink(database, writers=1, limits=GroupLimits(queue_events=80)) as sink:
        with locked(database):
            tasks = [await first_under_way(database, sink)]
            for number in range(4):
                tasks.append(asyncio.create_task(store_of(sink, "flood", f"flood-{number}")))
                await queued(sink, 10 * (number + 1))
            with pytest.raises(Unavailable, match="share"):
                await store_of(sink, "flood", "more")
            for number, share in enumerate(("another", None, None, None), start=5):
                tasks.append(asyncio.create_task(store_of(sink, share, f"{share}-{number}")))
                await queued(sink, 10 * number)
        for task in tasks:
            assert set(await task) == {STORED}
        assert sink._queued_of == {}


async def test_a_queue_that_is_full_of_events_says_so_at_once(database: Database) -> None:
    async with open_sink(database, writers=1, limits=GroupLimits(queue_events=10)) as sink:
        with locked(database):
            first = await first_under_way(database, sink)
            waiting = asked(sink, events(PROJECT, 8, "waiting"))
            await queued(sink, 8)
            with pytest.raises(Unavailable, match="full") as raised:
                await sink.store(events(PROJECT, 3), (), deadline=5)
            assert raised.value.retry_after >= 1
            fits = asked(sink, events(PROJECT, 2, "fits"))
            await queued(sink, 10)
        for task, count in ((first, 1), (waiting, 8), (fits, 2)):
            assert await task == [STORED] * count
        assert sink.queued == (0, 0)
        assert rows(database) == 11


async def test_a_queue_that_is_full_of_bytes_says_so_at_once(database: Database) -> None:
    large = an_event(PROJECT, "large", data={"text": "x" * 2000})
    async with open_sink(database, writers=1, limits=GroupLimits(queue_bytes=3000)) as sink:
        with locked(database):
            await first_under_way(database, sink)
            waiting = asked(sink, [large])
            await queued(sink, 1)
            assert 2000 < sink.queued[1] < 3000
            with pytest.raises(Unavailable, match="full"):
                await sink.store([large], (), deadline=5)
        assert await waiting == [STORED]


async def test_who_gave_up_makes_room_again(database: Database) -> None:
    async with open_sink(database, writers=1) as sink:
        with locked(database):
            first = await first_under_way(database, sink)
            gone, stays = asked(sink, events(PROJECT, 2, "gone")), asked(sink, events(PROJECT, 1, "stays"))
            await queued(sink, 3)
            gone.cancel()
        assert await first == await stays == [STORED]
        assert sink.queued == (0, 0)
        assert rows(database) == 2


async def test_how_long_the_oldest_waits_is_known(database: Database) -> None:
    clock = ToldClock()
    async with open_sink(database, writers=1, clock=clock) as sink:
        assert sink.oldest == 0
        with locked(database):
            await first_under_way(database, sink)
            waiting = asked(sink, events(PROJECT, 1), deadline=100)
            await queued(sink, 1)
            clock.advance(timedelta(seconds=7))
            assert sink.oldest == 7
        await waiting
        assert sink.oldest == 0


# deadlines


async def test_what_could_not_be_written_in_time_was_not_stored(database: Database) -> None:
    clock = ToldClock()
    async with open_sink(database, writers=1, clock=clock) as sink:
        with locked(database):
            first = asked(sink, events(PROJECT, 1, "first"), deadline=100)
            await busy(database, "writer 0")
            waiting = asked(sink, events(PROJECT, 1, "waiting"), deadline=5)
            await queued(sink, 1)
            clock.advance(timedelta(seconds=5))
            with pytest.raises(Unavailable) as raised:
                await waiting
            assert type(raised.value) is Unavailable
        assert await first == [STORED]
        await eventually(lambda: sink.queued == (0, 0), "nothing waits")
        assert rows(database) == 1


async def test_what_was_written_when_the_deadline_passed_may_be_stored(database: Database) -> None:
    clock = ToldClock()
    batch = events(PROJECT, 2)
    async with open_sink(database, writers=1, clock=clock) as sink:
        with locked(database):
            written = asked(sink, batch, deadline=5)
            await busy(database, "writer 0")
            clock.advance(timedelta(seconds=5))
            with pytest.raises(CommitUnknown):
                await written
        await eventually(lambda: rows(database) == 2, "the commit went through all the same")
        assert await sink.store(batch, (), deadline=100) == [DUPLICATE] * 2
        assert database.one("SELECT sum(events) FROM catchment.usage_count") == 2


# groups


async def test_what_queued_up_is_one_commit(database: Database) -> None:
    notes = Notes()
    async with open_sink(database, writers=1, notes=notes) as sink:
        with locked(database):
            tasks = [await first_under_way(database, sink)]
            tasks += [asked(sink, events(PROJECT, 2, f"request-{n}")) for n in range(20)]
            await queued(sink, 40)
        for task in tasks:
            assert set(await task) == {STORED}
        assert notes.commits == [1, 40]


_REQUEST = len(rows_of(events(PROJECT, 3, "request-0")))
"""Bytes of a request of three events."""


@pytest.mark.parametrize(
    "limits", [GroupLimits(group_events=7), GroupLimits(group_bytes=5 * _REQUEST // 2)], ids=["by events", "by bytes"]
)
async def test_a_group_is_bounded_and_no_request_is_split(database: Database, limits: GroupLimits) -> None:
    notes = Notes()
    async with open_sink(database, writers=1, notes=notes, limits=limits) as sink:
        with locked(database):
            tasks = [await first_under_way(database, sink)]
            tasks += [asked(sink, events(PROJECT, 3, f"request-{n}")) for n in range(5)]
            tasks.append(asked(sink, events(PROJECT, 30, "large")))
            await queued(sink, 45)
        for task in tasks:
            assert set(await task) == {STORED}
        assert notes.commits == [1, 6, 6, 3, 30]


async def test_requests_of_a_group_are_served_in_order(database: Database) -> None:
    async with postgres_storage(database) as storage, open_sink(database, writers=1) as sink:
        limits = (project_limit(storage.project, 3),)
        with locked(database):
            await first_under_way(database, sink)
            tasks = [asked(sink, events(storage.project, 2, f"request-{n}"), limits) for n in range(3)]
            await queued(sink, 6)
        assert [await task for task in tasks] == [[STORED, STORED], [STORED, FULL], [FULL, FULL]]


async def test_a_retry_in_the_same_group_is_told_what_became_of_the_event(database: Database) -> None:
    """An event that found no room is not stored: nobody may be told that it is a duplicate of a stored one."""
    async with postgres_storage(database) as storage, open_sink(database, writers=1) as sink:
        limits = (project_limit(storage.project, 0),)
        event = an_event(storage.project, "one")
        with locked(database):
            await first_under_way(database, sink)
            tasks = [asked(sink, [event], limits) for _ in range(2)]
            await queued(sink, 2)
        assert [await task for task in tasks] == [[FULL], [FULL]]


async def test_the_same_event_in_two_requests_of_a_group_is_stored_once(database: Database) -> None:
    async with open_sink(database, writers=1) as sink:
        with locked(database):
            await first_under_way(database, sink)
            tasks = [asked(sink, events(PROJECT, 2)) for _ in range(3)]
            await queued(sink, 6)
        assert [await task for task in tasks] == [[STORED] * 2, [DUPLICATE] * 2, [DUPLICATE] * 2]


async def test_one_client_that_is_gone_takes_nobody_along(database: Database) -> None:
    async with open_sink(database, writers=1) as sink:
        with locked(database):
            gone = await first_under_way(database, sink)
            stays = asked(sink, events(PROJECT, 1, "stays"))
            await queued(sink, 1)
            gone.cancel()
        assert await stays == [STORED]
        assert rows(database) == 2
        assert await sink.store(events(PROJECT, 1, "first"), (), deadline=5) == [DUPLICATE]


# the end


async def test_closing_writes_what_waits_and_takes_no_more(database: Database) -> None:
    async with open_sink(database, writers=1) as sink:
        with locked(database):
            first = await first_under_way(database, sink)
            waiting = [asked(sink, events(PROJECT, 2, f"request-{n}")) for n in range(3)]
            await queued(sink, 6)
            closing = asyncio.create_task(sink.close())
            await asyncio.sleep(0)
            with pytest.raises(Unavailable, match="stopping"):
                await sink.store(events(PROJECT, 1, "late"), (), deadline=5)
            assert not closing.done()
        await closing
        assert await first == [STORED]
        assert [await task for task in waiting] == [[STORED] * 2] * 3
    assert rows(database) == 7


async def test_closing_a_sink_that_has_nothing_to_do_ends(database: Database) -> None:
    async with open_sink(database) as sink:
        await sink.close()
        await sink.close()


async def test_closing_a_sink_whose_clients_are_gone_ends(database: Database) -> None:
    async with open_sink(database, writers=1) as sink:
        with locked(database):
            first = await first_under_way(database, sink)
            tasks = [asked(sink, events(PROJECT, 2, f"request-{n}")) for n in range(3)]
            await queued(sink, 6)
            for task in (first, *tasks):
                task.cancel()
        await sink.close()
        assert sink.queued == (0, 0)


async def test_a_sink_without_a_database_says_so_and_ends() -> None:
    notes, descriptors = Notes(), LowDescriptors(0)
    link = Link("postgresql:///x?host=/nowhere", name="writer", timeout=5, descriptors=descriptors)
    sink = GroupCommit([link], clock=ToldClock(), limits=GroupLimits(), observer=notes, on_death=notes.deaths.append)
    sink.start()
    with pytest.raises(Unavailable) as raised:
        await sink.store(events(PROJECT, 1), (), deadline=5)
    assert type(raised.value) is Unavailable
    await eventually(lambda: sink.down, "it is known that nothing can be stored")
    with pytest.raises(Unavailable):
        await sink.store(events(PROJECT, 1), (), deadline=5)
    assert sink.queued == (0, 0)
    await sink.close()
    descriptors.close()
    assert notes.deaths == []


class BrokenNotes(Notes):
    """An observer with an error of its own."""

    def committed(self, events: int, seconds: float) -> None:
        raise ZeroDivisionError


async def test_a_writer_that_dies_is_told_of(database: Database) -> None:
    """A server that can't write must not go on: the composition root ends it."""
    notes = BrokenNotes()
    async with open_sink(database, writers=1, notes=notes) as sink:
        with pytest.raises(CommitUnknown):
            await sink.store(events(PROJECT, 1), (), deadline=5)
        await eventually(lambda: notes.deaths, "the death is told")
        assert [type(error) for error in notes.deaths] == [ZeroDivisionError]
        assert sink.down
        with pytest.raises(Unavailable):
            await sink.store(events(PROJECT, 1), (), deadline=5)
        notes.deaths.clear()


async def test_closing_after_a_writer_died_ends(database: Database) -> None:
    notes = BrokenNotes()
    async with open_sink(database, writers=1, notes=notes) as sink:
        with locked(database):
            tasks = [await first_under_way(database, sink), asked(sink, events(PROJECT, 1, "waiting"), deadline=1e9)]
            await queued(sink, 1)
        await eventually(lambda: notes.deaths, "the death is told")
        async with asyncio.timeout(5):
            await sink.close()
        for task in tasks:
            with pytest.raises(Unavailable):
                await task
        notes.deaths.clear()

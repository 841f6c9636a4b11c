"""Group commit on a store that is no database: its queue, its groups, its deadlines, its failures, and its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from catchment.adapters.memory.parts import ToldClock
from catchment.core.collecting import group_commit
from catchment.core.collecting.group_commit import GroupCommit
from catchment.core.collecting.ports import BatchWriter, Stored, WriteRequest
from catchment.core.collecting.store_queue import GroupLimits
from catchment.core.errors import BadEvents, CommitUnknown, Unavailable
from catchment.core.event import Event
from catchment.core.metering.ladder import QuotaUse
from catchment.core.metering.quota import OverQuota
from catchment.core.outcomes import StoreOutcome

from ..support.events import an_event, an_id, events
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test

PROJECT = an_id(1)
STORED, DUPLICATE, INVALID = StoreOutcome.STORED, StoreOutcome.DUPLICATE, StoreOutcome.INVALID_EVENT

BAD, HIDDEN, NOT_ENCODABLE = "bad", "hidden", "not encodable"
"""Names of events that the store can't hold: it finds the first when asked, never the second, and can't even encode
the third."""


@dataclass(slots=True)
class Shelf:
    """A store that keeps ids in memory, and fails as it is told."""

    stored: dict[str, Event] = field(default_factory=dict)
    traces: list[str] = field(default_factory=list)
    """The ids of events in quarantine."""
    commits: list[int] = field(default_factory=list)
    """Events of each transaction, as the writers counted them."""
    quarantined_events: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, a transaction waits."""
    entered: int = 0
    """How many transactions have begun."""
    away: Unavailable | None = None
    """What connecting raises."""
    before: Exception | None = None
    """What a transaction raises before it stores anything."""
    after: Exception | None = None
    """What a transaction raises after it stored all."""
    lose_sessions: bool = False
    """What the next check of a session finds."""
    deaths: list[BaseException] = field(default_factory=list)
    uses: tuple[QuotaUse, ...] = ()
    """The quotas that count every event."""

    def committed(self, events: int, seconds: float) -> None:
        self.commits.append(events)

    def quarantined(self, events: int) -> None:
        self.quarantined_events += events

    @contextlib.contextmanager
    def shut(self) -> Iterator[None]:
        """Nothing is written inside."""
        self.open.clear()
        yield
        self.open.set()


class ShelfWriter:
    """`BatchWriter` on a shelf."""

    def __init__(self, shelf: Shelf, name: str) -> None:
        self._shelf = shelf
        self.name = name
        self.connected = False

    async def connect(self) -> None:
        if self._shelf.away is not None:
            raise self._shelf.away
        self.connected = True

    async def check(self) -> None:
        self.connected = not self._shelf.lose_sessions

    def encode(self, events: Sequence[Event]) -> bytes:
        if any(event.name == NOT_ENCODABLE for event in events):
            raise BadEvents
        return b"".join(event.event_id.encode() for event in events)

    async def write(self, requests: Sequence[WriteRequest], *, deadline: float) -> Sequence[Stored]:
        shelf = self._shelf
        shelf.entered += 1
        await shelf.open.wait()
        if shelf.before is not None:
            raise shelf.before
        if any(event.name in (BAD, HIDDEN) for request in requests for event in request.events):
            raise BadEvents("there is a bad one")
        answers: list[Stored] = []
        for request in requests:
            assert request.encoded == self.encode(request.events)
            answers.append(Stored([self._store(event) for event in request.events], self._shelf.uses))
        if shelf.after is not None:
            raise shelf.after
        return answers

    def _store(self, event: Event) -> StoreOutcome:
        known = event.event_id in self._shelf.stored
        self._shelf.stored.setdefault(event.event_id, event)
        return DUPLICATE if known else STORED

    async def quarantine(self, events: Sequence[Event]) -> set[int]:
        found = {n for n, event in enumerate(events) if event.name in (BAD, NOT_ENCODABLE)}
        self._shelf.traces += [events[n].event_id for n in sorted(found)]
        return found

    def close(self) -> None:
        self.connected = False


@contextlib.asynccontextmanager
async def open_sink(
    shelf: Shelf, *, clock: ToldClock | None = None, limits: GroupLimits | None = None, writers: int = 1
) -> AsyncIterator[GroupCommit]:
    """A sink whose writers run. They must not die."""
    shelf.open.set()
    made: list[BatchWriter] = [ShelfWriter(shelf, str(n)) for n in range(writers)]
    sink = GroupCommit(
        made,
        clock=clock or ToldClock(),
        limits=limits or GroupLimits(),
        observer=shelf,
        on_death=shelf.deaths.append,
    )
    sink.start()
    try:
        yield sink
    finally:
        async with asyncio.timeout(10):
            await sink.close()
    assert not any(writer.connected for writer in made)
    assert shelf.deaths == []


def asked(
    sink: GroupCommit, batch: Sequence[Event], deadline: float = 5, share: str | None = None
) -> asyncio.Task[Sequence[StoreOutcome | OverQuota]]:
    """A request that is under way."""

    async def store() -> Sequence[StoreOutcome | OverQuota]:
        return (await sink.store(batch, deadline=deadline, share=share)).outcomes

    return asyncio.create_task(store())


async def first_under_way(shelf: Shelf, sink: GroupCommit, deadline: float = 5) -> asyncio.Task[object]:
    """A request that the only writer is at, while the shelf is shut."""
    entered = shelf.entered
    first = asked(sink, events(PROJECT, 1, "first"), deadline)
    await eventually(lambda: shelf.entered > entered, "the writer is at it")
    return first


async def queued(sink: GroupCommit, count: int) -> None:
    await eventually(lambda: sink.queued[0] == count, f"{count} events wait")


async def refused(sink: GroupCommit, batch: Sequence[Event], share: str | None = None) -> Unavailable:
    with pytest.raises(Unavailable) as raised:
        await sink.store(batch, deadline=5, share=share)
    return raised.value


def named(name: str, event_id: str) -> Event:
    return an_event(PROJECT, event_id, name=name)


# bounds


async def test_one_address_fills_half_of_a_queue_and_leaves_the_rest_to_others() -> None:
    shelf = Shelf()
    async with open_sink(shelf, limits=GroupLimits(queue_events=80)) as sink:
        with shelf.shut():
            tasks = [await first_under_way(shelf, sink)]
            for number in range(4):
                tasks.append(asked(sink, events(PROJECT, 10, f"flood-{number}"), share="flood"))
                await queued(sink, 10 * (number + 1))
            assert "share" in str(await refused(sink, events(PROJECT, 10, "more"), share="flood"))
            for number, share in enumerate(("another", None, None, None), start=5):
                tasks.append(asked(sink, events(PROJECT, 10, f"{share}-{number}"), share=share))
                await queued(sink, 10 * number)
        for task in tasks:
            assert set(await task) == {STORED}  # type: ignore[call-overload]
        with shelf.shut():  # the flood's share is free again
            await first_under_way(shelf, sink)
            again = [asked(sink, events(PROJECT, 10, f"again-{number}"), share="flood") for number in range(4)]
            await queued(sink, 40)
        assert [set(await task) for task in again] == [{STORED}] * 4


async def test_a_queue_that_is_full_of_events_says_so_at_once() -> None:
    shelf = Shelf()
    async with open_sink(shelf, limits=GroupLimits(queue_events=10)) as sink:
        with shelf.shut():
            await first_under_way(shelf, sink)
            waiting = asked(sink, events(PROJECT, 8, "waiting"))
            await queued(sink, 8)
            error = await refused(sink, events(PROJECT, 3))
            assert "full" in str(error)
            assert error.retry_after >= 1
            fits = asked(sink, events(PROJECT, 2, "fits"))
            await queued(sink, 10)
        assert (await waiting, await fits) == ([STORED] * 8, [STORED] * 2)
        assert sink.queued == (0, 0)


async def test_a_queue_that_is_full_of_bytes_says_so_at_once() -> None:
    shelf = Shelf()
    async with open_sink(shelf, limits=GroupLimits(queue_bytes=3000)) as sink:
        with shelf.shut():
            await first_under_way(shelf, sink)
            waiting = asked(sink, [an_event(PROJECT, "x" * 2000)])
            await queued(sink, 1)
            assert sink.queued == (1, 2000)
            assert "full" in str(await refused(sink, [an_event(PROJECT, "y" * 1001)]))
        assert await waiting == [STORED]


async def test_a_client_that_is_gone_makes_room_and_takes_nobody_along() -> None:
    shelf = Shelf()
    async with open_sink(shelf) as sink:
        with shelf.shut():
            written = await first_under_way(shelf, sink)
            gone, stays = asked(sink, events(PROJECT, 2, "gone")), asked(sink, events(PROJECT, 1, "stays"))
            await queued(sink, 3)
            gone.cancel()
            written.cancel()
        assert await stays == [STORED]
        assert sink.queued == (0, 0)
        assert shelf.commits == [1, 1]
        assert await asked(sink, events(PROJECT, 1, "first")) == [DUPLICATE]


async def test_how_long_the_oldest_waits_is_known() -> None:
    clock, shelf = ToldClock(), Shelf()
    async with open_sink(shelf, clock=clock) as sink:
        assert sink.oldest == 0
        with shelf.shut():
            await first_under_way(shelf, sink, deadline=100)
            waiting = asked(sink, events(PROJECT, 1), deadline=100)
            await queued(sink, 1)
            clock.advance(timedelta(seconds=7))
            assert sink.oldest == 7
        await waiting
        assert sink.oldest == 0


# deadlines


async def test_a_deadline_in_the_queue_means_not_stored_and_one_during_the_commit_unknown() -> None:
    clock, shelf = ToldClock(), Shelf()
    async with open_sink(shelf, clock=clock) as sink:
        with shelf.shut():
            written = await first_under_way(shelf, sink)
            waiting = asked(sink, events(PROJECT, 1, "waiting"))
            await queued(sink, 1)
            clock.advance(timedelta(seconds=5))
            for task, kind in ((waiting, Unavailable), (written, CommitUnknown)):
                with pytest.raises(Unavailable) as raised:
                    await task
                assert type(raised.value) is kind
        await eventually(lambda: shelf.stored, "the commit went through all the same")
        await queued(sink, 0)
        assert shelf.commits == [1]


# groups


async def test_requests_that_queued_up_are_one_commit_in_their_order() -> None:
    shelf = Shelf()
    async with open_sink(shelf) as sink:
        with shelf.shut():
            tasks = [await first_under_way(shelf, sink)]
            tasks += [asked(sink, events(PROJECT, 2, f"request-{n // 2}")) for n in range(20)]
            await queued(sink, 40)
        assert [await task for task in tasks] == [[STORED], *[[STORED] * 2, [DUPLICATE] * 2] * 10]
        assert shelf.commits == [1, 40]


_REQUEST = len("".join(event.event_id for event in events(PROJECT, 3, "request-0")))
"""Bytes of a request of three events."""


@pytest.mark.parametrize(
    "limits", [GroupLimits(group_events=7), GroupLimits(group_bytes=5 * _REQUEST // 2)], ids=["by events", "by bytes"]
)
async def test_a_group_is_bounded_and_no_request_is_split(limits: GroupLimits) -> None:
    shelf = Shelf()
    async with open_sink(shelf, limits=limits) as sink:
        with shelf.shut():
            tasks = [await first_under_way(shelf, sink)]
            tasks += [asked(sink, events(PROJECT, 3, f"request-{n}")) for n in range(5)]
            tasks.append(asked(sink, events(PROJECT, 30, "large")))
            await queued(sink, 45)
        for task in tasks:
            assert set(await task) == {STORED}  # type: ignore[call-overload]
        assert shelf.commits == [1, 6, 6, 3, 30]


# what the store may answer


@pytest.mark.parametrize(
    ("moment", "error"),
    [("before", Unavailable("not now", retry_after=7)), ("after", CommitUnknown("no answer", retry_after=7))],
    ids=["nothing stored", "not known"],
)
async def test_a_commit_that_fails_is_told_to_each_request_of_the_group(moment: str, error: Unavailable) -> None:
    shelf = Shelf()
    async with open_sink(shelf) as sink:
        with shelf.shut():
            tasks = [await first_under_way(shelf, sink)]
            tasks += [asked(sink, events(PROJECT, 1, f"request-{n}")) for n in range(2)]
            await queued(sink, 2)
            setattr(shelf, moment, error)
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        assert [(type(each), str(each)) for each in errors] == [(type(error), str(error))] * 3
        assert {each.retry_after for each in errors if isinstance(each, Unavailable)} == {7}
        assert len({id(each) for each in (*errors, error)}) == 4  # each has a traceback of its own
        setattr(shelf, moment, None)
        again = STORED if moment == "before" else DUPLICATE
        assert await asked(sink, events(PROJECT, 1, "request-0")) == [again]
        assert sink.alert is None


async def test_a_failure_that_does_not_heal_by_itself_is_an_alert_until_the_next_commit() -> None:
    shelf = Shelf(before=Unavailable("the table is gone", needs_operator=True))
    async with open_sink(shelf) as sink:
        assert type(await refused(sink, events(PROJECT, 1))) is Unavailable
        assert sink.alert == "the table is gone"
        assert sink.down is None  # it is connected, and tries
        shelf.before = None
        await sink.store(events(PROJECT, 1), deadline=5)
        assert sink.alert is None


@pytest.mark.parametrize("fault", [BAD, NOT_ENCODABLE])
async def test_a_bad_event_hurts_no_other_event_and_no_other_request(fault: str) -> None:
    shelf = Shelf()
    async with open_sink(shelf) as sink:
        with shelf.shut():
            await first_under_way(shelf, sink)
            batches = [events(PROJECT, 2, f"request-{n}") for n in range(3)]
            batches[1].insert(1, named(fault, "bad"))
            tasks = [asked(sink, batch) for batch in (*batches, [named(fault, "alone")])]
            await queued(sink, 8)
        answers = [await task for task in tasks]
    assert answers == [[STORED, STORED], [STORED, INVALID, STORED], [STORED, STORED], [INVALID]]
    assert shelf.traces == ["bad", "alone"]
    assert shelf.quarantined_events == 2
    assert shelf.commits == [1, 2, 2, 2]


async def test_a_bad_event_that_is_not_found_fails_its_request_alone() -> None:
    shelf = Shelf()
    async with open_sink(shelf) as sink:
        with shelf.shut():
            await first_under_way(shelf, sink)
            bad, good = asked(sink, [named(HIDDEN, "hidden"), an_event(PROJECT, "a")]), asked(sink, events(PROJECT, 1))
            await queued(sink, 3)
        assert await good == [STORED]
        with pytest.raises(Unavailable) as raised:
            await bad
        assert type(raised.value) is Unavailable
        assert "a" not in shelf.stored


# sessions


async def test_without_a_session_every_request_is_refused_at_once_until_there_is_one() -> None:
    shelf = Shelf(away=Unavailable("nobody answers", retry_after=3))
    async with open_sink(shelf, writers=2) as sink:
        queued_before = await refused(sink, events(PROJECT, 1))  # it waited when the writer failed to connect
        await eventually(lambda: sink.down, "it is known that nothing can be stored")
        error = await refused(sink, events(PROJECT, 1))
        assert (sink.down, str(error), error.retry_after, str(queued_before)) == (
            "nobody answers",
            "nobody answers",
            3,
            "nobody answers",
        )
        assert (sink.queued, sink.alert) == ((0, 0), None)
        shelf.away = None
        await eventually(lambda: sink.down is None, "there is a session")
        assert await asked(sink, events(PROJECT, 1)) == [STORED]


@pytest.mark.parametrize("needs_operator", [True, False], ids=["at once", "after a minute"])
async def test_a_store_that_is_gone_is_an_alert(monkeypatch: pytest.MonkeyPatch, needs_operator: bool) -> None:
    if not needs_operator:
        monkeypatch.setattr(group_commit, "_ALERT_SECONDS", -1)  # the minute is over
    shelf = Shelf(away=Unavailable("no such user", needs_operator=needs_operator))
    async with open_sink(shelf) as sink:
        await eventually(lambda: sink.alert == "no such user", "an operator is called")
        shelf.away = None
        await eventually(lambda: sink.down is None, "there is a session")
        assert sink.alert is None


async def test_an_idle_writer_finds_out_that_its_session_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GroupCommit, "HEARTBEAT_SECONDS", 0.01)
    shelf = Shelf()
    async with open_sink(shelf) as sink:
        await sink.store(events(PROJECT, 1), deadline=5)
        shelf.lose_sessions, shelf.away = True, Unavailable("gone")
        await eventually(lambda: sink.down == "gone", "it is noticed")
        shelf.lose_sessions, shelf.away = False, None
        await eventually(lambda: sink.down is None, "there is a session")


# the end


async def test_closing_writes_what_waits_and_takes_no_more() -> None:
    shelf = Shelf()
    async with open_sink(shelf) as sink:
        with shelf.shut():
            first = await first_under_way(shelf, sink)
            waiting = [asked(sink, events(PROJECT, 2, f"request-{n}")) for n in range(3)]
            await queued(sink, 6)
            closing = asyncio.create_task(sink.close())
            await asyncio.sleep(0)
            assert "stopping" in str(await refused(sink, events(PROJECT, 1, "late")))
            assert not closing.done()
        await closing
        assert await first == [STORED]
        assert [await task for task in waiting] == [[STORED] * 2] * 3
        await sink.close()  # again: there is nothing to do


async def test_closing_a_sink_whose_clients_are_gone_ends() -> None:
    shelf = Shelf()
    async with open_sink(shelf) as sink:
        with shelf.shut():
            first = await first_under_way(shelf, sink)
            tasks = [asked(sink, events(PROJECT, 2, f"request-{n}")) for n in range(3)]
            await queued(sink, 6)
            for task in (first, *tasks):
                task.cancel()
        await sink.close()
        assert sink.queued == (0, 0)


async def test_a_writer_that_dies_is_told_of_and_leaves_no_request_without_an_answer() -> None:
    """A server that can't write must not go on: the composition root ends it."""
    shelf = Shelf(before=ZeroDivisionError())
    async with open_sink(shelf) as sink:
        with shelf.shut():
            written = await first_under_way(shelf, sink)
            waiting = asked(sink, events(PROJECT, 1, "waiting"), deadline=1e9)
            await queued(sink, 1)
        await eventually(lambda: shelf.deaths, "the death is told")
        for task, kind in ((written, CommitUnknown), (waiting, Unavailable)):
            with pytest.raises(Unavailable) as raised:
                await task
            assert type(raised.value) is kind
        assert sink.down
        await refused(sink, events(PROJECT, 1))
        async with asyncio.timeout(5):
            await sink.close()
        assert [type(error) for error in shelf.deaths] == [ZeroDivisionError]
        shelf.deaths.clear()

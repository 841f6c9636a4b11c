"""Group commit: write the events of many requests in one transaction, and answer them after it.

There is no timer. A writer takes what queued up during the last commit, so that a lone event is written at once and a
crowd shares one commit. A request that finds the queue full is refused at once. While no writer is connected, every
request is refused at once, and the writers keep trying to connect.

The store stands behind the port `BatchWriter`: one object for each session with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from ..errors import BadEvents, CommitUnknown, Unavailable
from ..event import Event
from ..outcomes import StoreOutcome
from ..ports import Clock
from ..tasks import end
from .ports import BatchWriter, Stored, WriteRequest
from .store_queue import GroupLimits, StoreQueue, Waiting

log = logging.getLogger(__name__)

_SWEEP_SECONDS = 0.1
_RECONNECT_SECONDS = (0.05, 1.0)
"""The first pause between two attempts to connect, and the longest."""
_ALERT_SECONDS = 60.0
"""Without a connection for so long, an operator is alerted."""


class CommitObserver(Protocol):
    """Is told what group commit does: metrics."""

    def committed(self, events: int, seconds: float) -> None: ...
    def quarantined(self, events: int) -> None: ...


class GroupCommit:
    """`catchment.core.collecting.ports.EventSink` on any store that has a `BatchWriter`.

    `writers`: each of them writes one group at a time. `on_death` is called if a writer ends by an error of its own:
    a server that can't write must not go on.
    """

    HEARTBEAT_SECONDS = 5.0
    """Seconds between two checks of a writer's session."""

    def __init__(
        self,
        writers: Sequence[BatchWriter],
        *,
        clock: Clock,
        limits: GroupLimits,
        observer: CommitObserver,
        on_death: Callable[[BaseException], None],
    ) -> None:
        self._writers = writers
        self._encode = writers[0].encode
        self._clock = clock
        self._observer = observer
        self._on_death = on_death
        self._queue = StoreQueue(limits)
        self._writing: set[Waiting] = set()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False
        self._down: Unavailable | None = None
        self.alert: str | None = None
        """The failure that an operator has to look at: the last one that does not heal by itself, or no connection
        for a minute. None after the next commit, or when a writer is connected again."""

    def start(self) -> None:
        """Start the writers."""
        for writer in self._writers:
            self._spawn(self._run(writer), f"writer {writer.name}")
        self._spawn(self._sweep(), "sweeper")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("the %s died", task.get_name(), exc_info=error)
            self._closing = True
            self._down = Unavailable("the writer died")
            self._fail_queue(self._down)
            self._idle.set()
            self._on_death(error)

    @property
    def down(self) -> str | None:
        """The reason if nothing can be stored at present; else None."""
        return None if self._down is None else str(self._down)

    @property
    def queued(self) -> tuple[int, int]:
        """Events and bytes in the queue."""
        return self._queue.events, self._queue.bytes

    @property
    def oldest(self) -> float:
        """Seconds for which the oldest request in the queue has waited."""
        return next((self._clock.monotonic() - waiting.since for waiting in self._queue), 0.0)

    async def store(self, batch: Sequence[Event], *, deadline: float, share: str | None = None) -> Stored:
        if self._down is not None:
            raise Unavailable(str(self._down), retry_after=self._down.retry_after)
        if self._closing:
            raise Unavailable("the server is stopping")
        if not batch:
            return Stored(())
        encodable = True
        try:
            encoded = self._encode(batch)
        except BadEvents:
            encoded, encodable = b"", False
        answer: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        waiting = Waiting(batch, encoded, deadline, self._clock.monotonic(), answer, share, encodable)
        self._queue.put(waiting)
        self._idle.clear()
        self._work.set()
        return await answer

    async def close(self) -> None:
        """Write what is in the queue, then end. No request is taken from now on."""
        self._closing = True
        if self._tasks:
            await self._idle.wait()
        await end(*self._tasks)
        for writer in self._writers:
            writer.close()

    # the writers

    async def _run(self, writer: BatchWriter) -> None:
        loop = asyncio.get_running_loop()
        check_at = loop.time() + self.HEARTBEAT_SECONDS
        while True:
            await self._connect(writer)
            if loop.time() >= check_at:  # a writer that is always busy is checked too
                await writer.check()
                check_at = loop.time() + self.HEARTBEAT_SECONDS
                continue
            try:
                async with asyncio.timeout_at(check_at):
                    await self._work.wait()
            except TimeoutError:
                continue
            group = self._take()
            if not group:
                continue
            self._writing.update(group)
            try:
                await self._write_group(writer, group)
            finally:
                for waiting in group:
                    waiting.fail(CommitUnknown("the writer ended"))
                self._writing.difference_update(group)
                if not self._queue and not self._writing:
                    self._idle.set()

    async def _connect(self, writer: BatchWriter) -> None:
        """Connect a writer, unless it is connected. While no writer is, fail what waits."""
        pause, longest = _RECONNECT_SECONDS
        since = asyncio.get_running_loop().time()
        while not writer.connected:
            try:
                await writer.connect()
            except Unavailable as error:
                if not any(other.connected for other in self._writers):
                    if self.down != str(error):
                        log.error("not connected to the event store: %s", error)
                    self._down = error
                    self._fail_queue(error)
                    if error.needs_operator or asyncio.get_running_loop().time() - since > _ALERT_SECONDS:
                        self._alarm(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, longest)
        if self._down is not None:
            log.info("connected to the event store again")
            self._down = self.alert = None

    def _take(self) -> list[Waiting]:
        """Take the next group out of the queue."""
        group = self._queue.pop_group()
        if not self._queue:
            self._work.clear()
            if not group and not self._writing:
                self._idle.set()
        return group

    async def _write_group(self, writer: BatchWriter, group: list[Waiting]) -> None:
        """Write a group and answer each of its requests."""
        try:
            if not all(waiting.encodable for waiting in group):
                raise BadEvents("an event can't be encoded")
            answers = await self._commit(writer, group, max(waiting.deadline for waiting in group))
        except BadEvents:
            if len(group) > 1:  # so that bad events hurt their own request alone
                for waiting in group:
                    await self._write_group(writer, [waiting])
            else:
                await self._write_good_events(writer, group[0])
        except Unavailable as error:
            self._failed(group, error)
        else:
            for waiting, answer in zip(group, answers, strict=True):
                waiting.succeed(answer)

    async def _commit(self, writer: BatchWriter, requests: Sequence[WriteRequest], deadline: float) -> Sequence[Stored]:
        """Write requests in one transaction. Raises as `BatchWriter.write` does."""
        started = self._clock.monotonic()
        answers = await writer.write(requests, deadline=deadline)
        events = sum(len(request.events) for request in requests)
        self._observer.committed(events, self._clock.monotonic() - started)
        self.alert = None
        return answers

    async def _write_good_events(self, writer: BatchWriter, waiting: Waiting) -> None:
        """Quarantine the events of a request that the store can't hold, and store the others."""
        stored = Stored(())
        try:
            bad = await writer.quarantine(waiting.events)
            self._observer.quarantined(len(bad))
            log.error("quarantined %d events that the event store can't hold", len(bad))
            good = [event for n, event in enumerate(waiting.events) if n not in bad]
            if good:
                request = WriteRequest(good, writer.encode(good))
                (stored,) = await self._commit(writer, [request], waiting.deadline)
        except BadEvents as error:  # some were not found
            self._failed([waiting], Unavailable(str(error)))
            return
        except Unavailable as error:
            self._failed([waiting], error)
            return
        outcomes = iter(stored.outcomes)
        events = range(len(waiting.events))
        of_all = [StoreOutcome.INVALID_EVENT if n in bad else next(outcomes) for n in events]
        waiting.succeed(Stored(of_all, stored.uses))

    def _failed(self, group: list[Waiting], error: Unavailable) -> None:
        if error.needs_operator:
            self._alarm(error)
        else:
            log.warning("a commit failed: %s", error)
        for waiting in group:
            waiting.fail(error)

    def _alarm(self, error: Unavailable) -> None:
        if self.alert != str(error):
            log.critical("events can't be stored until an operator helps: %s", error)
        self.alert = str(error)

    # deadlines

    def _fail_queue(self, error: Unavailable) -> None:
        while self._queue:
            self._queue.pop().fail(error)
        self._work.clear()
        if not self._writing:
            self._idle.set()

    async def _sweep(self) -> None:
        """Answer requests whose deadline passes. What is being written may yet be stored."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = self._clock.monotonic() + _SWEEP_SECONDS
            for waiting in self._queue:
                if waiting.deadline <= now:
                    waiting.fail(Unavailable("the deadline passed in the queue"))
            for waiting in self._writing:
                if waiting.deadline <= now:
                    waiting.fail(CommitUnknown("the deadline passed during the commit"))

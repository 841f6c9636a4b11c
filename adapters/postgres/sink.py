"""Group commit: the events of many requests in one transaction, answered after it.

There is no timer. A writer takes what queued up while the last commit ran, so that a lone event is written at once
and a crowd shares one commit. The queue is bounded in events and in bytes; a request that finds it full is told so at
once. While no session with the database can be made, every request is told so at once, and one writer keeps trying.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from catchment.core.errors import CommitUnknown, Unavailable
from catchment.core.event import Event
from catchment.core.outcomes import OverQuota, StoreOutcome
from catchment.core.ports import Clock
from catchment.core.project import Limit

from .culprits import find_culprits, quarantine
from .errors import TOO_MANY_SESSIONS, DatabaseError, Failure, NotConnected, as_outcome
from .link import Link, end
from .rows import NotJson, batch_of, limit_met, limit_rows, rows_of

log = logging.getLogger(__name__)

_SWEEP_SECONDS = 0.1
_SHARE = 1 / 8
_FOR_ONE = 1 / 2
_NOTHING = 1e-9
_RECONNECT_SECONDS = (0.05, 1.0)
_ALERT_SECONDS = 60.0
_RETRIED_AT_ONCE = frozenset({"40001", "40P01", "55P03"})
_OUTCOMES: dict[str, StoreOutcome | OverQuota] = {str(outcome): outcome for outcome in StoreOutcome}
_OVER_QUOTA = "quota_exceeded "


class SinkObserver(Protocol):
    """Who wants to know what the sink does: metrics."""

    def committed(self, events: int, seconds: float) -> None: ...
    def failed(self, failure: str, sqlstate: str) -> None: ...
    def quarantined(self, events: int) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimits:
    """How much is gathered, and how much may wait."""

    group_events: int = 500
    group_bytes: int = 1024 * 1024
    queue_events: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Waiting:
    """One request's events in the queue, or in a group that is being written."""

    events: Sequence[Event]
    rows: bytes | None
    """What is sent to the database; None where one of the events is not JSON at all."""
    limits: tuple[Limit, ...]
    deadline: float
    since: float
    answer: asyncio.Future[Sequence[StoreOutcome | OverQuota]]
    share: str | None = None
    """The sender's address, as it is charged; None for a trusted sender."""

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.rows or b"")


class GroupCommit:
    """`catchment.core.ports.EventSink` on PostgreSQL.

    `links`: one session for each writer. `on_death` is called when a writer ends by an error of its own: a server
    that can't write must not go on.
    """

    HEARTBEAT_SECONDS = 5.0

    def __init__(
        self,
        links: Sequence[Link],
        *,
        clock: Clock,
        limits: GroupLimits,
        observer: SinkObserver,
        on_death: Callable[[BaseException], None],
    ) -> None:
        self._links = links
        self._clock = clock
        self._limits = limits
        self._observer = observer
        self._on_death = on_death
        self._queue: deque[Waiting] = deque()
        self._writing: set[Waiting] = set()
        self._queued_events = 0
        self._queued_bytes = 0
        self._queued_of: dict[str, float] = {}
        """The part of the queue that each address's requests take, for those that have some there."""
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False
        self._down: Unavailable | None = None
        self.alert: str | None = None
        """The alert for an operator: the last failure of the class 'hold', or that no session could be made for a
        minute. It ends when a commit succeeds, or a session is back."""

    def start(self) -> None:
        for link in self._links:
            self._spawn(self._write(link), f"writer {link.name}")
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
        """Why nothing can be stored at present; None where it can."""
        return None if self._down is None else str(self._down)

    @property
    def queued(self) -> tuple[int, int]:
        """Events and bytes that wait."""
        return self._queued_events, self._queued_bytes

    @property
    def oldest(self) -> float:
        """For how many seconds the oldest request has waited."""
        return self._clock.monotonic() - self._queue[0].since if self._queue else 0.0

    async def store(
        self, batch: Sequence[Event], limits: Sequence[Limit], *, deadline: float, share: str | None = None
    ) -> Sequence[StoreOutcome | OverQuota]:
        if self._down is not None:
            raise Unavailable(str(self._down), retry_after=self._down.retry_after)
        if self._closing:
            raise Unavailable("the server is stopping")
        if not batch:
            return []
        try:
            rows = rows_of(batch)
        except NotJson:
            rows = None
        answer: asyncio.Future[Sequence[StoreOutcome | OverQuota]] = asyncio.get_running_loop().create_future()
        waiting = Waiting(batch, rows, tuple(limits), deadline, self._clock.monotonic(), answer, share)
        if (
            self._queued_events + len(batch) > self._limits.queue_events
            or self._queued_bytes + waiting.size > self._limits.queue_bytes
        ):
            raise Unavailable("the queue is full", retry_after=2)
        if share is not None:
            self._take_share(share, waiting)
        self._queue.append(waiting)
        self._queued_events += len(batch)
        self._queued_bytes += waiting.size
        self._idle.clear()
        self._work.set()
        return await answer

    def _part_of(self, events: int, size: int) -> float:
        return max(events / self._limits.queue_events, size / self._limits.queue_bytes)

    def _take_share(self, share: str, waiting: Waiting) -> None:
        """One address may fill half of the queue; what is beyond that is for those who have less than an eighth."""
        held = self._queued_of.get(share, 0.0)
        part = self._part_of(len(waiting.events), waiting.size)
        if held and held + part > _SHARE and self._part_of(self._queued_events, self._queued_bytes) + part > _FOR_ONE:
            raise Unavailable("this address has its share of the queue", retry_after=2)
        self._queued_of[share] = held + part

    async def close(self) -> None:
        """Writes what waits, then ends. Nothing is taken any more."""
        self._closing = True
        if self._tasks:
            await self._idle.wait()
        await end(*self._tasks)
        for link in self._links:
            link.drop()

    # the writers

    async def _write(self, link: Link) -> None:
        loop = asyncio.get_running_loop()
        look_at = loop.time() + self.HEARTBEAT_SECONDS
        while True:
            await self._connect(link)
            if loop.time() >= look_at:  # also one that has no moment of rest
                await self._look_at(link)
                look_at = loop.time() + self.HEARTBEAT_SECONDS
                continue
            try:
                async with asyncio.timeout_at(look_at):
                    await self._work.wait()
            except TimeoutError:
                continue
            group = self._take()
            if not group:
                continue
            self._writing.update(group)
            try:
                await self._write_group(link, group)
            finally:
                for waiting in group:
                    _fail(waiting, CommitUnknown("the writer ended"))
                self._writing.difference_update(group)
                if not self._queue and not self._writing:
                    self._idle.set()

    async def _look_at(self, link: Link) -> None:
        """Asks a session whether it lives, and may still be used: else the next event would be the one to find out."""
        try:
            await link.look()
        except DatabaseError as error:
            self._observer.failed(error.failure, error.sqlstate)
            link.drop()

    async def _connect(self, link: Link) -> None:
        """Makes sure of the session. As long as none can be made, what waits is told so at once."""
        pause, longest = _RECONNECT_SECONDS
        since = asyncio.get_running_loop().time()
        while not link.connected:
            try:
                await link.connect()
            except DatabaseError as error:
                self._observer.failed(error.failure, error.sqlstate)
                if not any(other.connected for other in self._links):
                    if self.down != str(error):
                        log.error("no session with the database: %s", error)
                    self._down = as_outcome(error)
                    self._fail_queue(self._down)
                    if _needs_operator(error) or asyncio.get_running_loop().time() - since > _ALERT_SECONDS:
                        self._alarm(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, longest)
        if self._down is not None:
            log.info("the session with the database is back")
            self._down = self.alert = None

    def _take(self) -> list[Waiting]:
        """What is written next: requests in order, never a part of one."""
        group: list[Waiting] = []
        events = size = 0
        while self._queue:
            waiting = self._queue[0]
            if group and (
                events + len(waiting.events) > self._limits.group_events
                or size + waiting.size > self._limits.group_bytes
            ):
                break
            self._leave_queue()
            if waiting.answer.done():
                continue
            group.append(waiting)
            events += len(waiting.events)
            size += waiting.size
        if not self._queue:
            self._work.clear()
            if not group and not self._writing:
                self._idle.set()
        return group

    def _leave_queue(self) -> Waiting:
        waiting = self._queue.popleft()
        self._queued_events -= len(waiting.events)
        self._queued_bytes -= waiting.size
        if waiting.share is not None:
            left = self._queued_of[waiting.share] - self._part_of(len(waiting.events), waiting.size)
            if left > _NOTHING:
                self._queued_of[waiting.share] = left
            else:
                del self._queued_of[waiting.share]
        return waiting

    async def _write_group(self, link: Link, group: list[Waiting]) -> None:
        try:
            await self._commit(link, group)
        except DatabaseError as error:
            if error.failure is Failure.BAD_DATA and len(group) > 1:
                # one request's data is bad: each request in a transaction of its own
                for waiting in group:
                    await self._write_group(link, [waiting])
            elif error.failure is Failure.BAD_DATA:
                await self._without_culprits(link, group[0])
            else:
                self._failed(group, error)

    async def _commit(self, link: Link, group: list[Waiting]) -> None:
        """One call, one transaction; then every request of the group has its answer."""
        rows = [waiting.rows for waiting in group if waiting.rows is not None]
        if len(rows) < len(group):
            raise DatabaseError(Failure.BAD_DATA, "", "encoding")
        batch = batch_of(rows)
        limits = {waiting.events[0].project_id: waiting.limits for waiting in group if waiting.limits}
        started = self._clock.monotonic()
        last = max(waiting.deadline for waiting in group)
        while True:
            try:
                answer = await link.run(
                    "log_events",
                    max(0.05, last - self._clock.monotonic()),
                    batch=batch,
                    limits=limit_rows(limits.items()),
                )
                break
            except DatabaseError as error:
                self._observer.failed(error.failure, error.sqlstate)
                if error.sqlstate not in _RETRIED_AT_ONCE or self._clock.monotonic() >= last:
                    raise
                await asyncio.sleep(0.01)
        texts: list[str] = answer[0][0]
        self._observer.committed(len(texts), self._clock.monotonic() - started)
        self.alert = None
        start = 0
        for waiting in group:
            said = texts[start : start + len(waiting.events)]
            known = limits.get(waiting.events[0].project_id, ())
            _succeed(waiting, [_OUTCOMES.get(text) or _over_quota(text, known) for text in said])
            start += len(waiting.events)

    async def _without_culprits(self, link: Link, waiting: Waiting) -> None:
        """Stores a request's events but those that the database can't hold; these go into quarantine."""
        try:
            culprits = await find_culprits(link, waiting.events)
            await quarantine(link, [waiting.events[n] for n in culprits])
        except DatabaseError as error:
            self._failed([waiting], error)
            return
        self._observer.quarantined(len(culprits))
        log.error("%d events could not be held by the database, and are in quarantine", len(culprits))
        good = [event for n, event in enumerate(waiting.events) if n not in culprits]
        stored: Sequence[StoreOutcome | OverQuota] = ()
        if good:
            answer: asyncio.Future[Sequence[StoreOutcome | OverQuota]] = asyncio.get_running_loop().create_future()
            rest = Waiting(good, rows_of(good), waiting.limits, waiting.deadline, waiting.since, answer)
            try:
                await self._commit(link, [rest])
            except DatabaseError as error:
                self._failed([waiting], error)
                return
            stored = answer.result()
        outcomes = iter(stored)
        _succeed(
            waiting,
            [StoreOutcome.INVALID_EVENT if n in culprits else next(outcomes) for n in range(len(waiting.events))],
        )

    def _failed(self, group: list[Waiting], error: DatabaseError) -> None:
        if error.failure is Failure.HOLD:
            self._alarm(error)
        elif not isinstance(error, NotConnected):
            log.warning("a commit failed: %s", error)
        outcome = as_outcome(error)
        for waiting in group:
            _fail(waiting, outcome)

    def _alarm(self, error: DatabaseError) -> None:
        if self.alert != str(error):
            log.critical("the database refuses to store, and an operator is needed: %s", error)
        self.alert = str(error)

    # deadlines

    def _fail_queue(self, error: Unavailable) -> None:
        while self._queue:
            _fail(self._leave_queue(), error)
        self._work.clear()
        if not self._writing:
            self._idle.set()

    async def _sweep(self) -> None:
        """Answers in time what could not be written in time. What is being written may yet be stored."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = self._clock.monotonic() + _SWEEP_SECONDS
            for waiting in self._queue:
                if waiting.deadline <= now:
                    _fail(waiting, Unavailable("the deadline passed while it waited"))
            for waiting in self._writing:
                if waiting.deadline <= now:
                    _fail(waiting, CommitUnknown("the deadline passed while it was written"))


def _needs_operator(error: DatabaseError) -> bool:
    """Return True if it won't heal by itself. A lack of connections may, but only if somebody goes."""
    return error.failure is Failure.HOLD or error.sqlstate == TOO_MANY_SESSIONS


def _over_quota(text: str, limits: Sequence[Limit]) -> OverQuota:
    return limit_met(text.removeprefix(_OVER_QUOTA), limits)


def _succeed(waiting: Waiting, outcomes: Sequence[StoreOutcome | OverQuota]) -> None:
    if not waiting.answer.done():
        waiting.answer.set_result(outcomes)


def _fail(waiting: Waiting, error: Unavailable) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(type(error)(str(error), retry_after=error.retry_after))

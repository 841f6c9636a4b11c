"""The flushes that wait for answers, and their results. Events that were lost before the queue count, too.

Each loss is reported by one flush: the first that ends after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from ._buffer import Pending
from ._delivery import done


@dataclass
class _Flush:
    last: int
    """The number of the last event that it waits for."""
    left: int
    """The number of events that it waits for and that are not settled."""
    lost_before: int
    """The number of all losses before it. It reports them together with its own."""
    is_complete: bool
    """True if nothing was lost."""
    lost: int = 0
    future: Future[bool] = field(default_factory=Future)


class Flushes:
    """All waiting flushes. Not thread-safe."""

    def __init__(self) -> None:
        self._waiting: list[_Flush] = []
        self._taken = self._unsettled = 0
        self.last = 0
        """The number of the last event that any flush waited for. All events up to it are sent at once, even if the
        flush has ended."""
        self._lost = self._told = 0
        """The number of all losses, and of those that a flush has reported."""

    def __bool__(self) -> bool:
        """Return True if a flush waits."""
        return bool(self._waiting)

    def take(self) -> int:
        """Return the number of an event that was put into the queue."""
        self._taken += 1
        self._unsettled += 1
        return self._taken

    def lose(self) -> None:
        """Count an event that was lost before the queue."""
        self._lost += 1

    def settle(self, events: Sequence[Pending], *, lost: bool = False) -> None:
        """Count events as answered or lost. Call `resolve` after it."""
        self._unsettled -= len(events)
        if lost:
            self._lost += len(events)
        for flush in self._waiting:
            own = sum(one.number <= flush.last for one in events)
            flush.left -= own
            if lost and own:
                flush.is_complete = False
                flush.lost += own

    def ask(self, *, reports: bool) -> Future[bool]:
        """Return a new future. Its result is True when everything tracked before is answered, False if something was
        lost. `reports`: a report of losses must be sent first."""
        is_complete = self._lost == self._told
        if not self._unsettled and not reports:
            self._told = self._lost
            return done(is_complete)
        self.last = self._taken
        flush = _Flush(last=self._taken, left=self._unsettled, lost_before=self._lost, is_complete=is_complete)
        self._waiting.append(flush)
        return flush.future

    def resolve(self) -> None:
        """End the flushes whose events are all settled."""
        for flush in [flush for flush in self._waiting if not flush.left]:
            self._waiting.remove(flush)
            if flush.future.set_running_or_notify_cancel():
                self._told = max(self._told, flush.lost_before + flush.lost)
                flush.future.set_result(flush.is_complete)
        self._waiting = [flush for flush in self._waiting if not flush.future.cancelled()]

"""Who waits until what was tracked before is answered, and what he is told: also of events that were never taken.

A loss is told by one flush, the first that ends after it; then it is over and done with.
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
    """How many of them are not settled."""
    lost_before: int
    """Of all losses, those before it; with its own, those that it tells of."""
    is_complete: bool
    """Whether nothing was lost."""
    lost: int = 0
    future: Future[bool] = field(default_factory=Future)


class Flushes:
    """Not for several threads at once."""

    def __init__(self) -> None:
        self._waiting: list[_Flush] = []
        self._taken = self._unsettled = 0
        self.last = 0
        """The number of the last event that anybody has waited for: up to it all goes at once, also where he has given
        up waiting."""
        self._lost = self._told = 0
        """All losses, and those that a flush has told of."""

    def __bool__(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def take(self) -> int:
        """The number of an event that was put into the queue."""
        self._taken += 1
        self._unsettled += 1
        return self._taken

    def lose(self) -> None:
        """An event never got into the queue."""
        self._lost += 1

    def settle(self, events: Sequence[Pending], *, lost: bool = False) -> None:
        """These are answered, or lost. Call `resolve` then."""
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
        """A future of its own: True when all that was tracked before is answered, False where something was lost.
        `reports`: a report of losses shall be sent first, in any case."""
        is_complete = self._lost == self._told
        if not self._unsettled and not reports:
            self._told = self._lost
            return done(is_complete)
        self.last = self._taken
        flush = _Flush(last=self._taken, left=self._unsettled, lost_before=self._lost, is_complete=is_complete)
        self._waiting.append(flush)
        return flush.future

    def resolve(self) -> None:
        """Whoever waits for nothing any more hears of it."""
        for flush in [flush for flush in self._waiting if not flush.left]:
            self._waiting.remove(flush)
            if flush.future.set_running_or_notify_cancel():
                self._told = max(self._told, flush.lost_before + flush.lost)
                flush.future.set_result(flush.is_complete)
        self._waiting = [flush for flush in self._waiting if not flush.future.cancelled()]

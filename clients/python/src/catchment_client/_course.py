"""What is sent next, and when: a batch, the parts that it was split into, and events that something on the way refuses.

A firewall that dislikes one event refuses every batch that holds it, in words that are not Catchment's. Such a batch is
split until what is good got through, and the event that is left is set aside: it is tried alone, ever more rarely, and
holds up no other. Whether it is the events or the way (a proxy that refuses everything) only a success tells: after a
few refusals in a row a single event goes first, and each further one waits longer.

No I/O, no clock: times are those of the monotonic clock, in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ._backoff import delay
from ._buffer import Pending

FREE = 2
"""Refusals in a row that cost no pause. Halves are sent in turn, so one bad event makes no more than these."""
HURRY = 0.5
"""Seconds between attempts, at most, once the client is being closed."""


class Course:
    """What was taken from the queue and has no answer yet. Not for several threads at once.

    A part that was handed out stays here until `done`, `split` or `refused` is told of it.
    """

    def __init__(self) -> None:
        self.failures = 0
        """Pauses since something got through."""
        self.not_before = 0.0
        """When the next attempt may be made."""
        self._is_asked = False
        """Whether the server has named that time."""
        self._is_hurried = False
        self._refusals = 0
        """In a row, by others than Catchment."""
        self._parts: deque[list[Pending]] = deque()
        self._aside: deque[Pending] = deque()
        self._aside_due = 0.0
        self._aside_failures = 0

    @property
    def has_parts(self) -> bool:
        return bool(self._parts)

    @property
    def aside_due(self) -> float | None:
        """When the next event that was set aside may be tried; None where there is none."""
        return self._aside_due if self._aside else None

    def begin(self, batch: list[Pending]) -> None:
        """A batch that shall be sent now."""
        self._parts.append(batch)

    def part(self) -> list[Pending]:
        """What to send next, where there are parts."""
        first = self._parts[0]
        if self._refusals > FREE and len(first) > 1:
            self._parts[0] = first[1:]
            self._parts.appendleft(first[:1])
        return self._parts[0]

    def aside(self) -> list[Pending]:
        """The event that was set aside longest ago, alone."""
        return [self._aside[0]]

    def done(self, part: list[Pending], rest: list[Pending]) -> None:
        """Catchment has answered: all of it, or all but the rest, which has to be sent again."""
        if self._remove(part):
            self._aside_failures, self._aside_due = 0, 0.0
        if rest:
            self._parts.appendleft(rest)

    def split(self, part: list[Pending]) -> None:
        """This one can't pass as a whole: its halves come next."""
        self._remove(part)
        self._parts.extendleft(reversed(_halves(part)))

    def refused(self, part: list[Pending], now: float, after: float | None, *, too_large: bool) -> None:
        """Something on the way does not let this one through."""
        was_aside = self._remove(part)
        if len(part) == 1:
            self._aside += part
            if was_aside or len(self._aside) == 1:
                self._aside_failures += 1
                self._aside_due = now + self._delay(self._aside_failures, None)
        elif too_large:
            self._parts.extendleft(reversed(_halves(part)))
        else:
            self._parts += _halves(part)
        if not was_aside and (len(part) == 1 or not too_large):
            self._refusals += 1
        if after is not None or (not was_aside and self._refusals > FREE):
            self.failed(now, after)

    def passed(self) -> None:
        """Catchment has answered: nothing is wrong with the way. What was set aside while there was is tried soon."""
        if self._refusals > FREE:
            self._aside_failures, self._aside_due = 0, 0.0
        self.failures = self._refusals = 0
        self.not_before = 0.0
        self._is_asked = False

    def failed(self, now: float, after: float | None) -> None:
        """No attempt before this one's pause is over. `after`: as the server asks."""
        self.failures += 1
        self.not_before = now + self._delay(self.failures, after)
        self._is_asked = after is not None

    def hurry(self) -> None:
        """The client is being closed: one attempt at once, then haste, unless the server has named a time."""
        if not self._is_hurried:
            self._is_hurried = True
            self._aside_due = 0.0
            if not self._is_asked:
                self.not_before = 0.0

    def drop(self, which: Callable[[Pending], bool]) -> list[Pending]:
        """Takes these out."""
        dropped = [one for part in self._parts for one in part if which(one)]
        dropped += [one for one in self._aside if which(one)]
        if dropped:
            kept = ([one for one in part if not which(one)] for part in self._parts)
            self._parts = deque(part for part in kept if part)
            self._aside = deque(one for one in self._aside if not which(one))
        return dropped

    def _remove(self, part: list[Pending]) -> bool:
        """Whether it had been set aside."""
        if self._parts and self._parts[0] is part:
            self._parts.popleft()
            return False
        self._aside.popleft()
        return True

    def _delay(self, attempt: int, after: float | None) -> float:
        seconds = delay(attempt, after)
        return min(seconds, HURRY) if self._is_hurried and after is None else seconds


def _halves(part: list[Pending]) -> list[list[Pending]]:
    middle = len(part) // 2
    return [part[:middle], part[middle:]]

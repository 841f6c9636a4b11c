"""Decides what is sent next, and when: a batch, its parts, or events that something on the way refuses.

A firewall that dislikes one event refuses every batch with it; its answer is not Catchment's. Such a batch is split
until the good events got through. The event that is left is set aside: it is tried alone, at growing intervals, and
does not delay others. Only a success tells whether the events are the reason, or a proxy that refuses everything. So
after a few refusals in a row a single event goes first, and each further one waits longer.

No I/O, no clock: times are those of the monotonic clock, in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ._backoff import delay
from ._buffer import Pending

FREE = 2
"""Refusals in a row without a pause. Halves are sent alternately, so one bad event causes no more than these."""
HURRY = 0.5
"""The most seconds between attempts while the client is being closed."""


class Course:
    """The events that were taken from the queue and have no answer. Not thread-safe.

    A part that was returned for sending stays here until `done`, `split` or `refused` is called for it.
    """

    def __init__(self) -> None:
        self.failures = 0
        """Pauses since the last success."""
        self.not_before = 0.0
        """The time of the next attempt."""
        self._is_asked = False
        """True if the server asked for that time."""
        self._is_hurried = False
        self._refusals = 0
        """Refusals in a row that were not Catchment's."""
        self._parts: deque[list[Pending]] = deque()
        self._aside: deque[Pending] = deque()
        self._aside_due = 0.0
        self._aside_failures = 0

    @property
    def has_parts(self) -> bool:
        return bool(self._parts)

    @property
    def aside_due(self) -> float | None:
        """The time when the next event that was set aside may be tried; None if there is none."""
        return self._aside_due if self._aside else None

    def begin(self, batch: list[Pending]) -> None:
        """Add a batch, to be sent now."""
        self._parts.append(batch)

    def part(self) -> list[Pending]:
        """Return the next part to send. There must be parts."""
        first = self._parts[0]
        if self._refusals > FREE and len(first) > 1:
            self._parts[0] = first[1:]
            self._parts.appendleft(first[:1])
        return self._parts[0]

    def aside(self) -> list[Pending]:
        """Return the event that was set aside first, alone."""
        return [self._aside[0]]

    def done(self, part: list[Pending], rest: list[Pending]) -> None:
        """Remove a part that Catchment has answered, except for the rest, which must be sent again."""
        if self._remove(part):
            self._aside_failures, self._aside_due = 0, 0.0
        if rest:
            self._parts.appendleft(rest)

    def split(self, part: list[Pending]) -> None:
        """Replace a part that can't pass as a whole by its halves."""
        self._remove(part)
        self._parts.extendleft(reversed(_halves(part)))

    def refused(self, part: list[Pending], now: float, after: float | None, *, too_large: bool) -> None:
        """Split or set aside a part that something on the way refused."""
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
        """Note an answer of Catchment: the way is open. Events that were set aside before are tried soon."""
        if self._refusals > FREE:
            self._aside_failures, self._aside_due = 0, 0.0
        self.failures = self._refusals = 0
        self.not_before = 0.0
        self._is_asked = False

    def failed(self, now: float, after: float | None) -> None:
        """Begin a pause before the next attempt. `after`: the server's `Retry-After`."""
        self.failures += 1
        self.not_before = now + self._delay(self.failures, after)
        self._is_asked = after is not None

    def hurry(self) -> None:
        """Hurry, because the client is being closed: one attempt at once, then short pauses, unless the server asked
        for one."""
        if not self._is_hurried:
            self._is_hurried = True
            self._aside_due = 0.0
            if not self._is_asked:
                self.not_before = 0.0

    def drop(self, which: Callable[[Pending], bool]) -> list[Pending]:
        """Remove and return the events that match `which`."""
        dropped = [one for part in self._parts for one in part if which(one)]
        dropped += [one for one in self._aside if which(one)]
        if dropped:
            kept = ([one for one in part if not which(one)] for part in self._parts)
            self._parts = deque(part for part in kept if part)
            self._aside = deque(one for one in self._aside if not which(one))
        return dropped

    def _remove(self, part: list[Pending]) -> bool:
        """Remove a part. Return True if it had been set aside."""
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

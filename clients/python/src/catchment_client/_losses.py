"""Losses: events that were given to `track` and will never reach the server, counted by reason.

They are reported to the server with the next batch, or alone where somebody flushes, under an id of their own, again
and again until it says that it has recorded them; it counts an id once.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ._ids import new_id

QUEUE_FULL = "queue_full"
"""More was tracked than could be sent."""
TOO_LARGE = "too_large"
"""One event larger than the server takes."""
EXPIRED = "expired"
"""The server could not be reached for so long that the event is not worth sending any more."""
GAVE_UP = "gave_up"
"""The client was closed, or the process ended, before there was an answer. Reported only where the server answers, and
it was something on the way that held the event back."""
CLOSED = "closed"
"""Tracked after `close`: never reported, since nothing is sent any more."""

INVALID = "invalid"
"""An argument was wrong, and the client is not strict."""

MOST = 1_000_000
"""The highest number of one report; what is over goes into the next one."""


class Losses:
    """Counts, and what of them the server knows. Not for several threads at once."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self._unreported: Counter[str] = Counter()
        self._report: dict[str, Any] | None = None
        self._was_said = False

    @property
    def are_unsaid(self) -> bool:
        """Whether there is something that no request has tried to report since it was added, or since `repeat`."""
        return not self._was_said and (self._report is not None or bool(self._unreported))

    def repeat(self) -> None:
        """What was not recorded is worth another try."""
        self._was_said = False

    def add(self, reason: str, count: int) -> None:
        self._was_said = False
        self.total[reason] += count
        self._unreported[reason] += count

    def report(self) -> dict[str, Any] | None:
        """What the next batch shall say: the same until it is recorded. None where there is nothing."""
        if self._report is None and self._unreported:
            counts = {reason: min(count, MOST) for reason, count in self._unreported.items()}
            self._unreported = +(self._unreported - Counter(counts))
            self._report = {"id": new_id(), "counts": counts}
        self._was_said = True
        return self._report

    def settled(self) -> None:
        """The server has recorded the report, or will never do so."""
        self._report = None
        self._was_said = False

"""Losses: events that were given to `track` and will never reach the server, counted by reason.

They are reported to the server with the next batch, under an id of their own, again and again until it says that it
has recorded them; it counts an id once.
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
"""The client was closed, or the process ended, before there was an answer."""
CLOSED = "closed"
"""Tracked after `close`."""

MOST = 1_000_000
"""The highest number of one report; what is over goes into the next one."""


class Losses:
    """Counts, and what of them the server knows. Not for several threads at once."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self._unreported: Counter[str] = Counter()
        self._report: dict[str, Any] | None = None

    def add(self, reason: str, count: int) -> None:
        self.total[reason] += count
        self._unreported[reason] += count

    def report(self) -> dict[str, Any] | None:
        """What the next batch shall say: the same until it is recorded. None where there is nothing."""
        if self._report is None and self._unreported:
            counts = {reason: min(count, MOST) for reason, count in self._unreported.items()}
            self._unreported = +(self._unreported - Counter(counts))
            self._report = {"id": new_id(), "counts": counts}
        return self._report

    def recorded(self) -> None:
        """The server has recorded the report."""
        self._report = None

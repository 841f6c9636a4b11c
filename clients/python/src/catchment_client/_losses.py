"""Losses: events of `track` that will never reach the server, counted by reason.

They are reported to the server with the next batch, or alone on a flush. A report has an id, and is sent again until
the server says that it has recorded it. The server counts each id once.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ._ids import new_id

QUEUE_FULL = "queue_full"
"""More was tracked than could be sent."""
TOO_LARGE = "too_large"
"""One event is larger than the server accepts."""
EXPIRED = "expired"
"""The server could not be reached for `max_age` seconds."""
GAVE_UP = "gave_up"
"""The client was closed, or the process ended, before there was an answer. It is reported only if the server answers,
and something on the way blocked the event."""
CLOSED = "closed"
"""Tracked after `close`. It is never reported, because nothing is sent any more."""

INVALID = "invalid"
"""An argument was wrong, and the client is not strict."""

MOST = 1_000_000
"""The highest number in one report. The rest goes into the next one."""


class Losses:
    """The counts, and the part of them that the server knows. Not thread-safe."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self._unreported: Counter[str] = Counter()
        self._report: dict[str, Any] | None = None
        self._was_said = False

    @property
    def are_unsaid(self) -> bool:
        """True if some losses were in no request since they were added, or since `repeat`."""
        return not self._was_said and (self._report is not None or bool(self._unreported))

    def repeat(self) -> None:
        """Allow another try for losses that were not recorded."""
        self._was_said = False

    def add(self, reason: str, count: int) -> None:
        self._was_said = False
        self.total[reason] += count
        self._unreported[reason] += count

    def report(self) -> dict[str, Any] | None:
        """Return the report for the next batch: the same one until it is recorded. None if there are no losses."""
        if self._report is None and self._unreported:
            counts = {reason: min(count, MOST) for reason, count in self._unreported.items()}
            self._unreported = +(self._unreported - Counter(counts))
            self._report = {"id": new_id(), "counts": counts}
        self._was_said = True
        return self._report

    def settled(self) -> None:
        """Drop the report: the server has recorded it, or never will."""
        self._report = None
        self._was_said = False

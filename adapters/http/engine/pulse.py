"""A pulse that workers share with their parent: whose event loop stands still, answers nobody."""

from __future__ import annotations

import mmap
import time

STILL_SECONDS = 20.0
"""A plugin, a full processor or a slow disk hold a worker for seconds, not for this long."""
_STEP = 2.0
"""Seconds that one look counts at most. A longer gap means that the machine slept, or the parent was stopped too."""


class Pulse:
    """A count for each worker, in memory that they share."""

    def __init__(self, workers: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, 8 * workers)).cast("Q")
        self._seen = [0] * workers
        self._still = [0.0] * workers
        self._looked = time.monotonic()

    def begin(self, number: int) -> None:
        """A worker is new."""
        self._counts[number] = self._seen[number] = 0
        self._still[number] = 0.0

    def beat(self, number: int) -> None:
        """Called by the worker."""
        self._counts[number] += 1

    def look(self) -> float:
        """Called by the parent, once a second: note who stands still. Return the seconds since the last look, as they
        count."""
        now = time.monotonic()
        step, self._looked = min(now - self._looked, _STEP), now
        for number, count in enumerate(self._counts):
            if count != self._seen[number]:
                self._seen[number], self._still[number] = count, 0.0
            else:
                self._still[number] += step
        return step

    def stands_still(self, number: int) -> bool:
        return self._still[number] >= STILL_SECONDS

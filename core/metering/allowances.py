"""Token buckets by name, in a table of bounded size."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class _Bucket:
    at: float
    left: float


class Allowances:
    """Allows each name so much at once, and more with time.

    `seconds` is the time in which one more is allowed. A name that is not known is allowed nothing while there are
    `names` others that were used lately.
    """

    def __init__(self, *, at_once: int, seconds: float, names: int) -> None:
        self._at_once = at_once
        self._seconds = seconds
        self._names = names
        self._buckets: OrderedDict[object, _Bucket] = OrderedDict()
        """The last one was used last."""

    def left(self, name: object, now: float) -> float:
        """Return how much a name is allowed now. Take nothing."""
        bucket = self._buckets.get(name)
        if bucket is not None:
            return self._refill(bucket, now)
        return float(self._at_once) if self._has_space(now) else 0.0

    def take(self, name: object, now: float, cost: float = 1.0) -> None:
        """Take the cost from what a name is allowed, after `left` said that there is one. The name may owe the rest."""
        bucket = self._buckets.setdefault(name, _Bucket(now, float(self._at_once)))
        bucket.left = self._refill(bucket, now) - cost
        self._buckets.move_to_end(name)

    def _refill(self, bucket: _Bucket, now: float) -> float:
        bucket.left = min(float(self._at_once), bucket.left + (now - bucket.at) / self._seconds)
        bucket.at = now
        return bucket.left

    def _has_space(self, now: float) -> bool:
        """Tell if one more name fits. The name that was not used for the longest time is forgotten if it has all that
        it may have: so nothing is gained by being forgotten."""
        if len(self._buckets) < self._names:
            return True
        name, oldest = next(iter(self._buckets.items()))
        if self._refill(oldest, now) < self._at_once:
            return False
        del self._buckets[name]
        return True

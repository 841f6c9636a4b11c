"""Token buckets, one process's own."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

_BUCKETS = 20_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class TokenBuckets:
    """`catchment.core.ports.RateLimiter`: so many events a second of a key, and of a client address.

    What is wanted: a flood from one key or address must not use up the server of all others. How: a bucket for
    each holds ten seconds' worth of events, and fills at the rate; a request passes where both have room, and takes
    from both. A request larger than a bucket passes when the bucket is full, and leaves it in debt. The price: each
    process counts for itself, so that N workers let up to N times the rate pass; and of the least
    recently seen buckets beyond 20,000 the count is forgotten. It fails open.

    A rate of 0 means no limit.
    """

    BURST_SECONDS = 10

    def __init__(
        self, *, rate_per_key: float, rate_per_address: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._rates = {"key": rate_per_key, "address": rate_per_address}
        self._monotonic = monotonic
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def take(self, *, key: bytes, address: str | None, events: int) -> int | None:
        wanted = [
            (self._rates[kind], (kind, of))
            for kind, of in (("key", key), ("address", address))
            if self._rates[kind] > 0 and of is not None
        ]
        if not wanted or not events:
            return None
        now = self._monotonic()
        waits = [self._wait(rate, self._bucket(name, rate, now), events) for rate, name in wanted]
        longest = max(waits)
        if longest > 0:
            return max(1, math.ceil(longest))
        for _, name in wanted:
            self._buckets[name].tokens -= events
        return None

    def _bucket(self, name: Hashable, rate: float, now: float) -> _Bucket:
        full = max(1.0, rate * self.BURST_SECONDS)
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(full, now)
            if len(self._buckets) > _BUCKETS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(name)
            bucket.tokens = min(full, bucket.tokens + (now - bucket.at) * rate)
            bucket.at = now
        return bucket

    def _wait(self, rate: float, bucket: _Bucket, events: int) -> float:
        needed = min(float(events), max(1.0, rate * self.BURST_SECONDS))
        return (needed - bucket.tokens) / rate

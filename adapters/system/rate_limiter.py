"""Token buckets. Each process has its own."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_BUCKETS = 20_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class _Buckets:
    """The buckets of one kind. A bucket fills at `rate` tokens a second, up to `full`. A rate of 0 means no limit."""

    def __init__(self, rate: float, burst: float, monotonic: Callable[[], float]) -> None:
        self.rate = rate
        self.full = max(1.0, burst)
        self.monotonic = monotonic
        self.held: OrderedDict[object, _Bucket] = OrderedDict()

    def of(self, name: object) -> _Bucket:
        now = self.monotonic()
        bucket = self.held.get(name)
        if bucket is None:
            bucket = self.held[name] = _Bucket(self.full, now)
            if len(self.held) > _BUCKETS:
                self.held.popitem(last=False)
        else:
            self.held.move_to_end(name)
            bucket.tokens = min(self.full, bucket.tokens + (now - bucket.at) * self.rate)
            bucket.at = now
        return bucket

    def wait(self, bucket: _Bucket, needed: float) -> int:
        return max(1, math.ceil((min(needed, self.full) - bucket.tokens) / self.rate))


class TokenBuckets:
    """`catchment.core.collecting.ports.RateLimiter`: limits the events a second with a key and from a client address.

    Requirement: a flood with one key or from one address must not use up the server.

    Solution: each key and each address has a token bucket, which fills at its rate. A key's bucket holds ten seconds of
    its rate. An address's holds `address_burst` events, or ten seconds of its rate if that is 0. A request with more
    events than that passes if the bucket is full, and leaves it in debt: an address in debt for the whole request, a
    key for at most one bucket, because strangers can post with it. An address may look up 200 unknown keys at once, and
    20 a second.

    Trade-off: each process counts for itself, so N workers let up to N times the rate pass. Over 20,000 buckets of one
    kind, the least recently used ones are forgotten. It fails open.
    """

    BURST_SECONDS = 10
    LOOK_UPS = 20.0
    LOOK_UPS_AT_ONCE = 200.0

    def __init__(
        self,
        *,
        rate_per_key: float,
        rate_per_address: float,
        address_burst: float = 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        burst = self.BURST_SECONDS
        self._keys = _Buckets(rate_per_key, rate_per_key * burst, monotonic)
        self._addresses = _Buckets(rate_per_address, address_burst or rate_per_address * burst, monotonic)
        self._look_ups = _Buckets(self.LOOK_UPS, self.LOOK_UPS_AT_ONCE, monotonic)

    def take_address(
        self, share: str | None, cost: float, *, least: float, enough: float, paid: float = 0
    ) -> int | None:
        buckets = self._addresses
        if share is None or not buckets.rate:
            return None
        bucket = buckets.of(share)
        if bucket.tokens < min(least, buckets.full - paid):
            return buckets.wait(bucket, enough)
        bucket.tokens -= cost
        return None

    def charge_address(self, share: str | None, cost: float) -> None:
        if share is not None and self._addresses.rate:
            self._addresses.of(share).tokens -= cost

    def key_wait(self, key: bytes, events: int) -> int | None:
        buckets = self._keys
        if not buckets.rate:
            return None
        bucket = buckets.of(key)
        return buckets.wait(bucket, events) if bucket.tokens < min(events, buckets.full) else None

    def take_key(self, key: bytes, events: int) -> int | None:
        wait = self.key_wait(key, events)
        if wait is None and self._keys.rate:
            bucket = self._keys.of(key)
            bucket.tokens = max(bucket.tokens - events, -self._keys.full)
        return wait

    def take_look_up(self, share: str | None) -> int | None:
        if share is None:
            return None
        bucket = self._look_ups.of(share)
        if bucket.tokens < 1:
            return self._look_ups.wait(bucket, 1)
        bucket.tokens -= 1
        return None

    def return_look_up(self, share: str | None) -> None:
        if share is not None:
            self._look_ups.of(share).tokens += 1

"""`Clock`, `IdGenerator` and `RateLimiter`."""

from __future__ import annotations

from datetime import timedelta
from uuid import RFC_4122, UUID

import pytest

from catchment.adapters.memory.parts import CountingIds, NoRateLimit, ToldClock
from catchment.adapters.system.clock import SystemClock
from catchment.adapters.system.ids import SystemIds
from catchment.adapters.system.rate_limiter import TokenBuckets
from catchment.core.collecting.ports import RateLimiter
from catchment.core.ports import Clock, IdGenerator

clocks = pytest.mark.parametrize("clock", [ToldClock(), SystemClock()], ids=["memory", "system"])
generators = pytest.mark.parametrize("ids", [CountingIds(), SystemIds()], ids=["memory", "system"])
limiters = pytest.mark.parametrize(
    "limiter",
    [NoRateLimit(), TokenBuckets(rate_per_key=0, rate_per_address=0), TokenBuckets(rate_per_key=1, rate_per_address=1)],
    ids=["memory", "system without a rate", "system"],
)


@clocks
def test_the_present_moment_is_in_utc(clock: Clock) -> None:
    assert clock.now().utcoffset() == timedelta()


@clocks
def test_seconds_for_deadlines_only_grow(clock: Clock) -> None:
    seconds = [clock.monotonic() for _ in range(100)]
    assert seconds == sorted(seconds)


def test_a_told_clock_stands_until_it_is_told() -> None:
    clock = ToldClock()
    before, seconds = clock.now(), clock.monotonic()
    assert clock.now() == before
    clock.advance(timedelta(seconds=90))
    assert (clock.now() - before, clock.monotonic() - seconds) == (timedelta(seconds=90), 90)
    clock.jump(before)
    assert (clock.now(), clock.monotonic() - seconds) == (before, 90)


@generators
def test_an_id_is_a_uuid_of_version_7(ids: IdGenerator) -> None:
    made = UUID(ids.new_id())
    assert (made.version, made.variant) == (7, RFC_4122)
    assert str(made) == str(made).lower()


@generators
def test_later_ids_sort_after_earlier_ones_and_none_comes_twice(ids: IdGenerator) -> None:
    made = [ids.new_id() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


@generators
@pytest.mark.parametrize("count", [0, 1, 16, 32])
def test_random_bytes_are_as_many_as_asked_for(ids: IdGenerator, count: int) -> None:
    made = ids.random_bytes(count)
    assert (type(made), len(made)) == (bytes, count)
    if count >= 16:
        assert ids.random_bytes(count) != made


@limiters
def test_what_a_rate_limiter_does_not_know_passes(limiter: RateLimiter) -> None:
    assert limiter.take_key(b"new", 1) is None
    assert limiter.take_address(None, 1000, least=1000, enough=1000) is None
    assert limiter.take_address("1.2.3.4", 1, least=1, enough=1) is None
    assert limiter.take_look_up(None) is None


@limiters
def test_a_rate_limiter_says_when_to_try_again(limiter: RateLimiter) -> None:
    waits = {limiter.take_key(b"a", 1000) for _ in range(3)}
    waits |= {limiter.take_address("5.6.7.8", 1000, least=1000, enough=1000) for _ in range(3)}
    waits |= {limiter.take_look_up("5.6.7.8") for _ in range(300)}
    assert all(wait is None or (type(wait) is int and wait >= 1) for wait in waits)

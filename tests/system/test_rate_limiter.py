"""Token buckets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from catchment.adapters.system import rate_limiter
from catchment.adapters.system.rate_limiter import TokenBuckets


class Time:
    """A clock that is told the time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def buckets(time: Time, per_key: float = 0, per_address: float = 0) -> TokenBuckets:
    return TokenBuckets(rate_per_key=per_key, rate_per_address=per_address, monotonic=time)


def test_without_a_rate_all_pass() -> None:
    limiter = buckets(Time())
    assert all(limiter.take(key=b"a", address="1.2.3.4", events=1000) is None for _ in range(1000))


def test_ten_seconds_worth_pass_at_once_and_no_more() -> None:
    limiter = buckets(Time(), per_key=2)
    assert [limiter.take(key=b"a", address=None, events=1) for _ in range(21)] == [None] * 20 + [1]


def test_who_waits_as_told_may_pass() -> None:
    time = Time()
    limiter = buckets(time, per_key=2)
    assert limiter.take(key=b"a", address=None, events=20) is None
    wait = limiter.take(key=b"a", address=None, events=7)
    assert wait == 4
    time.now += wait
    assert limiter.take(key=b"a", address=None, events=7) is None


def test_keys_and_addresses_are_counted_apart() -> None:
    limiter = buckets(Time(), per_key=1, per_address=1)
    assert limiter.take(key=b"a", address="1.2.3.4", events=10) is None
    assert limiter.take(key=b"a", address="5.6.7.8", events=1) is not None
    assert limiter.take(key=b"b", address="1.2.3.4", events=1) is not None
    assert limiter.take(key=b"b", address="5.6.7.8", events=1) is None


def test_what_one_refuses_costs_nothing_of_the_other() -> None:
    limiter = buckets(Time(), per_key=1, per_address=1)
    assert limiter.take(key=b"a", address="1.2.3.4", events=10) is None
    assert limiter.take(key=b"b", address="1.2.3.4", events=10) is not None
    assert limiter.take(key=b"b", address="5.6.7.8", events=10) is None


def test_a_batch_larger_than_a_bucket_passes_when_it_is_full_and_leaves_a_debt() -> None:
    time = Time()
    limiter = buckets(time, per_key=10)
    assert limiter.take(key=b"a", address=None, events=1000) is None
    wait = limiter.take(key=b"a", address=None, events=1)
    assert wait == 91
    time.now += wait
    assert limiter.take(key=b"a", address=None, events=1) is None


def test_a_request_without_an_event_or_an_address_is_not_counted() -> None:
    limiter = buckets(Time(), per_key=0, per_address=1)
    assert all(limiter.take(key=b"a", address=None, events=1) is None for _ in range(100))
    limiter = buckets(Time(), per_key=1)
    assert all(limiter.take(key=b"a", address=None, events=0) is None for _ in range(100))


def test_a_slow_rate_lets_one_pass() -> None:
    time = Time()
    limiter = buckets(time, per_key=0.01)
    assert limiter.take(key=b"a", address=None, events=1) is None
    assert limiter.take(key=b"a", address=None, events=1) == 100


def test_the_number_of_buckets_is_bounded() -> None:
    limiter = buckets(Time(), per_key=1, per_address=1)
    for n in range(rate_limiter._BUCKETS):
        limiter.take(key=str(n).encode(), address=str(n), events=1)
    assert len(limiter._buckets) <= rate_limiter._BUCKETS


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 30)), max_size=40), st.floats(0.1, 20))
def test_no_more_pass_than_the_rate_and_one_bucket(requests: list[tuple[int, float]], rate: float) -> None:
    time = Time()
    limiter = buckets(time, per_key=rate)
    began, passed, largest = time.now, 0, 0
    for events, pause in requests:
        time.now += pause
        if limiter.take(key=b"a", address=None, events=events) is None:
            passed += events
            largest = max(largest, events)
    burst = max(1.0, rate * TokenBuckets.BURST_SECONDS)
    assert passed <= burst + (time.now - began) * rate + largest + 1e-6

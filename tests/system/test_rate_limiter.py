"""Token buckets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment.adapters.system import rate_limiter
from catchment.adapters.system.rate_limiter import TokenBuckets
from catchment.core.collecting.charging import EVENT_BYTES, Charge

ADDRESS = "81.2.69.142"


class Time:
    """A clock that is told the time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def buckets(time: Time, per_key: float = 0, per_address: float = 0, burst: float = 0) -> TokenBuckets:
    return TokenBuckets(rate_per_key=per_key, rate_per_address=per_address, address_burst=burst, monotonic=time)


def post(limiter: TokenBuckets, events: int, *, address: str = ADDRESS, size: int = 0) -> int | None:
    """How long a request of so many events, and bytes, has to wait; None if it passes."""
    charge = Charge(limiter, address)
    wait = charge.enter(size, events)
    return charge.count(events) if wait is None else wait


def test_without_a_rate_all_pass() -> None:
    limiter = buckets(Time())
    assert all(limiter.take_key(b"a", 1000) is None for _ in range(1000))
    assert all(post(limiter, 1000) is None for _ in range(1000))


def test_ten_seconds_worth_pass_at_once_and_no_more() -> None:
    limiter = buckets(Time(), per_key=2, per_address=2)
    assert [limiter.take_key(b"a", 1) for _ in range(21)] == [None] * 20 + [1]
    assert [post(limiter, 1) for _ in range(21)] == [None] * 20 + [1]


def test_a_burst_that_is_set_is_what_an_address_may_send_at_once() -> None:
    limiter = buckets(Time(), per_address=1, burst=30)
    assert [post(limiter, 1) for _ in range(31)] == [None] * 30 + [1]


@pytest.mark.parametrize(("first", "second"), [(20, 7), (15, 15), (3, 20), (12, 400)])
def test_who_waits_as_told_may_pass(first: int, second: int) -> None:
    time = Time()
    for limiter, ask in (
        (keys := buckets(time, per_key=2), lambda events: keys.take_key(b"a", events)),
        (addresses := buckets(time, per_address=2), lambda events: post(addresses, events, size=300 * events)),
    ):
        assert limiter is not None
        assert ask(first) is None
        wait = ask(second)
        assert wait is not None
        time.now += wait
        assert ask(second) is None


def test_keys_and_addresses_are_counted_apart() -> None:
    limiter = buckets(Time(), per_key=1, per_address=1)
    assert limiter.take_key(b"a", 10) is None
    assert limiter.take_key(b"a", 1) is not None
    assert post(limiter, 10) is None
    assert post(limiter, 1) is not None
    assert limiter.take_key(b"b", 10) is None
    assert post(limiter, 10, address="2001:db8::/64") is None


def test_asking_for_a_key_costs_it_nothing() -> None:
    limiter = buckets(Time(), per_key=1)
    assert all(limiter.key_wait(b"a", 10) is None for _ in range(100))
    assert limiter.take_key(b"a", 10) is None
    assert limiter.key_wait(b"a", 3) == 3


def test_an_address_is_in_debt_with_the_whole_of_a_batch() -> None:
    time = Time()
    limiter = buckets(time, per_address=10)
    assert post(limiter, 1000) is None
    wait = post(limiter, 1)
    assert wait == 91
    time.now += wait
    assert post(limiter, 1) is None


def test_a_key_is_never_in_debt_with_more_than_ten_seconds_worth() -> None:
    """A stranger who posts a thousand events to a key that may have one a second stops it for eleven seconds."""
    time = Time()
    limiter = buckets(time, per_key=1)
    assert limiter.take_key(b"a", 1000) is None
    wait = limiter.take_key(b"a", 1)
    assert wait == 11
    time.now += wait
    assert limiter.take_key(b"a", 1) is None


def test_bytes_cost_as_events_do_whatever_became_of_them() -> None:
    limiter = buckets(Time(), per_address=1)
    charge = Charge(limiter, ADDRESS)
    assert charge.enter(100, 1000) is None
    charge.weigh(100 * EVENT_BYTES)
    wait = post(limiter, 1)
    assert wait == 100 - 10 + 1


def test_a_good_server_key_gives_back_what_was_charged() -> None:
    limiter = buckets(Time(), per_address=1)
    for _ in range(100):
        charge = Charge(limiter, ADDRESS)
        assert charge.enter(5 * EVENT_BYTES, 1000) is None
        charge.give_back()
        assert charge.count(1000) is None
    assert post(limiter, 10) is None


def test_look_ups_of_unknown_keys_have_a_bound_of_their_own() -> None:
    time = Time()
    limiter = buckets(time)
    taken = [limiter.take_look_up(ADDRESS) for _ in range(201)]
    assert taken == [None] * 200 + [1]
    assert limiter.take_look_up("2001:db8::/64") is None
    limiter.return_look_up(ADDRESS)
    assert limiter.take_look_up(ADDRESS) is None
    time.now += 1
    assert [limiter.take_look_up(ADDRESS) for _ in range(21)] == [None] * 20 + [1]


def test_who_has_no_address_is_not_counted() -> None:
    limiter = buckets(Time(), per_address=1)
    assert all(Charge(limiter, None).count(1000) is None for _ in range(100))
    assert all(limiter.take_look_up(None) is None for _ in range(1000))


def test_a_slow_rate_lets_one_pass() -> None:
    limiter = buckets(Time(), per_key=0.01)
    assert limiter.take_key(b"a", 1) is None
    assert limiter.take_key(b"a", 1) == 100


def test_the_number_of_buckets_is_bounded() -> None:
    limiter = buckets(Time(), per_key=1, per_address=1)
    for n in range(rate_limiter._BUCKETS + 10):
        limiter.take_key(str(n).encode(), 1)
        post(limiter, 1, address=str(n))
        limiter.take_look_up(str(n))
    kinds = (limiter._keys, limiter._addresses, limiter._look_ups)
    assert [len(kind.held) for kind in kinds] == [rate_limiter._BUCKETS] * 3


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 30)), max_size=40), st.floats(0.1, 20))
def test_no_more_pass_than_the_rate_and_one_bucket(requests: list[tuple[int, float]], rate: float) -> None:
    time = Time()
    limiter = buckets(time, per_address=rate)
    began, passed, largest = time.now, 0, 0
    for events, pause in requests:
        time.now += pause
        if post(limiter, events) is None:
            passed += events
            largest = max(largest, events)
    burst = max(1.0, rate * TokenBuckets.BURST_SECONDS)
    assert passed <= burst + (time.now - began) * rate + largest + 1e-6

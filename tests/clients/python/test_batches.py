"""The queue, and the batches that it is cut into."""

from __future__ import annotations

import json

import hypothesis.strategies as st
from hypothesis import given

from catchment_client._buffer import OVERHEAD, Buffer, Pending, envelope
from catchment_client._events import Item
from catchment_client._ids import new_id


def pending(number: int, size: int = 100) -> Pending:
    return Pending(Item(str(number), b"x" * size), 0.0, number)


def make_buffer(**limits: int) -> Buffer:
    return Buffer(**{"most_events": 100, "most_bytes": 10**6, "batch_events": 10, "batch_bytes": 10**5, **limits})


def add(buffer: Buffer, one: Pending) -> bool:
    """Whether there was room for it."""
    has_room = buffer.has_room(one.item)
    if has_room:
        buffer.add(one)
    return has_room


def test_a_buffer_is_bounded_in_events_and_bytes_until_they_are_released() -> None:
    buffer = make_buffer(most_events=3)
    assert [add(buffer, pending(n)) for n in range(5)] == [True, True, True, False, False]
    batch = buffer.take()
    assert not add(buffer, pending(9))
    buffer.release(batch[:1])
    assert add(buffer, pending(9))
    assert (buffer.events, buffer.bytes) == (3, 3 * (100 + OVERHEAD))
    small = make_buffer(most_bytes=2 * (100 + OVERHEAD))
    assert [add(small, pending(n)) for n in range(3)] == [True, True, False]


@given(st.lists(st.integers(2, 3000), max_size=60), st.integers(1, 20), st.integers(5000, 20_000))
def test_batches_hold_everything_in_order_and_no_more_than_they_may(sizes: list[int], events: int, bytes_: int) -> None:
    buffer = make_buffer(batch_events=events, batch_bytes=bytes_)
    added = [pending(n, size) for n, size in enumerate(sizes)]
    assert all(add(buffer, one) for one in added)
    batches = []
    while len(buffer):
        was_full = buffer.has_full_batch
        batches.append(buffer.take())
        assert was_full or not len(buffer)
    assert [one for batch in batches for one in batch] == added
    losses = {
        "id": new_id(),
        "counts": dict.fromkeys(["queue_full", "too_large", "expired", "closed", "gave_up"], 10**6),
    }
    for batch in batches:
        assert 1 <= len(batch) <= events
        assert len(envelope(batch, losses)) <= bytes_
    for batch in batches:
        buffer.release(batch)
    assert (buffer.events, buffer.bytes) == (0, 0)


def test_one_event_larger_than_a_batch_goes_alone() -> None:
    buffer = make_buffer(batch_bytes=1000)
    for number in range(2):
        buffer.add(pending(number, 5000))
    assert [len(buffer.take()), len(buffer.take())] == [1, 1]


def sent(buffer: Buffer, most: int, *, giants: tuple[int, ...] = ()) -> tuple[int, int]:
    """Sends a batch to something that takes so many events at once, and none of the giants. How large the batch was,
    and how many requests it took."""
    batch = buffer.take()
    parts, requests = [batch], 0
    while parts:
        part = parts.pop()
        requests += 1
        if len(part) > most or any(one.number in giants for one in part):
            buffer.too_large(part)
            if len(part) > 1:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
        else:
            buffer.passed(part)
    buffer.release(batch)
    return len(batch), requests


def test_a_batch_that_was_too_large_makes_the_next_ones_as_large_as_what_passed() -> None:
    buffer = make_buffer(most_events=10_000, most_bytes=10**7, batch_events=1000)
    for number in range(3000):
        buffer.add(pending(number))
    _, requests = sent(buffer, 10)
    assert requests > 100
    sizes = [sent(buffer, 10) for _ in range(40)]
    assert {size for size, requests in sizes if requests == 1} == {8}
    # larger ones are tried again, ever more rarely
    tried = [number for number, (size, requests) in enumerate(sizes) if requests > 1]
    assert tried == [1, 4, 9, 18, 35]
    assert {sizes[number] for number in tried} == {(16, 3)}


def test_batches_grow_back_to_the_settings_when_larger_ones_pass_again() -> None:
    buffer = make_buffer(most_events=10_000, most_bytes=10**7, batch_events=1000, batch_bytes=60_000)
    for number in range(4000):
        buffer.add(pending(number))
    first, _ = sent(buffer, 10)
    assert first == 573
    sizes = [sent(buffer, 1000)[0] for _ in range(8)]
    assert sizes == [9, 18, 36, 72, 144, 288, 573, 573]


@given(st.sets(st.integers(0, 99), min_size=1, max_size=3))
def test_events_that_are_too_large_alone_make_no_batch_smaller(giants: set[int]) -> None:
    buffer = make_buffer(most_events=1000, batch_events=100)
    for number in range(200):
        buffer.add(pending(number))
    sent(buffer, 100, giants=tuple(giants))
    assert sent(buffer, 100) == (100, 1)


def test_an_envelope_is_json() -> None:
    batch = [Pending(Item("a", b'{"eventId":"a"}'), 0.0), Pending(Item("b", b'{"eventId":"b"}'), 0.0)]
    assert json.loads(envelope(batch, None)) == {"events": [{"eventId": "a"}, {"eventId": "b"}]}
    assert json.loads(envelope(batch, {"id": "x", "counts": {"y": 1}}))["losses"] == {"id": "x", "counts": {"y": 1}}

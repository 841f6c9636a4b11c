"""The pure parts that decide what is sent next, and what a flush is told. Time passes as the test says."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given

from catchment_client._buffer import Pending
from catchment_client._course import FREE, Course
from catchment_client._events import Item
from catchment_client._flushes import Flushes


@pytest.fixture(autouse=True)
def longest_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """No luck."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    monkeypatch.setattr("catchment_client._backoff.delay.__defaults__", (lambda: 1.0,))


def events(count: int, first: int = 1) -> list[Pending]:
    return [Pending(Item(str(number), b"x"), 0.0, number) for number in range(first, first + count)]


class Way:
    """Between a course and a server: lets through what it likes. Keeps what was sent, and when."""

    def __init__(self, passes: Callable[[Pending], bool]) -> None:
        self.passes = passes
        self.course = Course()
        self.now = 0.0
        self.sent: list[tuple[float, list[int]]] = []
        self.through: list[int] = []

    def run(self, until: float) -> None:
        """Sends whatever may be sent by then."""
        course = self.course
        while True:
            due = course.not_before
            if not course.has_parts:
                if course.aside_due is None:
                    return
                due = max(due, course.aside_due)
            if due > until:
                return
            self.now = max(self.now, due)
            part = course.part() if course.has_parts else course.aside()
            self.sent.append((self.now, [one.number for one in part]))
            if all(map(self.passes, part)):
                course.done(part, [])
                course.passed()
                self.through += [one.number for one in part]
            else:
                course.refused(part, self.now, None, too_large=False)


def test_one_bad_event_costs_no_pause_and_holds_up_no_other() -> None:
    for bad in range(1, 65):
        way = Way(lambda one, bad=bad: one.number != bad)
        way.course.begin(events(64))
        way.run(0.0)
        assert sorted(way.through) == [number for number in range(1, 65) if number != bad]
        assert len(way.sent) == 1 + 2 * 6


def test_a_bad_event_is_tried_ever_more_rarely_and_goes_out_when_it_may() -> None:
    way = Way(lambda one: False)
    way.course.begin(events(1))
    way.run(600.0)
    times = [time for time, _ in way.sent]
    assert [after - before for before, after in pairwise(times)][:7] == [0.5, 1, 2, 4, 8, 16, 30]
    assert len(times) < 30
    way.course.begin(events(10, 2))
    way.passes = lambda one: one.number != 1
    way.run(601.0)
    assert way.through == list(range(2, 12))
    way.passes = lambda one: True
    way.run(700.0)
    assert way.through[-1] == 1


def test_a_way_that_lets_nothing_through_is_not_hammered_and_loses_nothing() -> None:
    way = Way(lambda one: False)
    way.course.begin(events(1000))
    way.run(3600.0)
    assert [len(numbers) for _, numbers in way.sent[: FREE + 1]] == [1000, 500, 500]
    assert {len(numbers) for _, numbers in way.sent[FREE + 1 :]} == {1}
    assert len(way.sent) < 3600 / 30 + 15
    way.passes = lambda one: True
    before = len(way.sent)
    way.run(3631.0)
    assert sorted(way.through) == list(range(1, 1001))
    assert len(way.sent) - before < 200


@given(st.sets(st.integers(1, 200), max_size=40))
def test_what_is_good_gets_through_whatever_is_bad(bad: set[int]) -> None:
    way = Way(lambda one: one.number not in bad)
    way.course.begin(events(200))
    way.run(300.0)
    assert sorted(way.through) == [number for number in range(1, 201) if number not in bad]
    assert sorted(one.number for one in way.course.drop(lambda one: True)) == sorted(bad)


def test_a_server_that_names_a_time_is_not_asked_before_not_even_in_haste() -> None:
    course = Course()
    course.begin(events(4))
    course.refused(course.part(), 0.0, 50.0, too_large=False)
    assert course.not_before >= 50.0
    course.hurry()
    assert course.not_before >= 50.0
    assert len(course.part()) == 2


def test_what_is_too_large_is_halved_in_order() -> None:
    course = Course()
    course.begin(events(4))
    course.refused(course.part(), 0.0, None, too_large=True)
    course.split(course.part())
    order = []
    while course.has_parts:
        part = course.part()
        order.append([one.number for one in part])
        course.done(part, [])
    assert order == [[1], [2], [3, 4]]


# flushes


def test_a_flush_waits_for_what_was_there_before_it_and_for_nothing_else() -> None:
    flushes = Flushes()
    first = [Pending(Item("", b""), 0.0, flushes.take()) for _ in range(2)]
    flush = flushes.ask(reports=False)
    later = Pending(Item("", b""), 0.0, flushes.take())
    flushes.settle([later])
    flushes.settle(first[1:])
    flushes.resolve()
    assert not flush.done()
    flushes.settle(first[:1])
    flushes.resolve()
    assert flush.result(0) is True
    assert not flushes
    assert flushes.ask(reports=False).result(0) is True


def test_a_loss_is_told_by_one_flush() -> None:
    flushes = Flushes()
    flushes.lose()
    assert [flushes.ask(reports=False).result(0) for _ in range(2)] == [False, True]
    mine = Pending(Item("", b""), 0.0, flushes.take())
    both = [flushes.ask(reports=False), flushes.ask(reports=False)]
    flushes.lose()  # after they were asked: the next one's to tell
    flushes.settle([mine], lost=True)
    flushes.resolve()
    assert [flush.result(0) for flush in both] == [False, False]
    assert [flushes.ask(reports=False).result(0) for _ in range(2)] == [False, True]


def test_a_flush_that_nobody_waits_for_any_more_tells_nothing() -> None:
    flushes = Flushes()
    one = Pending(Item("", b""), 0.0, flushes.take())
    assert flushes.ask(reports=False).cancel()
    flushes.settle([one], lost=True)
    flushes.resolve()
    assert not flushes
    assert flushes.ask(reports=False).result(0) is False

"""The pulse of workers, as their parent sees it."""

from __future__ import annotations

import pytest

from catchment.adapters.http.engine import pulse
from catchment.adapters.http.engine.pulse import STILL_SECONDS, Pulse


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(pulse.time, "monotonic", lambda: now[0])
    return now


def pass_time(clock: list[float], seen: Pulse, *beating: int, seconds: float = STILL_SECONDS + 2) -> None:
    for _ in range(int(seconds)):
        clock[0] += 1
        for number in beating:
            seen.beat(number)
        seen.look()


def test_a_worker_that_stands_still_is_seen_and_its_successor_begins_anew(clock: list[float]) -> None:
    seen = Pulse(2)
    seen.beat(0)
    seen.beat(1)
    pass_time(clock, seen, 0)
    assert [seen.stands_still(number) for number in (0, 1)] == [False, True]
    seen.begin(1)
    assert not seen.stands_still(1)


def test_a_worker_that_never_begins_is_seen(clock: list[float]) -> None:
    seen = Pulse(2)
    seen.begin(0)
    pass_time(clock, seen, 1, seconds=STILL_SECONDS - 1)
    assert not seen.stands_still(0)
    pass_time(clock, seen, 1, seconds=1)
    assert [seen.stands_still(number) for number in (0, 1)] == [True, False]


def test_one_that_is_late_is_not_still(clock: list[float]) -> None:
    seen = Pulse(1)
    seen.beat(0)
    for _ in range(3):
        pass_time(clock, seen, seconds=STILL_SECONDS - 2)
        assert not seen.stands_still(0)
        pass_time(clock, seen, 0, seconds=1)


def test_a_parent_that_slept_blames_nobody(clock: list[float]) -> None:
    seen = Pulse(1)
    seen.beat(0)
    seen.look()
    clock[0] += 3600
    seen.look()
    assert not seen.stands_still(0)

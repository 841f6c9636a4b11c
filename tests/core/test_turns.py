"""Whose turn it is, on a clock that is told."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

import pytest

from catchment.adapters.memory.parts import ToldClock
from catchment.core.collecting.turns import TURN, Places, Turn
from catchment.core.errors import Unavailable

from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test

WORK = timedelta(seconds=TURN / 2)


async def test_batches_that_came_first_are_done_first_and_others_go_on() -> None:
    clock = ToldClock()
    turn = Turn(clock)
    done: list[str] = []

    async def batch(name: str) -> None:
        job = turn.job("81.2.69.142")
        for _ in range(4):
            if job.over(clock.monotonic()):
                await job.come(until=60)
            clock.advance(WORK)
            done.append(name)

    async def others() -> None:
        while done.count("c") < 4:
            done.append("-")
            await asyncio.sleep(0)

    tasks = [asyncio.ensure_future(work) for work in (batch("a"), batch("b"), batch("c"), others())]
    await asyncio.gather(*tasks)
    assert "".join(done).replace("-", "") == "aaaabbbbcccc"
    assert [len(work) for work in "".join(done).split("-") if work] == [2] * 6


async def test_what_takes_no_time_waits_for_nothing() -> None:
    clock = ToldClock()
    turn = Turn(clock)
    assert not any(turn.over(clock.monotonic()) for _ in range(100))


async def test_what_would_begin_too_late_is_told_so() -> None:
    clock = ToldClock()
    turn = Turn(clock)
    places = Places(turn, clock)
    async with places.take(turn.job(), until=1):
        clock.advance(timedelta(seconds=1))
    with pytest.raises(Unavailable):
        async with places.take(turn.job(), until=1):
            raise AssertionError("it began")


async def test_what_waits_for_its_turn_until_it_is_too_late_is_told_so() -> None:
    clock = ToldClock()
    turn = Turn(clock)
    places = Places(turn, clock)
    assert not turn.over(clock.monotonic())
    clock.advance(timedelta(seconds=TURN))
    assert turn.over(clock.monotonic())
    asyncio.get_running_loop().call_soon(clock.advance, timedelta(seconds=TURN))  # before the next round
    with pytest.raises(Unavailable):
        async with places.take(turn.job(), until=2 * TURN):
            raise AssertionError("it began")


async def test_no_place_is_lost_whatever_becomes_of_who_took_it_or_waited_for_it() -> None:
    clock = ToldClock()
    turn = Turn(clock)
    places = Places(turn, clock)
    go_on = asyncio.Event()
    begun = []

    async def work(number: int) -> None:
        async with places.take(turn.job(), until=60):
            begun.append(number)
            await go_on.wait()
            raise ValueError(number)

    async def impatient() -> None:
        async with places.take(turn.job(), until=0.01):
            raise AssertionError("there was no place")

    workers = [asyncio.ensure_future(work(number)) for number in range(130)]
    await eventually(lambda: len(begun) == 64, "all places are taken")
    workers[70].cancel()
    workers[3].cancel()
    with pytest.raises(Unavailable):
        await impatient()
    go_on.set()
    ended = await asyncio.gather(*workers, return_exceptions=True)
    assert begun == [number for number in range(130) if number != 70]
    assert sum(isinstance(error, ValueError) for error in ended) == 128
    async with contextlib.AsyncExitStack() as taken:
        for _ in range(64):
            await taken.enter_async_context(places.take(turn.job(), until=60))
        with pytest.raises(Unavailable):
            await impatient()


async def test_an_address_has_some_of_the_places_at_most() -> None:
    clock = ToldClock()
    turn = Turn(clock)
    places = Places(turn, clock)
    go_on = asyncio.Event()
    begun: list[str] = []

    async def work(address: str) -> None:
        async with places.take(turn.job(address), until=60):
            begun.append(address)
            await go_on.wait()

    workers = [asyncio.ensure_future(work("flood")) for _ in range(100)]
    await eventually(lambda: begun == ["flood"] * 16, "the address has its share")
    workers += [asyncio.ensure_future(work(address)) for address in ("a", "b")]
    await eventually(lambda: begun[16:] == ["a", "b"], "others find a place")
    go_on.set()
    await asyncio.gather(*workers)
    assert len(begun) == 102
    assert (places._taken, places._taken_of) == (0, {})


@pytest.mark.parametrize("large", [False, True])
async def test_who_has_used_less_goes_first_and_small_before_large(large: bool) -> None:
    """A flood from one address, or of large batches, leaves the others a turn in the next rounds."""
    clock = ToldClock()
    turn = Turn(clock)
    places = Places(turn, clock)
    done: list[str] = []

    async def batch(name: str, address: str, large: bool) -> None:
        job = turn.job(address, large=large)
        async with places.take(job, until=60):
            for _ in range(4):
                if job.over(clock.monotonic()):
                    await job.come(until=60)
                clock.advance(WORK)
                done.append(name)

    flood = [asyncio.ensure_future(batch("flood", f"{n}" if large else "flood", large)) for n in range(100)]
    await eventually(lambda: len(done) > 10, "the flood is being worked on")
    before = len(done)
    await batch("good", "good", False)
    first = done[before:].index("good")
    assert first <= 4, done[before:]
    assert done[before + first :][:8].count("good") == 4
    await asyncio.gather(*flood)


async def test_what_an_address_used_is_forgotten() -> None:
    clock = ToldClock()
    turn = Turn(clock)
    for n in range(1000):
        turn.use(str(n), 0.002, clock.monotonic())
    clock.advance(timedelta(seconds=2))
    turn.use("last", 0.002, clock.monotonic())
    assert set(turn._used) == {"last"}


async def test_a_large_batch_that_took_long_rests_while_small_ones_go_on() -> None:
    clock = ToldClock()
    turn = Turn(clock)
    done: list[str] = []

    async def batch(name: str, large: bool, takes: float) -> None:
        job = turn.job(name, large=large)
        await job.come(until=60)
        for _ in range(3):
            if job.over(clock.monotonic()):
                await job.come(until=60)
            clock.advance(timedelta(seconds=takes))
            done.append(name)

    large = asyncio.ensure_future(batch("large", True, 0.05))
    await eventually(lambda: done == ["large"], "it has begun")
    await batch("small", False, TURN)
    assert done == ["large", *["small"] * 3]
    clock.advance(timedelta(seconds=0.05))  # it has rested as long as it took
    await eventually(lambda: done.count("large") == 2, "it goes on")
    clock.advance(timedelta(seconds=0.05))
    await large

"""The scheduler of batches and its semaphore, on a clock that the tests set."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

import pytest

from catchment.adapters.memory.parts import ToldClock
from catchment.core.collecting.scheduler import SLICE, FairSemaphore, Job, Scheduler
from catchment.core.errors import Unavailable

from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test

WORK = timedelta(seconds=SLICE / 2)


def job_of(scheduler: Scheduler, share: str | None = None, *, deadline: float = 60, large: bool = False) -> Job:
    return scheduler.job(share, arrived=0, deadline=deadline, large=large)


async def test_older_batches_are_done_first_and_other_work_goes_on() -> None:
    clock = ToldClock()
    scheduler = Scheduler(clock)
    done: list[str] = []

    async def batch(name: str) -> None:
        job = job_of(scheduler, "81.2.69.142")
        for _ in range(4):
            if job.slice_over(clock.monotonic()):
                await job.wait_for_slice()
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


async def test_work_that_takes_no_time_does_not_wait() -> None:
    clock = ToldClock()
    scheduler = Scheduler(clock)
    assert not any(scheduler.slice_over(clock.monotonic()) for _ in range(100))


async def test_a_job_that_comes_too_late_to_begin_is_refused() -> None:
    clock = ToldClock()
    scheduler = Scheduler(clock)
    slots = FairSemaphore(scheduler)
    clock.advance(timedelta(seconds=2.9))
    async with slots.acquire(job_of(scheduler, deadline=4)):
        clock.advance(timedelta(seconds=0.1))
    with pytest.raises(Unavailable):
        async with slots.acquire(job_of(scheduler, deadline=4)):
            raise AssertionError("it began")


async def test_a_job_that_waits_until_it_is_too_late_to_begin_is_refused() -> None:
    clock = ToldClock()
    scheduler = Scheduler(clock)
    slots = FairSemaphore(scheduler)
    assert not scheduler.slice_over(clock.monotonic())
    clock.advance(timedelta(seconds=SLICE))
    assert scheduler.slice_over(clock.monotonic())
    asyncio.get_running_loop().call_soon(clock.advance, timedelta(seconds=SLICE))  # before the next round
    with pytest.raises(Unavailable):
        async with slots.acquire(job_of(scheduler, deadline=SLICE)):
            raise AssertionError("it began")


async def test_no_slot_is_lost_if_jobs_fail_or_are_cancelled() -> None:
    clock = ToldClock()
    scheduler = Scheduler(clock)
    slots = FairSemaphore(scheduler)
    go_on = asyncio.Event()
    begun = []

    async def work(number: int) -> None:
        async with slots.acquire(job_of(scheduler)):
            begun.append(number)
            await go_on.wait()
            raise ValueError(number)

    async def impatient() -> None:
        async with slots.acquire(job_of(scheduler, deadline=0.01)):
            raise AssertionError("there was no slot")

    workers = [asyncio.ensure_future(work(number)) for number in range(130)]
    await eventually(lambda: len(begun) == 64, "all slots are taken")
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
            await taken.enter_async_context(slots.acquire(job_of(scheduler)))
        with pytest.raises(Unavailable):
            await impatient()


async def test_one_address_gets_a_part_of_the_slots() -> None:
    clock = ToldClock()
    scheduler = Scheduler(clock)
    slots = FairSemaphore(scheduler)
    go_on = asyncio.Event()
    begun: list[str] = []

    async def work(address: str) -> None:
        async with slots.acquire(job_of(scheduler, address)):
            begun.append(address)
            await go_on.wait()

    workers = [asyncio.ensure_future(work("flood")) for _ in range(100)]
    await eventually(lambda: begun == ["flood"] * 16, "the address has its share")
    workers += [asyncio.ensure_future(work(address)) for address in ("a", "b")]
    await eventually(lambda: begun[16:] == ["a", "b"], "others get a slot")
    go_on.set()
    await asyncio.gather(*workers)
    assert len(begun) == 102
    assert (slots._taken, slots._taken_of) == (0, {})


async def test_a_job_that_has_begun_in_time_goes_on_until_its_end() -> None:
    clock = ToldClock()
    scheduler = Scheduler(clock)
    slots = FairSemaphore(scheduler)
    job = job_of(scheduler, deadline=4)
    async with slots.acquire(job):
        clock.advance(timedelta(seconds=3.5))
    async with slots.acquire(job):
        clock.advance(timedelta(seconds=0.5))
    with pytest.raises(Unavailable):
        async with slots.acquire(job):
            raise AssertionError("it went on")


async def test_a_job_that_comes_back_goes_before_those_that_came_later() -> None:
    """A batch is read in one slot and checked in another, after its key was looked up. It must not queue again behind
    the batches that came meanwhile."""
    clock = ToldClock()
    scheduler = Scheduler(clock)
    slots = FairSemaphore(scheduler)
    done: list[str] = []

    async def work(name: str, job: Job) -> None:
        async with slots.acquire(job):
            done.append(name)

    old = job_of(scheduler, "one")
    await work("read", old)
    async with contextlib.AsyncExitStack() as taken:
        for _ in range(16):
            await taken.enter_async_context(slots.acquire(job_of(scheduler, "one")))
        newcomers = [asyncio.ensure_future(work("new", job_of(scheduler, "one"))) for _ in range(3)]
        await eventually(lambda: sum(map(len, slots._waiting.values())) == 3, "the newcomers wait")
        back = asyncio.ensure_future(work("checked", old))
        await eventually(lambda: sum(map(len, slots._waiting.values())) == 4, "the old one waits, too")
    await asyncio.gather(back, *newcomers)
    assert done == ["read", "checked", "new", "new", "new"]


@pytest.mark.parametrize("large", [False, True])
async def test_the_address_that_used_less_goes_first_and_small_before_large(large: bool) -> None:
    """A flood from one address, or of large batches, leaves time for the others in the next rounds."""
    clock = ToldClock()
    scheduler = Scheduler(clock)
    slots = FairSemaphore(scheduler)
    done: list[str] = []

    async def batch(name: str, address: str, large: bool) -> None:
        job = job_of(scheduler, address, large=large)
        async with slots.acquire(job):
            for _ in range(4):
                if job.slice_over(clock.monotonic()):
                    await job.wait_for_slice()
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


async def test_the_used_time_of_an_address_is_forgotten() -> None:
    clock = ToldClock()
    scheduler = Scheduler(clock)
    for n in range(1000):
        scheduler.charge(str(n), 0.002, clock.monotonic())
    clock.advance(timedelta(seconds=2))
    scheduler.charge("last", 0.002, clock.monotonic())
    assert set(scheduler._used) == {"last"}


async def test_a_large_batch_that_took_long_rests_while_small_ones_go_on() -> None:
    clock = ToldClock()
    scheduler = Scheduler(clock)
    done: list[str] = []

    async def batch(name: str, large: bool, takes: float) -> None:
        job = job_of(scheduler, name, large=large)
        await job.wait_for_slice()
        for _ in range(3):
            if job.slice_over(clock.monotonic()):
                await job.wait_for_slice()
            clock.advance(timedelta(seconds=takes))
            done.append(name)

    large = asyncio.ensure_future(batch("large", True, 0.05))
    await eventually(lambda: done == ["large"], "it has begun")
    await batch("small", False, SLICE)
    assert done == ["large", *["small"] * 3]
    clock.advance(timedelta(seconds=0.05))  # it has rested as long as it took
    await eventually(lambda: done.count("large") == 2, "it goes on")
    clock.advance(timedelta(seconds=0.05))
    await large

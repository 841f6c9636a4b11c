"""Tasks that run beside the requests."""

from __future__ import annotations

import asyncio

import pytest

from catchment.core.tasks import end, regularly


@pytest.mark.gen_test
async def test_a_step_that_fails_is_told_and_comes_again() -> None:
    told: list[Exception] = []
    again = asyncio.Event()

    async def step() -> None:
        if len(told) == 2:
            again.set()
        else:
            raise OSError("disk")

    task = asyncio.create_task(regularly(step, 0.0, failed=told.append))
    async with asyncio.timeout(10):
        await again.wait()
    await end(task)
    assert [str(error) for error in told] == ["disk", "disk"]
    assert task.cancelled()

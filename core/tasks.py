"""Asyncio tasks that run beside the requests, and their end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def regularly(
    step: Callable[[], Awaitable[object]], seconds: float, *, failed: Callable[[Exception], object]
) -> None:
    """Run a step again and again, with a pause of `seconds` before each. An exception is told to `failed`, and never
    ends the loop."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await step()
        except Exception as error:
            failed(error)


async def end(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel tasks and wait for their end.

    Cancels again until a task ends: up to Python 3.11 `asyncio.wait_for` loses a cancellation that comes together with
    its result.
    """
    left = {task for task in tasks if task is not None and not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.1)

"""Ending asyncio tasks."""

from __future__ import annotations

import asyncio
from typing import Any


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

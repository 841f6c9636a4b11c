"""Waiting for something to come true, with a deadline: never for a time to pass."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

DEADLINE = 15.0
"""Seconds. Far more than anything here takes: who meets it hangs."""


async def eventually(condition: Callable[[], Any | Awaitable[Any]], what: str, within: float = DEADLINE) -> Any:
    """What `condition` returns as soon as that is true. Fails, saying what was waited for, at the deadline."""
    end = time.monotonic() + within
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {within} s in vain until {what}")
        await asyncio.sleep(0.01)

"""Waiting for something to come true, with a deadline: never for a time to pass."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

DEADLINE = 30.0
"""Seconds. Far more than anything here takes: a test that meets it hangs."""
_PAUSE, _LONGEST_PAUSE = 0.01, 0.1
"""Seconds between two looks. They grow with the time waited: a look can cost as much as what it looks at."""


class TookTooLong(AssertionError):
    """A test, or something it waits for, took longer than it may."""


async def eventually(
    condition: Callable[[], Any | Awaitable[Any]], what: str, within: float = DEADLINE, *, state: object = ""
) -> Any:
    """Return what `condition` returns, as soon as that is true. Raises `TookTooLong` at the deadline, with `what` was
    waited for, and `state` as it is then."""
    start = time.monotonic()
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(_pause(start, what, within, state))


def wait_until(condition: Callable[[], Any], what: str, within: float = DEADLINE, *, state: object = "") -> Any:
    """Do what `eventually` does, in a test without an event loop."""
    start = time.monotonic()
    while not (found := condition()):
        time.sleep(_pause(start, what, within, state))
    return found


def _pause(start: float, what: str, within: float, state: object) -> float:
    """Return the seconds until the next look: a tenth of the time since `start`, within bounds."""
    waited = time.monotonic() - start
    if waited > within:
        raise TookTooLong(f"waited {within} s in vain until {what} {state}".rstrip())
    return min(max(waited / 10, _PAUSE), _LONGEST_PAUSE)

"""Waiting for something to come true, with a deadline: never for a time to pass."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

DEADLINE = 30.0
"""Seconds. Far more than anything here takes: a test that meets it hangs."""
_PAUSE = 0.01


class TookTooLong(AssertionError):
    """A test, or something it waits for, took longer than it may."""


async def eventually(
    condition: Callable[[], Any | Awaitable[Any]], what: str, within: float = DEADLINE, *, state: object = ""
) -> Any:
    """Return what `condition` returns, as soon as that is true. Raises `TookTooLong` at the deadline, with `what` was
    waited for, and `state` as it is then."""
    end = time.monotonic() + within
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        _check_deadline(end, what, within, state)
        await asyncio.sleep(_PAUSE)


def wait_until(condition: Callable[[], Any], what: str, within: float = DEADLINE, *, state: object = "") -> Any:
    """Do what `eventually` does, in a test without an event loop."""
    end = time.monotonic() + within
    while not (found := condition()):
        _check_deadline(end, what, within, state)
        time.sleep(_PAUSE)
    return found


def _check_deadline(end: float, what: str, within: float, state: object) -> None:
    if time.monotonic() > end:
        raise TookTooLong(f"waited {within} s in vain until {what} {state}".rstrip())

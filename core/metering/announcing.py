"""Announces the states that quotas enter.

The transaction that leads to a state writes a row (see `QuotaStates`). Every server looks for rows every few seconds.
It claims a few, and tells those who want to know: at least once, in order for each quota. If one of them fails, the
change is told to all of them again, a minute later, then after longer pauses.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Protocol

from ..errors import Unavailable
from .ladder import QuotaStateChange
from .ports import QuotaStates

log = logging.getLogger(__name__)

_EVERY_SECONDS = 5.0
_AT_ONCE = 5
"""Changes that are claimed together. All of them are told before another server may claim them: see `QuotaStates`."""


class StateListeners(Protocol):
    """Those who want to know the states of quotas: the plugins."""

    async def announce(self, change: QuotaStateChange) -> bool:
        """Tell all of them. Return True if all have taken it, or if there is none. Raise nothing."""


class Announcer:
    """Announces changes while a server runs."""

    def __init__(self, states: QuotaStates, listeners: StateListeners) -> None:
        self._states = states
        self._listeners = listeners
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._failing = False

    def start(self) -> None:
        """Announce every few seconds from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="announcer of quotas")

    async def close(self) -> None:
        """End after the change that is being announced. What is left is for other servers, or for the next start."""
        self._closing.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not self._closing.is_set():
            try:
                await self.once()
                self._failing = False
            except Exception as error:  # the next time must come
                if not self._failing:
                    log.warning(
                        "states of quotas are not announced now, and are tried again: %s",
                        error if isinstance(error, Unavailable) else type(error).__name__,
                    )
                self._failing = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_SECONDS):
                    await self._closing.wait()

    async def once(self) -> int:
        """Announce what there is. Return how many changes were taken. Raises `Unavailable`."""
        taken = 0
        while changes := await self._states.claim(_AT_ONCE):
            for change in changes:
                if self._closing.is_set():
                    return taken
                if await self._listeners.announce(change):
                    await self._states.announced(change)
                    taken += 1
        return taken

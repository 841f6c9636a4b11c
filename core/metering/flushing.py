"""Writes regularly what a server adds up in memory."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0


class Flushing:
    """Calls each of a few functions every few seconds, and once more at the end. One that fails does not end it."""

    def __init__(self, *flushes: Callable[[], Awaitable[None]]) -> None:
        self._flushes = flushes
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def start(self) -> None:
        """Write every few seconds from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="flushing")

    async def close(self) -> None:
        """Write what is left, once, and end."""
        self._closing.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        ending = False
        while not ending:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._closing.wait()
            ending = self._closing.is_set()
            for flush in self._flushes:
                try:
                    await flush()
                except Exception as error:  # the others go on
                    log.error("what was added up in memory was not written: %s", type(error).__name__)

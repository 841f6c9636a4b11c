"""An event loop in a thread of its own: browsers live in it for the whole session, and tests take turns in it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

HANGS = 120.0
"""Seconds after which a test here hangs for sure."""


class Loop:
    """Runs coroutines in its thread, one after the other."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="browsers")

    def __enter__(self) -> Loop:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T], within: float = HANGS) -> T:
        """What the coroutine returns."""

        async def bounded() -> T:
            async with asyncio.timeout(within):
                return await work

        return asyncio.run_coroutine_threadsafe(bounded(), self._loop).result()

"""Turns: what takes the processor's time is done by a few at a time; the rest wait in the order in which they came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .errors import Unavailable

TURN = 0.005
"""Seconds for which one kind of work is done before everything else on the event loop has its turn."""


class Turns:
    """So many `places` for those who work at the same time.

    ::

        turns = Turns(8)
        async with turns.take(patience=0.5):
            …
    """

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)
        self.taken = 0

    @asynccontextmanager
    async def take(self, *, patience: float) -> AsyncIterator[None]:
        """A place, as soon as one is free. Raises `Unavailable` after `patience` seconds of waiting: what begins late
        would be late after all its work, and would make the next ones late."""
        try:
            if patience <= 0:
                raise TimeoutError
            if self._places.locked():
                async with asyncio.timeout(patience):
                    await self._places.acquire()
            else:
                await self._places.acquire()  # at once
        except TimeoutError:
            raise Unavailable("too many others came before it") from None
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._places.release()

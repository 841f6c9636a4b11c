"""Whose turn it is: batches take the processor's time, and everybody else on the event loop waits meanwhile.

So all of them together have one `Turn` in every round of the loop, in the order in which they came. Of too many that
come together some are done in time and the others are told so, instead of all of them being late.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .errors import Unavailable
from .ports import Clock

TURN = 0.005
"""Seconds."""
_PLACES = 64
"""So many wait in the loop's rounds, where each costs some microseconds a round; the rest wait outside."""
_TOO_MUCH = "the server has too much to do"


class Turn:
    """The time for work on batches in one round of the event loop: `TURN` seconds from the first who asks for it on.

    ::

        if turn.over(clock.monotonic()):
            await turn.come(until=deadline)
        …  # a piece of work
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends: float | None = None

    def over(self, now: float) -> bool:
        """Whether the next piece of work is for the next round."""
        if self._ends is None:
            self._ends = now + TURN
            asyncio.get_running_loop().call_soon(self._next_round)
        return now >= self._ends

    def _next_round(self) -> None:
        self._ends = None

    async def come(self, *, until: float) -> None:
        """Waits for a round that has time left. Those who wait keep their order. Raises `Unavailable` at `until`."""
        while True:
            now = self._clock.monotonic()
            if now >= until:
                raise Unavailable(_TOO_MUCH)
            if not self.over(now):
                return
            await asyncio.sleep(0)


class Places:
    """Work that begins in the order in which it came.

    ::

        async with places.take(until=clock.monotonic() + 2.5):
            …
    """

    def __init__(self, turn: Turn, clock: Clock) -> None:
        self._turn = turn
        self._clock = clock
        self._places = asyncio.Semaphore(_PLACES)

    @asynccontextmanager
    async def take(self, *, until: float) -> AsyncIterator[None]:
        """A place, when it is its turn. Raises `Unavailable` where that would be after `until`: what begins late would
        be late after all its work, and would make the next ones late."""
        try:
            if self._places.locked():
                async with asyncio.timeout(until - self._clock.monotonic()):
                    await self._places.acquire()
            else:
                await self._places.acquire()  # at once
        except TimeoutError:
            raise Unavailable(_TOO_MUCH) from None
        try:
            await self._turn.come(until=until)
            yield
        finally:
            self._places.release()

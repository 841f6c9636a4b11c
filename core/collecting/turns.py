"""Whose turn it is: batches take the processor's time, and everybody else on the event loop waits meanwhile.

So all of them together have one `Turn` in every round of the loop. First goes whose address has used the least time
lately for others of its batches, small ones before large ones, then who came first. So neither one address nor large
batches hold up the others, and what has begun is finished. Under overload, some batches finish in time and the rest
are refused early.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import nsmallest

from ..errors import Unavailable
from ..ports import Clock

TURN = 0.005
"""Seconds."""
_BEHIND = 0.25
"""Seconds that a large batch stands back: those of addresses that have used less go first, if they are small."""
_QUICK = 0.02
"""Seconds that a small batch may take. If it takes longer it stands back, as a large one does."""
_LONGEST_REST = 0.1
"""Seconds that large batches rest at most after one of them took longer than its round."""
_WOKEN = 8
"""So many who wait are woken in a round; those for whom no time is left wait on."""
_PLACES = 64
"""So many may have begun; the rest wait outside."""
_PLACES_OF_ONE = 16
"""So many of them may be one address's."""
_PLACES_OF_LARGE = 48
"""So many of them may be those of large batches."""
_HALF_LIFE = 1.0
"""Seconds after which used time counts half."""
_NOTHING = 0.001
"""Seconds of used time that are forgotten."""
_TOO_MUCH = "the server has too much to do"

Rank = tuple[float, int]


class Turn:
    """The time for work on batches in one round of the event loop: `TURN` seconds from the first who asks for it on.

    ::

        job = turn.job(share)
        if job.over(clock.monotonic()):
            await job.come(until=deadline)
        …  # a piece of work
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._ends: float | None = None
        self._scheduled = False
        self._resting: asyncio.TimerHandle | None = None
        self._waiting: dict[Job, asyncio.Future[None]] = {}
        self._numbers = 0
        # By address. Who used next to nothing is forgotten within seconds, so it holds few.
        self._used: dict[str, float] = {}
        self._halved = clock.monotonic()
        self._large_from = 0.0
        """Until then no large batch goes on: one has taken longer than its round, and others get as much time."""

    def job(self, share: str | None = None, *, large: bool = False) -> Job:
        """Return a new piece of work for this address; None is nobody's."""
        self._numbers += 1
        return Job(self, share, large, self._numbers)

    def rank(self, job: Job) -> Rank:
        """Return what stands first where it is least."""
        others = self._used.get(job.share, 0.0) - job.used if job.share is not None else 0.0
        return max(0.0, others) + (_BEHIND if job.large else max(0.0, job.used - _QUICK)), job.number

    def over(self, now: float) -> bool:
        """Say whether the next piece of work is for the next round."""
        if self._ends is None:
            self._ends = now + TURN
            self._schedule()
        return now >= self._ends

    def use(self, share: str | None, seconds: float, now: float) -> None:
        """Note that an address has used this time."""
        if now - self._halved >= _HALF_LIFE:
            halvings = int(min(60.0, (now - self._halved) / _HALF_LIFE))
            self._used = {one: left for one, used in self._used.items() if (left := used / 2**halvings) > _NOTHING}
            self._halved = now
        if share is not None:
            self._used[share] = self._used.get(share, 0.0) + seconds

    def rest(self, job: Job, now: float) -> None:
        """Let large batches rest if this one took longer than its round: as long as that was."""
        longer = now - self._ends if self._ends is not None else 0.0
        if job.large and longer > TURN:
            self._large_from = now + min(longer, _LONGEST_REST)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        self._scheduled, self._ends = False, None
        if not self._waiting:
            return
        now = self.clock.monotonic()
        rest = self._large_from - now
        ready = [job for job in self._waiting if not job.large] if rest > 0 else self._waiting
        chosen = nsmallest(_WOKEN, ready, key=self.rank)
        for job in (*chosen, *(job for job in self._waiting if job.until <= now)):
            woken = self._waiting.pop(job, None)
            if woken is not None and not woken.done():
                woken.set_result(None)
        if not self._waiting:
            return
        if chosen or rest <= 0:
            self._schedule()
        elif self._resting is None:  # nobody is there but large ones
            self._resting = asyncio.get_running_loop().call_later(rest, self._rested)

    def _rested(self) -> None:
        self._resting = None
        self._schedule()

    async def come(self, job: Job) -> float:
        """Wait for a round that has time left for this job; return the moment. Raise `Unavailable` at its `until`."""
        now = self.clock.monotonic()
        stands_back = bool(self._waiting) or (job.large and now < self._large_from)
        while True:
            if now >= job.until:
                raise Unavailable(_TOO_MUCH)
            if not stands_back and not self.over(now):
                return now
            stands_back = False
            woken = self._waiting[job] = asyncio.get_running_loop().create_future()
            self._schedule()
            try:
                await woken
            finally:
                self._waiting.pop(job, None)
            now = self.clock.monotonic()


class Job:
    """The work on one batch: whose it is, and how much time it takes."""

    __slots__ = ("_since", "_turn", "large", "number", "share", "until", "used")

    def __init__(self, turn: Turn, share: str | None, large: bool, number: int) -> None:
        self._turn = turn
        self._since: float | None = None
        self.share = share
        self.large = large
        self.number = number
        self.used = 0.0
        self.until = 0.0

    def over(self, now: float) -> bool:
        """Say whether its next piece of work is for the next round."""
        return self._turn.over(now)

    async def come(self, *, until: float) -> None:
        """Wait for a round that has time left. Raise `Unavailable` at `until`."""
        self.pause()
        self.until = until
        self._since = await self._turn.come(self)

    def pause(self) -> None:
        """Note what it has used."""
        if self._since is not None:
            now = self._turn.clock.monotonic()
            self.used += now - self._since
            self._turn.use(self.share, now - self._since, now)
            self._turn.rest(self, now)
            self._since = None


class Places:
    """Work that begins in its turn, so much of it at a time.

    ::

        async with places.take(turn.job(share), until=clock.monotonic() + 2.5):
            …
    """

    def __init__(self, turn: Turn, clock: Clock) -> None:
        self._turn = turn
        self._clock = clock
        self._taken = 0
        self._taken_by_large = 0
        self._taken_of: dict[str, int] = {}
        self._waiting: dict[tuple[str | None, bool], deque[tuple[Job, asyncio.Future[None]]]] = {}
        """By address, small and large ones apart: each in order. They are bounded by what they hold of the memory."""

    @asynccontextmanager
    async def take(self, job: Job, *, until: float) -> AsyncIterator[None]:
        """A place, when it is its turn. Raises `Unavailable` where that would be after `until`: what begins late would
        be late after all its work, and would make the next ones late."""
        if self._taken < _PLACES and self._may_have_one(job):
            self._give(job)
        else:
            await self._wait(job, until)
        try:
            await job.come(until=until)
            yield
        finally:
            job.pause()
            self._release(job)

    def _may_have_one(self, job: Job) -> bool:
        if job.large and self._taken_by_large >= _PLACES_OF_LARGE:
            return False
        return job.share is None or self._taken_of.get(job.share, 0) < _PLACES_OF_ONE

    def _give(self, job: Job) -> None:
        self._taken += 1
        self._taken_by_large += job.large
        if job.share is not None:
            self._taken_of[job.share] = self._taken_of.get(job.share, 0) + 1

    def _release(self, job: Job) -> None:
        self._taken -= 1
        self._taken_by_large -= job.large
        if job.share is not None:
            self._taken_of[job.share] -= 1
            if not self._taken_of[job.share]:
                del self._taken_of[job.share]
        while self._taken < _PLACES and self._let_in():
            pass

    async def _wait(self, job: Job, until: float) -> None:
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault((job.share, job.large), deque()).append((job, given))
        try:
            async with asyncio.timeout(until - self._clock.monotonic()):
                await given
        except BaseException as error:
            if given.done() and not given.cancelled():  # it came at the same moment
                self._release(job)
            given.cancel()
            if isinstance(error, TimeoutError):
                raise Unavailable(_TOO_MUCH) from None
            raise

    def _let_in(self) -> bool:
        """Give a place to the first of those who may have one; say whether there was one."""
        heads = [head for queue in list(self._waiting) if (head := self._head(queue)) is not None]
        eligible = [head for head in heads if self._may_have_one(head[0])]
        if not eligible:
            return False
        job, given = min(eligible, key=lambda head: self._turn.rank(head[0]))
        self._waiting[job.share, job.large].popleft()
        self._give(job)
        given.set_result(None)
        return True

    def _head(self, of: tuple[str | None, bool]) -> tuple[Job, asyncio.Future[None]] | None:
        queue = self._waiting[of]
        while queue and queue[0][1].done():  # those who gave up
            queue.popleft()
        if not queue:
            del self._waiting[of]
            return None
        return queue[0]

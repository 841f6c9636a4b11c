"""Schedules the work on batches, so that they do not hold up everybody else on the event loop.

All batches together get one time slice in every round of the event loop. The scheduler gives it first to the address
whose other batches used the least time lately, then to small batches before large ones, then to the oldest. So neither
one address nor large batches hold up the others, and a batch that has begun is finished. A semaphore bounds the number
of batches in work. Under overload, some batches finish in time and the rest are refused early.

This is in the core because it is a rule of ours, who is served first, and both the reading and the checking of a batch
obey it. It waits with asyncio, and does no I/O.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import heappop, heappush, nsmallest

from ..errors import Unavailable
from ..ports import Clock

SLICE = 0.005
"""Seconds of a round that are for batches."""
_BEHIND = 0.25
"""Seconds of used time that a large batch is charged in advance: small ones of other addresses go first."""
_QUICK = 0.02
"""Seconds that a small batch may take. If it takes longer it ranks lower, as a large one does."""
_LONGEST_REST = 0.1
"""Seconds that large batches rest at most after one of them took longer than its slice."""
_WOKEN = 8
"""Jobs woken in a round. Those that find no time left wait on."""
_SLOTS = 64
"""Batches in work; the rest wait."""
_SLOTS_OF_ONE = 16
"""Batches of one address in work."""
_SLOTS_OF_LARGE = 48
"""Large batches in work."""
_HALF_LIFE = 1.0
"""Seconds after which used time counts half."""
_NOTHING = 0.001
"""Seconds of used time that are forgotten."""
_BEGIN_WITHIN = 0.75
"""The part of its time in which a job must begin. The rest is for its work and for storing."""
_TOO_MUCH = "the server has too much to do"

Rank = tuple[float, int]
_Entry = tuple[int, "Job", "asyncio.Future[None]"]
"""A job that waits for a slot: its number, itself, and the future that gives it the slot."""


class Scheduler:
    """Shares out the time slice of each round of the event loop. It begins when the first job asks for it.

    ::

        job = scheduler.job(share, arrived=now, deadline=now + 5)
        if job.slice_over(clock.monotonic()):
            await job.wait_for_slice()
        …  # a piece of work
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._ends: float | None = None
        self._scheduled = False
        self._resting: asyncio.TimerHandle | None = None
        self._waiting: dict[Job, asyncio.Future[None]] = {}
        self._numbers = 0
        # By address. An address that used next to nothing is forgotten within seconds, so the table stays small.
        self._used: dict[str, float] = {}
        self._halved = clock.monotonic()
        self._large_from = 0.0
        """The time until which large batches rest: one took longer than its slice, and others get as much time."""

    def job(self, share: str | None = None, *, arrived: float, deadline: float, large: bool = False) -> Job:
        """Return a new job for this address; None: nobody is charged. Both times are by `Clock.monotonic`."""
        self._numbers += 1
        begin_by = arrived + _BEGIN_WITHIN * (deadline - arrived)
        return Job(self, share, large, begin_by, deadline, self._numbers)

    def rank(self, job: Job) -> Rank:
        """Return the job's rank. The least goes first."""
        others = self._used.get(job.share, 0.0) - job.used if job.share is not None else 0.0
        return max(0.0, others) + (_BEHIND if job.large else max(0.0, job.used - _QUICK)), job.number

    def slice_over(self, now: float) -> bool:
        """Return True if the time slice of this round is used up."""
        if self._ends is None:
            self._ends = now + SLICE
            self._schedule()
        return now >= self._ends

    def charge(self, share: str | None, seconds: float, now: float) -> None:
        """Add to the used time of an address."""
        if now - self._halved >= _HALF_LIFE:
            halvings = int(min(60.0, (now - self._halved) / _HALF_LIFE))
            self._used = {one: left for one, used in self._used.items() if (left := used / 2**halvings) > _NOTHING}
            self._halved = now
        if share is not None:
            self._used[share] = self._used.get(share, 0.0) + seconds

    def rest(self, job: Job, now: float) -> None:
        """Let large batches rest if this one took longer than its slice: as long as that was."""
        longer = now - self._ends if self._ends is not None else 0.0
        if job.large and longer > SLICE:
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
        elif self._resting is None:  # only large ones wait
            self._resting = asyncio.get_running_loop().call_later(rest, self._rested)

    def _rested(self) -> None:
        self._resting = None
        self._schedule()

    async def wait_for_slice(self, job: Job) -> float:
        """Wait for a round with time for this job. Return the moment. Raise `Unavailable` if it comes too late."""
        now = self.clock.monotonic()
        waits = bool(self._waiting) or (job.large and now < self._large_from)
        while True:
            if now >= job.until:
                raise Unavailable(_TOO_MUCH)
            if not waits and not self.slice_over(now):
                return now
            waits = False
            woken = self._waiting[job] = asyncio.get_running_loop().create_future()
            self._schedule()
            try:
                await woken
            finally:
                self._waiting.pop(job, None)
            now = self.clock.monotonic()


class Job:
    """The work on one batch, from reading it to the check of its last event."""

    __slots__ = ("_deadline", "_scheduler", "_since", "large", "number", "share", "until", "used")

    def __init__(
        self, scheduler: Scheduler, share: str | None, large: bool, begin_by: float, deadline: float, number: int
    ) -> None:
        self._scheduler = scheduler
        self._since: float | None = None
        self._deadline = deadline
        self.share = share
        self.large = large
        self.until = begin_by
        """The time at which it waits no longer: `begin_by`, and the deadline once it has begun."""
        self.number = number
        self.used = 0.0

    def slice_over(self, now: float) -> bool:
        """Return True if its next piece of work is for the next round."""
        return self._scheduler.slice_over(now)

    async def wait_for_slice(self) -> None:
        """Wait for a round with time left. The job has begun then. Raise `Unavailable` if that comes too late."""
        self.pause()
        self._since = await self._scheduler.wait_for_slice(self)
        self.until = self._deadline

    def pause(self) -> None:
        """Charge the time that it has used."""
        if self._since is not None:
            now = self._scheduler.clock.monotonic()
            self.used += now - self._since
            self._scheduler.charge(self.share, now - self._since, now)
            self._scheduler.rest(self, now)
            self._since = None


class FairSemaphore:
    """Bounds the jobs in work, in all and of one address. The best rank gets a free slot, not the first who came.

    ::

        async with semaphore.acquire(scheduler.job(share, arrived=now, deadline=now + 5)):
            …
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._taken = 0
        self._taken_by_large = 0
        self._taken_of: dict[str, int] = {}
        self._waiting: dict[tuple[str | None, bool], list[_Entry]] = {}
        """Heaps by address, small and large ones apart, oldest first. The memory budget bounds their number."""

    @asynccontextmanager
    async def acquire(self, job: Job) -> AsyncIterator[None]:
        """Hold a slot, with time in this round. Raise `Unavailable` if that comes too late.

        A job that begins late is late after all its work, and makes the next ones late. One that has begun may acquire
        another slot until its deadline: if it were refused, its work would be in vain.
        """
        if self._taken < _SLOTS and self._may_have_one(job):
            self._give(job)
        else:
            await self._wait(job)
        try:
            await job.wait_for_slice()
            yield
        finally:
            job.pause()
            self._release(job)

    def _may_have_one(self, job: Job) -> bool:
        if job.large and self._taken_by_large >= _SLOTS_OF_LARGE:
            return False
        return job.share is None or self._taken_of.get(job.share, 0) < _SLOTS_OF_ONE

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
        while self._taken < _SLOTS and self._let_in():
            pass

    async def _wait(self, job: Job) -> None:
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiting.setdefault((job.share, job.large), []), (job.number, job, given))
        try:
            async with asyncio.timeout(job.until - self._scheduler.clock.monotonic()):
                await given
        except BaseException as error:
            if given.done() and not given.cancelled():  # it came at the same moment
                self._release(job)
            given.cancel()
            if isinstance(error, TimeoutError):
                raise Unavailable(_TOO_MUCH) from None
            raise

    def _let_in(self) -> bool:
        """Give a slot to the best rank of those that may have one. Return True if there was one."""
        heads = [head for queue in list(self._waiting) if (head := self._head(queue)) is not None]
        eligible = [head for head in heads if self._may_have_one(head[1])]
        if not eligible:
            return False
        _, job, given = min(eligible, key=lambda head: self._scheduler.rank(head[1]))
        heappop(self._waiting[job.share, job.large])
        self._give(job)
        given.set_result(None)
        return True

    def _head(self, of: tuple[str | None, bool]) -> _Entry | None:
        queue = self._waiting[of]
        while queue and queue[0][2].done():  # those that gave up
            heappop(queue)
        if not queue:
            del self._waiting[of]
            return None
        return queue[0]

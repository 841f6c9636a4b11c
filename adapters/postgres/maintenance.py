"""What a running installation does for itself: partitions ahead, old ids and salts away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date

from catchment.core.errors import Unavailable
from catchment.core.ports import Clock

from .errors import DatabaseError
from .link import Link, end
from .migrate import MONTHS_AHEAD

log = logging.getLogger(__name__)

_EVERY_SECONDS = 3600.0
_START_SECONDS = 2.0
_LOOK_SECONDS = 0.1
_BITE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What was done."""

    partitions: tuple[str, ...] = ()
    """Made now."""
    ids_forgotten: int = 0
    """Of events, and of reports of losses."""
    misplaced: tuple[date, ...] = ()
    """Months whose events are in the default partition."""


class Busy(Unavailable):
    """Another session is at it."""


class Maintenance:
    """Runs every hour, beside what else a server does; of several servers one at a time does it. `link`: a session of
    its own, made for each run and ended after it. `wait`: for how many seconds it waits where another one is at it."""

    def __init__(self, link: Link, clock: Clock, *, wait: float = 0.0) -> None:
        self._link = link
        self._clock = clock
        self._wait = wait
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Sees to it that this month has its partition, before the first event comes; where that can not be done at
        once, the default partition takes them."""
        today = self._clock.now().date()
        try:
            async with asyncio.timeout(_START_SECONDS):
                if not (await self._link.run("has_partition", today=today))[0][0]:
                    await self._link.run("keep_partitions", today=today, months_ahead=0)
        except (DatabaseError, TimeoutError) as error:
            log.warning(
                "this month's partition could not be made (%s): events go to the default partition, out of which "
                "`catchment maintain` moves them",
                str(error) or "no answer in time",
            )
        finally:
            self._link.drop()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="maintenance")

    async def close(self) -> None:
        await end(self._task)
        self._link.drop()

    async def _run(self) -> None:
        while True:
            try:
                done = await self.once()
                if done.misplaced:
                    log.warning("%d months are in the default partition: run `catchment maintain`", len(done.misplaced))
            except Busy:
                pass
            except DatabaseError as error:
                log.warning(
                    "maintenance failed, and is tried again in an hour; `catchment maintain` does it by hand: %s", error
                )
            await asyncio.sleep(_EVERY_SECONDS)

    async def once(self) -> Upkeep:
        """Does what is done every hour: all of it, also where a part fails. Raises `Busy` where another session is at
        it, and the `DatabaseError` of the first part that failed."""
        now = self._clock.now()
        failed: list[DatabaseError] = []
        made: list[str] = []
        misplaced: list[date] = []
        forgotten = 0
        async with self._alone() as link:
            with _noting(failed):
                rows = await link.run("keep_partitions", today=now.date(), months_ahead=MONTHS_AHEAD)
                made = [name for (name,) in rows]
            with _noting(failed):
                await link.run("forget_salts", today=now.date())
            with _noting(failed):
                bite = _BITE
                while bite == _BITE:
                    bite = (await link.run("forget_ids", now=now, at_most=_BITE))[0][0]
                    forgotten += bite
            with _noting(failed):
                bite = _BITE
                while bite == _BITE:
                    bite = (await link.run("forget_loss_reports", now=now, at_most=_BITE))[0][0]
                    forgotten += bite
            with _noting(failed):
                misplaced = [month for (month,) in await link.run("misplaced_months")]
            if failed and not link.connected:
                raise failed[0]
        if failed:
            raise failed[0]
        return Upkeep(partitions=tuple(made), ids_forgotten=forgotten, misplaced=tuple(misplaced))

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[Link]:
        """The session, while it is the only one of all servers' that does the maintenance. Raises `Busy`."""
        try:
            async with self._link.one_session():
                until = self._clock.monotonic() + self._wait
                while not (await self._link.run("maintenance_lock"))[0][0]:
                    if self._clock.monotonic() >= until:
                        raise Busy("another session does the maintenance at this moment: try again when it has ended")
                    await asyncio.sleep(_LOOK_SECONDS)
                yield self._link
        finally:
            self._link.drop()

    async def place(self, month: date) -> int:
        """Moves a month's events out of the default partition; returns how many. Writers wait while it does."""
        async with self._link.patience():
            return int((await self._link.run("place_month", first_day=month))[0][0])


@contextlib.contextmanager
def _noting(failed: list[DatabaseError]) -> Iterator[None]:
    """What fails inside is noted, and what comes after it is done all the same."""
    try:
        yield
    except DatabaseError as error:
        failed.append(error)

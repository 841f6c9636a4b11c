"""The maintenance of an installation: it makes partitions ahead, adds up usage, and deletes what is old."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import date

from catchment.core.errors import Unavailable
from catchment.core.maintenance import MONTHS_AHEAD, MaintenanceResult
from catchment.core.ports import Clock
from catchment.core.tasks import end

from .errors import DatabaseError
from .link import Link

log = logging.getLogger(__name__)

_EVERY_SECONDS = 3600.0
_START_SECONDS = 2.0
_LOOK_SECONDS = 0.1
_AT_ONCE = 10_000
"""Rows that one statement deletes at most."""


_LOCK = "catchment maintenance"


class Busy(Unavailable):
    """Another session has the lock of the maintenance. `foreign` if it is a session of another role."""

    def __init__(self, holder: str, *, foreign: bool) -> None:
        super().__init__(f"{holder} does the maintenance at this moment: try again when it has ended")
        self.foreign = foreign


class PostgresMaintenance:
    """`catchment.core.maintenance.Maintenance` on PostgreSQL.

    Runs every hour in a server. If there are several servers, one at a time does it.

    `link` is a session for this alone: made for each run, and ended after it. `wait` is how many seconds a run waits
    for another one.
    """

    def __init__(self, link: Link, clock: Clock, *, wait: float = 0.0) -> None:
        self._link = link
        self._clock = clock
        self._wait = wait
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Make this month's partition before the first event comes. If that is not possible at once, events go to the
        default partition."""
        today = self._clock.now().date()
        try:
            async with asyncio.timeout(_START_SECONDS):
                if not (await self._link.run("has_partition", today=today))[0][0]:
                    await self._link.run("keep_partitions", today=today, months_ahead=0)
        except (DatabaseError, TimeoutError) as error:
            log.warning(
                "this month's partition could not be made (%s): events go to the default partition; "
                "`catchment maintain` moves them out of it",
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
            except Busy as busy:
                if busy.foreign:  # as a rule it is another server of ours
                    log.warning("maintenance is tried again in an hour: %s", busy)
            except Exception as error:  # the next hour must come
                log.warning(
                    "maintenance failed, and is tried again in an hour; `catchment maintain` does it by hand: %s",
                    error if isinstance(error, Unavailable) else type(error).__name__,
                )
            await asyncio.sleep(_EVERY_SECONDS)

    async def once(self) -> MaintenanceResult:
        """Do one run. A part that fails does not stop the others.

        Raises `Busy` if another session is at it, and the `DatabaseError` of the first part that failed.
        """
        now = self._clock.now()
        failed: list[DatabaseError] = []
        made: list[str] = []
        misplaced: list[date] = []
        ids = 0
        async with self._alone() as link:
            with _noting(failed):
                rows = await link.run("keep_partitions", today=now.date(), months_ahead=MONTHS_AHEAD)
                made = [name for (name,) in rows]
            with _noting(failed):
                await link.run("forget_salts", today=now.date())
            with _noting(failed):
                async for deleted in _deleting(link, "forget_ids", now=now):
                    ids += deleted
            with _noting(failed):
                async for deleted in _deleting(link, "forget_loss_reports", now=now):
                    ids += deleted
            with _noting(failed):
                async for _ in _deleting(link, "forget_quota_windows", today=now.date()):
                    pass
            with _noting(failed):
                async for _ in _deleting(link, "forget_quota_states", now=now):
                    pass
            with _noting(failed):
                async for _ in _deleting(link, "forget_outcomes", now=now):
                    pass
            with _noting(failed):
                async for _ in _deleting(link, "forget_samples", now=now):
                    pass
            with _noting(failed):
                async for _ in _deleting(link, "fold_usage", now=now):
                    pass
            with _noting(failed):
                misplaced = [month for (month,) in await link.run("misplaced_months")]
            if failed and not link.connected:
                raise failed[0]
        if failed:
            raise failed[0]
        return MaintenanceResult(partitions=tuple(made), ids_forgotten=ids, misplaced=tuple(misplaced))

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[Link]:
        """Lend the session, locked against the maintenance of all other servers. Raises `Busy`."""
        try:
            async with self._link.one_session():
                until = self._clock.monotonic() + self._wait
                while not (await self._link.run("try_lock", name=_LOCK))[0][0]:
                    if self._clock.monotonic() >= until:
                        raise await self._busy()
                    await asyncio.sleep(_LOOK_SECONDS)
                yield self._link
        finally:
            self._link.drop()

    async def _busy(self) -> Busy:
        holders = await self._link.run("lock_holder", name=_LOCK)
        if not holders:  # it has just ended
            return Busy("another session", foreign=False)
        ((role, process, foreign),) = holders
        return Busy(f"the process {process} of the role {role}", foreign=foreign)

    async def place(self, month: date) -> int:
        """Move a month's events out of the default partition, and return how many. Writers wait for it."""
        async with self._link.patience():
            return int((await self._link.run("place_month", first_day=month))[0][0])


async def _deleting(link: Link, query: str, **parameters: object) -> AsyncIterator[int]:
    """Run a query that deletes a part of what is old until nothing is left. Yield the size of each part."""
    deleted = _AT_ONCE
    while deleted == _AT_ONCE:
        deleted = (await link.run(query, **parameters, at_most=_AT_ONCE))[0][0]
        yield deleted


@contextlib.contextmanager
def _noting(failed: list[DatabaseError]) -> Iterator[None]:
    """Note a failure of the part inside, so that the next part is done all the same."""
    try:
        yield
    except DatabaseError as error:
        failed.append(error)

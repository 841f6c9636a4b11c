"""What a running installation does for itself: partitions ahead, old ids and salts away."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import date, timedelta

from catchment.core.ports import Clock

from .errors import DatabaseError
from .link import Links, end
from .migrate import MONTHS_AHEAD

log = logging.getLogger(__name__)

KNOWN_IDS = timedelta(days=32)
_EVERY_SECONDS = 3600.0
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


class Maintenance:
    """Runs at the start and every hour; of several servers one does it."""

    def __init__(self, links: Links, clock: Clock) -> None:
        self._links = links
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="maintenance")

    async def close(self) -> None:
        await end(self._task)

    async def _run(self) -> None:
        while True:
            try:
                done = await self.once()
                if done.misplaced:
                    log.warning("%d months are in the default partition: run `catchment maintain`", len(done.misplaced))
            except DatabaseError as error:
                log.warning("maintenance did not end: %s", error)
            await asyncio.sleep(_EVERY_SECONDS)

    async def once(self) -> Upkeep:
        """Does what is done every hour; nothing where another server is at it."""
        now = self._clock.now()
        async with self._links.link() as link, link.transaction():
            if not (await link.run("maintenance_lock"))[0][0]:
                return Upkeep()
            made = await link.run("keep_partitions", today=now.date(), months_ahead=MONTHS_AHEAD)
            await link.run("forget_salts", today=now.date())
        forgotten, bite = 0, _BITE
        while bite == _BITE:
            bite = (await self._links.run("forget_ids", older_than=now - KNOWN_IDS, at_most=_BITE))[0][0]
            forgotten += bite
        bite = _BITE
        while bite == _BITE:
            bite = (await self._links.run("forget_loss_reports", older_than=now - KNOWN_IDS, at_most=_BITE))[0][0]
            forgotten += bite
        misplaced = await self._links.run("misplaced_months")
        return Upkeep(
            partitions=tuple(name for (name,) in made),
            ids_forgotten=forgotten,
            misplaced=tuple(month for month, _ in misplaced),
        )

    async def place(self, month: date) -> int:
        """Moves a month's events out of the default partition; returns how many. Writers wait while it does."""
        return int((await self._links.run("place_month", first_day=month))[0][0])

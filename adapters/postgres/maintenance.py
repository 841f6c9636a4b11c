"""What a running installation does for itself: partitions ahead, old ids and salts away."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from catchment.core.ports import Clock

from .errors import DatabaseError
from .link import Links
from .migrate import MONTHS_AHEAD

log = logging.getLogger(__name__)

KNOWN_IDS = timedelta(days=32)
_EVERY_SECONDS = 3600.0
_BITE = 10_000


class Maintenance:
    """Runs at the start and every hour; of several servers one does it."""

    def __init__(self, links: Links, clock: Clock) -> None:
        self._links = links
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="maintenance")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self.once()
            except DatabaseError as error:
                log.warning("maintenance did not end: %s", error)
            await asyncio.sleep(_EVERY_SECONDS)

    async def once(self) -> None:
        """Does all of it now; nothing where another server is at it."""
        now = self._clock.now()
        async with self._links.link() as link, link.transaction():
            if not (await link.run("maintenance_lock"))[0][0]:
                return
            await link.run("keep_partitions", today=now.date(), months_ahead=MONTHS_AHEAD)
            await link.run("forget_salts", today=now.date())
        deleted = _BITE
        while deleted == _BITE:
            rows = await self._links.run("forget_ids", older_than=now - KNOWN_IDS, at_most=_BITE)
            deleted = rows[0][0]

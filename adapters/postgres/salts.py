"""The salts of the days, in the database: all servers use the same one."""

from __future__ import annotations

from datetime import date

from catchment.core.ports import IdGenerator
from catchment.core.privacy import SALT_BYTES

from .link import Links


class PostgresSalts:
    """`catchment.core.collecting.ports.Salts` on PostgreSQL."""

    def __init__(self, links: Links, ids: IdGenerator) -> None:
        self._links = links
        self._ids = ids
        self._known: dict[date, bytes] = {}

    async def of_day(self, day: date) -> bytes:
        salt = self._known.get(day)
        if salt is None:
            rows = await self._links.run("salt_of_day", day=day, salt=self._ids.random_bytes(SALT_BYTES))
            while not rows:  # another session made it after this one began to look
                rows = await self._links.run("salt_of_day", day=day, salt=self._ids.random_bytes(SALT_BYTES))
            self._known = {kept: s for kept, s in self._known.items() if abs((day - kept).days) <= 1}
            salt = self._known[day] = bytes(rows[0][0])
        return salt

"""What is kept of an address; the salts of the mode `hash` live in the database, so that all servers agree."""

from __future__ import annotations

from datetime import UTC, date, datetime

from catchment.core.ports import IdGenerator
from catchment.core.privacy import canonical, keyed_hash, mask
from catchment.core.project import Privacy

from .link import Links

_SALT_BYTES = 32


class SaltedAnonymizer:
    """`catchment.core.ports.IpAnonymizer` on PostgreSQL."""

    def __init__(self, links: Links, ids: IdGenerator) -> None:
        self._links = links
        self._ids = ids
        self._salts: dict[date, bytes] = {}

    async def anonymise(self, address: str | None, mode: Privacy, at: datetime) -> str | None:
        if address is None or mode is Privacy.DROP:
            return None
        if mode is Privacy.MASK:
            return mask(address)
        if mode is Privacy.FULL:
            return canonical(address)
        return keyed_hash(address, await self._salt(at.astimezone(UTC).date()))

    async def _salt(self, day: date) -> bytes:
        salt = self._salts.get(day)
        if salt is None:
            rows = await self._links.run("salt_of_day", day=day, salt=self._ids.random_bytes(_SALT_BYTES))
            while not rows:  # another session made it after this one began to look
                rows = await self._links.run("salt_of_day", day=day, salt=self._ids.random_bytes(_SALT_BYTES))
            self._salts = {kept: s for kept, s in self._salts.items() if abs((day - kept).days) <= 1}
            salt = self._salts[day] = bytes(rows[0][0])
        return salt

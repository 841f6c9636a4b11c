"""Quotas in the database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from catchment.core.errors import Unavailable
from catchment.core.metering.errors import NoSuchQuota
from catchment.core.project import Quota

from .link import Link, Links
from .projects import quota_of

_LOOK_SECONDS = 0.02
_WRITERS_SECONDS = 60.0


class PostgresQuotas:
    """`catchment.core.metering.ports.QuotaStore` on PostgreSQL."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def set(self, quota: Quota) -> Quota:
        of: dict[str, object] = {
            "scope": quota.scope,
            "scope_id": quota.scope_id,
            "window": quota.window,
            "keys": quota.keys,
        }
        async with self._links.link() as link, link.one_session():
            await link.run("quota_lock")
            if (await link.run("has_quota", **of))[0][0]:
                rows = await link.run("set_quota", **of, id=quota.id, hard=quota.hard)
                return replace(quota, id=rows[0][0])
            starts, uncounted = await _count_window(link, of)
            async with link.transaction():
                await link.run("count_uncounted", **of, starts=starts, events=uncounted)
                rows = await link.run("set_quota", **of, id=quota.id, hard=quota.hard)
            return replace(quota, id=rows[0][0])

    async def remove(self, quota_id: str) -> Quota:
        rows = await self._links.run("remove_quota", id=quota_id)
        if not rows:
            raise NoSuchQuota(quota_id)
        return quota_of(**rows[0]._asdict())

    async def all(self) -> Sequence[Quota]:
        return [quota_of(**row._asdict()) for row in await self._links.run("quotas")]


async def _count_window(link: Link, of: Mapping[str, object]) -> tuple[object, int]:
    """Make the row of a quota's present window before the quota exists. Return the window's first day, and the number
    of events that the row lacks.

    No writer is stopped. The row begins with 0, and every commit adds to it from then on. Transactions that were adding
    to usage just then may not have seen the row, so this waits for them. After that, events that are stored but not in
    the row came before it. One statement, with one snapshot, counts them.
    """
    starts = (await link.run("begin_counting", **of))[0][0]
    before = set(await link.run("writers"))
    loop = asyncio.get_running_loop()
    until = loop.time() + _WRITERS_SECONDS
    while before := before & set(await link.run("writers")):
        if loop.time() > until:
            raise Unavailable("a transaction that stores events does not end: the quota is not set")
        await asyncio.sleep(_LOOK_SECONDS)
    async with link.patience():
        return starts, (await link.run("uncounted", **of, starts=starts))[0][0]

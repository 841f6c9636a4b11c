"""Quotas in the database, and the states that they entered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from catchment.core.accounts.errors import NoSuchAccount, NoSuchProject
from catchment.core.errors import Unavailable
from catchment.core.metering.errors import NoSuchQuota
from catchment.core.metering.ladder import QuotaStateChange, QuotaUse, State
from catchment.core.metering.ports import QuotaChange
from catchment.core.metering.quota import Quota
from catchment.core.project import Scope

from .link import Link, Links
from .quota_rows import quota_of, wanted

_LOOK_SECONDS = 0.02
_WRITERS_SECONDS = 60.0


class PostgresQuotas:
    """`catchment.core.metering.ports.QuotaStore` on PostgreSQL."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def set(self, quota: Quota) -> Quota:
        async with self._alone() as link:
            (done,) = await _change(link, QuotaChange(put=[quota]), lambda: _keep_owner(link, quota))
        return done

    async def remove(self, quota_id: str) -> Quota:
        async with self._alone() as link:
            for quota in await _quotas(link):
                if quota.id == quota_id:
                    await _change(link, QuotaChange(remove=[quota_id]))
                    return quota
        raise NoSuchQuota(quota_id)

    async def set_plan(
        self, account_id: str, plan: str | None, decide: Callable[[Sequence[Quota]], QuotaChange]
    ) -> None:
        async def note_plan() -> None:
            if not await link.run("set_plan", account=account_id, plan=plan):
                raise NoSuchAccount(account_id)

        async with self._alone() as link:
            await _change(link, decide(await _quotas(link, account_id)), note_plan)

    async def all(self) -> Sequence[Quota]:
        return [quota_of(**row._asdict()) for row in await self._links.run("quotas", scope_id=None)]

    async def uses(self, at: datetime) -> Sequence[QuotaUse]:
        async with self._links.link() as link, link.patience():
            rows = await link.run("quota_uses", at=at)
        return [QuotaUse(quota=quota_of(**row._asdict()), used=row.used, soft_crossed=row.soft_crossed) for row in rows]

    async def rates(self, at: datetime) -> Mapping[str, int]:
        async with self._links.link() as link, link.patience():
            return {row.quota_id: row.events for row in await link.run("quota_rates", at=at)}

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Link]:
        """Lend a session that alone changes quotas."""
        async with self._links.link() as link, link.one_session():
            await link.run("quota_lock")
            yield link


async def _quotas(link: Link, scope_id: str | None = None) -> Sequence[Quota]:
    return [quota_of(**row._asdict()) for row in await link.run("quotas", scope_id=scope_id)]


async def _change(
    link: Link, change: QuotaChange, begin: Callable[[], Awaitable[None]] | None = None
) -> Sequence[Quota]:
    """Set and remove quotas, in a transaction that starts with `begin`. Return the quotas that were set."""
    put = wanted(change.put)
    made = (await link.run("begin_quotas", wanted=put))[0][0] if change.put else []
    uncounted = await _uncounted(link, made) if made else "[]"
    async with link.transaction():
        if begin is not None:
            await begin()
        rows = await link.run("set_quotas", wanted=put, uncounted=uncounted, removed=list(change.remove))
    return [quota_of(**row._asdict()) for row in rows]


async def _keep_owner(link: Link, quota: Quota) -> None:
    """Let nobody delete the owner of a quota until the end of the transaction. Raises `NotFound` if it is deleted."""
    of_account = quota.scope is Scope.ACCOUNT
    if not await link.run("keep_account" if of_account else "keep_project", id=quota.scope_id):
        raise NoSuchAccount(quota.scope_id) if of_account else NoSuchProject(quota.scope_id)


async def _uncounted(link: Link, made: Sequence[str]) -> str:
    """Return what the windows of new quotas lack, as `set_quotas` takes it.

    No writer is stopped. The rows of the windows began with 0, and every commit adds to them. Transactions that were
    adding to usage just then may not have seen the quotas, so this waits for them. After that, events that are stored
    but not in a row came before it. One statement, with one snapshot, counts them.
    """
    before = set(await link.run("writers"))
    loop = asyncio.get_running_loop()
    until = loop.time() + _WRITERS_SECONDS
    while before := before & set(await link.run("writers")):
        if loop.time() > until:
            raise Unavailable("a transaction that stores events does not end: the quota is not set")
        await asyncio.sleep(_LOOK_SECONDS)
    async with link.patience():
        return json.dumps([row._asdict() for row in await link.run("uncounted", quotas=list(made))])


class PostgresQuotaStates:
    """`catchment.core.metering.ports.QuotaStates` on PostgreSQL."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def claim(self, at_most: int) -> Sequence[QuotaStateChange]:
        return [
            QuotaStateChange(
                quota=quota_of(**row.quota),
                state=State(row.state),
                used=row.used,
                starts=row.starts,
                entered_at=row.entered_at,
                account_id=row.account_id or "",
                account=row.account or "",
                project_id=row.project_id,
                project=row.project,
            )
            for row in await self._links.run("claim_states", at_most=at_most)
        ]

    async def announced(self, change: QuotaStateChange) -> None:
        await self._links.run("announced_state", quota=change.quota.id, starts=change.starts, state=change.state)

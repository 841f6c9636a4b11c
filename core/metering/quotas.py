"""The use case of quotas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..accounts.find import find_account, find_project
from ..accounts.ports import Directory
from ..errors import Invalid
from ..ports import Clock, IdGenerator
from ..project import MOST_EVENTS, KeyKind, Quota, Scope, Window
from ..times import window_end
from .ports import QuotaStore, UsageMeter


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedQuota:
    """A quota, and the name of its account or project."""

    quota: Quota
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaState(NamedQuota):
    """A quota in its present window."""

    used: int
    """Events."""
    resets_at: datetime
    """The end of the window."""

    @property
    def left(self) -> int:
        """The events that still fit. Never negative, although a quota may have been lowered below what is used."""
        return max(0, self.quota.hard - self.used)


class Quotas:
    """Sets, removes and lists quotas."""

    def __init__(
        self, store: QuotaStore, directory: Directory, meter: UsageMeter, *, clock: Clock, ids: IdGenerator
    ) -> None:
        self._store = store
        self._directory = directory
        self._meter = meter
        self._clock = clock
        self._ids = ids

    async def set(
        self,
        *,
        account: str | None = None,
        project: str | None = None,
        window: Window,
        keys: KeyKind | None = None,
        hard: int,
    ) -> NamedQuota:
        """Set a hard quota of an account or a project, in place of the one it has for that window and kind of key
        (None: both). Raises `NotFound` and `Invalid`."""
        if (account is None) == (project is None):
            raise Invalid("a quota belongs to an account or to a project: name one of them")
        if not 0 <= hard <= MOST_EVENTS:
            raise Invalid(f"a hard quota can't be {hard:,} events: 0 to {MOST_EVENTS:,}")
        if account is not None:
            owner = await find_account(self._directory, account)
            scope, scope_id, name = Scope.ACCOUNT, owner.id, owner.name
        else:
            found = await find_project(self._directory, project or "")
            scope, scope_id, name = Scope.PROJECT, found.id, f"{found.account}/{found.name}"
        quota = Quota(id=self._ids.new_id(), scope=scope, scope_id=scope_id, window=window, keys=keys, hard=hard)
        return NamedQuota(quota=await self._store.set(quota), name=name)

    async def remove(self, quota_id: str) -> NamedQuota:
        """Remove a quota and return it. Raises `NoSuchQuota`."""
        removed = await self._store.remove(quota_id)
        names = await self._names()
        return NamedQuota(quota=removed, name=names.get(removed.scope_id, removed.scope_id))

    async def list(self) -> Sequence[QuotaState]:
        """Return all quotas, each with what is used of it in its present window."""
        now = self._clock.now()
        used = await self._meter.quota_usage(now)
        quotas, names = await self._store.all(), await self._names()
        return [
            QuotaState(
                quota=quota,
                name=names.get(quota.scope_id, quota.scope_id),
                used=used.get(quota.id, 0),
                resets_at=window_end(quota.window, now),
            )
            for quota in quotas
        ]

    async def _names(self) -> dict[str, str]:
        """Return the names of all accounts and projects, by their ids."""
        names = {one.id: one.name for one in await self._directory.accounts()}
        return names | {one.id: f"{one.account}/{one.name}" for one in await self._directory.projects()}

"""The ports of metering: usage with its audit and its closed months, quotas, and backends of billing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

from ..project import Quota
from .usage import Difference, Usage


class UsageMeter(Protocol):
    async def usage(
        self, *, account: str | None = None, project: str | None = None, period: date | None = None
    ) -> Sequence[Usage]:
        """Return usage by account, project and period, in that order; of all, or of one account, project (ids) or
        period."""

    async def quota_usage(self, at: datetime) -> Mapping[str, int]:
        """Return the used events of every quota, by its id, in the window of this moment."""

    async def close(self, period: date) -> None:
        """Make a past period final: nothing is added to it any more. A repetition changes nothing. Raise
        `PeriodStillRuns` if the period is not over."""

    async def audit(self, *, project: str | None = None) -> Sequence[Difference]:
        """Return the differences between usage and stored rows, of all projects or of one (its id). There must be none.

        Rows that `Registry.delete_stored` deleted count as stored.
        """


class QuotaStore(Protocol):
    """Stores quotas. Every server sees a change at once, as with `Registry`."""

    async def set(self, quota: Quota) -> Quota:
        """Set the quota of a scope, window and kind of key. It replaces an existing one and keeps that one's id. Return
        the new quota."""

    async def remove(self, quota_id: str) -> Quota:
        """Remove a quota and return it. Raise `NoSuchQuota`."""

    async def all(self) -> Sequence[Quota]:
        """Return all quotas."""


class BillingBackends(Protocol):
    async def bill(self, backend: str, usages: Sequence[Usage]) -> int:
        """Hand usage to the backend of this name. Return how many usages it took. Raise `NotFound` if there is no such
        backend."""

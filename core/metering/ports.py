"""The ports of metering: usage with its audit and its closed months, quotas, and backends of billing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple, Protocol

from .ladder import QuotaStateChange, QuotaUse
from .quota import Quota
from .usage import Difference, Usage


class UsageMeter(Protocol):
    async def usage(
        self, *, account: str | None = None, project: str | None = None, period: date | None = None
    ) -> Sequence[Usage]:
        """Return usage by account, project and period, in that order; of all, or of one account, project (ids) or
        period."""

    async def close(self, period: date) -> None:
        """Make a past period final: nothing is added to it any more. A repetition changes nothing. Raise
        `PeriodStillRuns` if the period is not over."""

    async def audit(self, *, project: str | None = None) -> Sequence[Difference]:
        """Return the differences between usage and stored rows, of all projects or of one (its id). There must be none.

        Rows that `Registry.delete_stored` deleted count as stored.
        """


class QuotaChange(NamedTuple):
    """Quotas to set and quotas to remove, all at once."""

    put: Sequence[Quota] = ()
    remove: Sequence[str] = ()
    """Ids."""


class QuotaStore(Protocol):
    """Stores quotas. A change holds for every event that is stored after it, on all servers.

    A quota counts what its present window has already, exactly, while servers go on to store.
    """

    async def set(self, quota: Quota) -> Quota:
        """Set a quota. If its owner has one that counts the same events (`QuotaRule.identity`), that one gets the new
        limits, and keeps its id and its usage. Return the new quota. Raise `NotFound` if its owner is deleted, and
        `Unavailable` if it can't be set now."""

    async def remove(self, quota_id: str) -> Quota:
        """Remove a quota and return it. Raise `NoSuchQuota`."""

    async def set_plan(
        self, account_id: str, plan: str | None, decide: Callable[[Sequence[Quota]], QuotaChange]
    ) -> None:
        """Note the plan of an account, and change its quotas at once. `decide` is given all quotas of the account,
        which nobody changes meanwhile, and returns what has to change. Raise `NotFound` and `Unavailable`."""

    async def all(self) -> Sequence[Quota]:
        """Return all quotas."""

    async def uses(self, at: datetime) -> Sequence[QuotaUse]:
        """Return all quotas, each with what is used of it in the window of this moment."""

    async def rates(self, at: datetime) -> Mapping[str, int]:
        """Return the events that each quota with a hard limit counted in the 7 days before this moment, by its id."""


class QuotaStates(Protocol):
    """The states that quotas entered, which are announced one by one: at least once, in order for each quota."""

    async def claim(self, at_most: int) -> Sequence[QuotaStateChange]:
        """Return changes that are not announced yet: of each quota the first. Nobody else gets them for a minute, or
        for longer if they were claimed often. Raise `Unavailable`."""

    async def announced(self, change: QuotaStateChange) -> None:
        """Note that a change was announced. Raise `Unavailable`."""


class BillingBackends(Protocol):
    async def bill(self, backend: str, usages: Sequence[Usage]) -> int:
        """Hand usage to the backend of this name. Return how many usages it took. Raise `NotFound` if there is no such
        backend."""

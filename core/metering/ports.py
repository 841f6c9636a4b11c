"""The port of metering: usage, its audit, and months that are final."""

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

    async def room(self, quota: Quota, at: datetime) -> int:
        """How many more events fit this limit in the window of this moment; never negative."""

    async def quota_usage(self, at: datetime) -> Mapping[str, int]:
        """Return the used events of every quota, by its id, in the window of this moment."""

    async def close(self, period: date) -> None:
        """Make a past period final: nothing is added to it any more. A repetition changes nothing. Raise `Invalid` if
        the period is not over."""

    async def audit(self, *, project: str | None = None) -> Sequence[Difference]:
        """Return the differences between usage and stored rows, of all projects or of one (its id). There must be none.

        Rows that `Registry.delete_stored` deleted count as stored.
        """

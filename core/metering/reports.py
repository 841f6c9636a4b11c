"""The use case of reports: usage, the outcomes of events, the losses of senders, and the audit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from ..accounts.find import find_account, find_project
from ..accounts.ports import Directory
from ..collecting.losses import Loss
from ..collecting.ports import LossLedger
from .outcomes import OutcomeCount, OutcomeLedger, RefusedOrigin
from .ports import UsageMeter
from .usage import Difference, Usage


class Reports:
    """Reports on accounts and projects by the names that people use. Deleted ones are found too."""

    def __init__(self, directory: Directory, meter: UsageMeter, ledger: LossLedger, outcomes: OutcomeLedger) -> None:
        self._directory = directory
        self._meter = meter
        self._ledger = ledger
        self._outcomes = outcomes

    async def usage(
        self, *, account: str | None = None, project: str | None = None, period: date | None = None
    ) -> Sequence[Usage]:
        """Return usage by account, project and period. Usage of the demo is left out unless it is named. Raises
        `NotFound` and `Invalid`."""
        account_id = (await find_account(self._directory, account, deleted=True)).id if account else None
        found = await self._meter.usage(account=account_id, project=await self._project_id(project), period=period)
        return [one for one in found if account or project or not one.demo]

    async def losses(self, *, project: str | None = None) -> Sequence[Loss]:
        """Return what senders lost, by account, project, day (newest first) and reason. Raises `NotFound` and
        `Invalid`."""
        return await self._ledger.losses(project=await self._project_id(project))

    async def outcomes(
        self, *, project: str | None = None, since: datetime, until: datetime
    ) -> tuple[Sequence[OutcomeCount], Sequence[RefusedOrigin]]:
        """Return the outcomes of events by project and hour, from `since` to before `until`, and the last origin that
        each project refused. Raises `NotFound` and `Invalid`."""
        project_id = await self._project_id(project)
        counts = await self._outcomes.outcomes(project=project_id, since=since, until=until)
        origins = await self._outcomes.refused_origins(project=project_id)
        return counts, [one for one in origins if since <= one.refused_at < until]

    async def audit(self, *, project: str | None = None) -> Sequence[Difference]:
        """Return the differences between usage and stored rows. There must be none. Raises `NotFound` and `Invalid`."""
        return await self._meter.audit(project=await self._project_id(project))

    async def _project_id(self, named: str | None) -> str | None:
        return (await find_project(self._directory, named, deleted=True)).id if named else None

"""Reports of events that senders lost, in the database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime

from catchment.core.collecting.losses import KNOWN_REASONS, OTHER_REASON, Loss, LossReport, Recorded
from catchment.core.errors import Unavailable
from catchment.core.limits import Limits
from catchment.core.ports import Clock
from catchment.core.project import KeyKind

from .errors import DatabaseError, as_outcome
from .link import Links


class PostgresLosses:
    """`catchment.core.collecting.ports.LossLedger` on PostgreSQL."""

    def __init__(self, links: Links, *, clock: Clock, limits: Limits) -> None:
        self._links = links
        self._clock = clock
        self._limits = limits

    async def record(
        self, project_id: str, kind: KeyKind, report: LossReport, received_at: datetime, *, deadline: float
    ) -> Recorded:
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock.monotonic())):
                rows = await self._links.run(
                    "record_losses",
                    project_id=project_id,
                    kind=kind,
                    report_id=report.id,
                    received_at=received_at,
                    counts=json.dumps(dict(report.counts)),
                    known=[*KNOWN_REASONS, OTHER_REASON],
                    most_words=self._limits.loss_words,
                    most_reports=self._limits.loss_reports,
                )
        except DatabaseError as error:
            raise as_outcome(error) from error
        except TimeoutError:
            raise Unavailable("the deadline passed before the losses were recorded") from None
        return Recorded(rows[0][0])

    async def losses(self, *, project: str | None = None) -> Sequence[Loss]:
        rows = await self._links.run("losses", project=project)
        return [Loss(**row._asdict()) for row in rows]

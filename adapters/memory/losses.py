"""The losses that senders report, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from catchment.core.collecting.losses import KNOWN_REASONS, OTHER_REASON, Loss, LossReport, Recorded
from catchment.core.limits import Limits
from catchment.core.metering.outcomes import LOST, Slot
from catchment.core.project import KeyKind
from catchment.core.times import hour_of

from .store import Store

_KEPT_APART = (*KNOWN_REASONS, OTHER_REASON)


class MemoryLosses:
    """`catchment.core.collecting.ports.LossLedger` in memory."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    async def record(
        self, project_id: str, kind: KeyKind, report: LossReport, received_at: datetime, *, deadline: float
    ) -> Recorded:
        store = self._store
        if store.failing is not None:
            raise store.failing
        report_id = (project_id, kind, report.id)
        day = received_at.astimezone(UTC).date()
        if report_id in store.loss_reports:
            return Recorded.BEFORE
        if sum(1 for known, at in store.loss_reports.items() if (known[0], at) == (project_id, day)) >= (
            self._limits.loss_reports
        ):
            return Recorded.FULL
        store.loss_reports[report_id] = day
        for reason, events in sorted(report.counts.items()):
            words = [r for p, d, r in store.losses if (p, d) == (project_id, day) and r not in _KEPT_APART]
            if reason not in words and reason not in _KEPT_APART and len(words) >= self._limits.loss_words:
                reason = OTHER_REASON
            counted = (project_id, day, reason)
            store.losses[counted] = store.losses.get(counted, 0) + events
            slot = Slot(project_id, hour_of(received_at), LOST, reason)
            store.outcomes[slot] = store.outcomes.get(slot, 0) + events
        return Recorded.NOW

    async def losses(self, *, project: str | None = None) -> Sequence[Loss]:
        found = [
            Loss(
                account=self._store.projects[project_id].account,
                project=self._store.projects[project_id].name,
                project_id=project_id,
                day=day,
                reason=reason,
                events=events,
            )
            for (project_id, day, reason), events in self._store.losses.items()
            if project in (None, project_id)
        ]
        return sorted(found, key=lambda one: (one.account, one.project, -one.day.toordinal(), one.reason))

"""Usage, the audit, quotas and outcomes, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from catchment.core.accounts.errors import NoSuchAccount, NoSuchProject
from catchment.core.metering.errors import NoSuchQuota, PeriodStillRuns
from catchment.core.metering.ladder import QuotaStateChange, QuotaUse
from catchment.core.metering.outcomes import OutcomeCount, RefusedOrigin, Slot
from catchment.core.metering.ports import QuotaChange
from catchment.core.metering.quota import Quota
from catchment.core.metering.usage import Difference, Usage
from catchment.core.outcomes import Outcome
from catchment.core.ports import Clock
from catchment.core.project import Scope
from catchment.core.times import hour_of, next_period, period_of

from .store import Store


class MemoryMeter:
    """`catchment.core.metering.ports.UsageMeter` in memory."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def usage(
        self, *, account: str | None = None, project: str | None = None, period: date | None = None
    ) -> Sequence[Usage]:
        found = []
        for (project_id, month), events in self._store.usage.items():
            owner = self._store.project(project_id)
            if account not in (None, owner.account_id) or project not in (None, project_id):
                continue
            if period in (None, month):
                found.append(
                    Usage(
                        account_id=owner.account_id,
                        account=owner.account,
                        project_id=project_id,
                        project=owner.name,
                        period=month,
                        events=events,
                        closed=month in self._store.closed,
                        demo=self._store.accounts[owner.account_id].demo,
                        deleted=project_id in self._store.deleted,
                    )
                )
        return sorted(found, key=lambda usage: (usage.account, usage.project, usage.period))

    async def close(self, period: date) -> None:
        if self._clock.now().date() < next_period(period):
            raise PeriodStillRuns(period)
        self._store.closed.add(period)

    async def audit(self, *, project: str | None = None) -> Sequence[Difference]:
        stored: dict[tuple[str, date], int] = dict(self._store.deleted_events)
        for event in self._store.events:
            counted = (event.project_id, period_of(event.received_at))
            stored[counted] = stored.get(counted, 0) + 1
        return [
            Difference(
                account=self._store.project(project_id).account,
                project=self._store.project(project_id).name,
                project_id=project_id,
                period=period,
                usage=self._store.usage.get((project_id, period), 0),
                stored=stored.get((project_id, period), 0),
            )
            for project_id, period in sorted(stored.keys() | self._store.usage.keys())
            if project in (None, project_id)
            and self._store.usage.get((project_id, period), 0) != stored.get((project_id, period), 0)
        ]


class MemoryQuotas:
    """`catchment.core.metering.ports.QuotaStore` in memory."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def set(self, quota: Quota) -> Quota:
        if quota.scope_id in self._store.deleted:
            raise NoSuchAccount(quota.scope_id) if quota.scope is Scope.ACCOUNT else NoSuchProject(quota.scope_id)
        return self._store.quotas.put(quota, self._clock.now())

    async def remove(self, quota_id: str) -> Quota:
        if quota_id not in self._store.quotas.quotas:
            raise NoSuchQuota(quota_id)
        return self._store.quotas.remove(quota_id)

    async def set_plan(
        self, account_id: str, plan: str | None, decide: Callable[[Sequence[Quota]], QuotaChange]
    ) -> None:
        account = self._store.accounts.get(account_id)
        if account is None or account_id in self._store.deleted:
            raise NoSuchAccount(account_id)
        change = decide(self._store.quotas.of(account_id))
        for quota in change.put:
            await self.set(quota)
        for quota_id in change.remove:
            await self.remove(quota_id)
        self._store.accounts[account_id] = replace(account, plan=plan)

    async def all(self) -> Sequence[Quota]:
        return sorted(
            self._store.quotas.quotas.values(),
            key=lambda q: (q.scope, q.scope_id, q.window, q.keys or "", str(q.events)),
        )

    async def uses(self, at: datetime) -> Sequence[QuotaUse]:
        return [self._store.quotas.use(quota, at) for quota in await self.all()]

    async def rates(self, at: datetime) -> Mapping[str, int]:
        since = at - timedelta(days=7)
        return {q.id: self._store.quotas.count(q, since, at) for q in await self.all() if q.hard is not None}


class MemoryQuotaStates:
    """`catchment.core.metering.ports.QuotaStates` in memory."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._next_try: dict[str, datetime] = {}

    async def claim(self, at_most: int) -> Sequence[QuotaStateChange]:
        now, book = self._clock.now(), self._store.quotas
        for quota in book.quotas.values():
            if quota.grace:
                book.enter_states(quota, now, now)
        first: dict[str, QuotaStateChange] = {}
        for change in book.changes:
            first.setdefault(change.quota.id, change)
        due = [change for change in first.values() if self._next_try.get(change.id, now) <= now][:at_most]
        self._next_try.update({change.id: now + timedelta(minutes=1) for change in due})
        return due

    async def announced(self, change: QuotaStateChange) -> None:
        self._store.quotas.changes.remove(change)


class MemoryOutcomes:
    """`catchment.core.metering.outcomes.OutcomeLedger` in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, counts: dict[Slot, int], origins: Sequence[RefusedOrigin]) -> None:
        if self._store.failing is not None:
            raise self._store.failing
        for slot, events in counts.items():
            self._store.outcomes[slot] = self._store.outcomes.get(slot, 0) + events
        for one in origins:
            known = self._store.refused_origins.get(one.project_id)
            if known is None or known.refused_at <= one.refused_at:
                self._store.refused_origins[one.project_id] = one

    async def outcomes(self, *, project: str | None = None, since: datetime, until: datetime) -> Sequence[OutcomeCount]:
        counts = Counter(self._store.outcomes)
        for event in self._store.events:
            counts[Slot(event.project_id, hour_of(event.received_at), Outcome.STORED, "")] += 1
        found = [
            OutcomeCount(
                account=self._store.projects[slot.project_id].account,
                project=self._store.projects[slot.project_id].name,
                project_id=slot.project_id,
                hour=slot.hour,
                outcome=slot.outcome,
                reason=slot.reason or None,
                events=events,
            )
            for slot, events in counts.items()
            if project in (None, slot.project_id) and since <= slot.hour < until
        ]
        return sorted(found, key=lambda one: (one.account, one.project, one.hour, one.outcome, one.reason or ""))

    async def refused_origins(self, *, project: str | None = None) -> Sequence[RefusedOrigin]:
        found = self._store.refused_origins.values()
        return sorted((one for one in found if project in (None, one.project_id)), key=lambda one: one.project_id)

"""The use case of quotas and plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from ..accounts.find import find_account, find_project
from ..accounts.ports import Directory
from ..errors import Invalid
from ..ports import Clock, IdGenerator
from ..project import Account, Project, Scope
from ..times import window_end
from .ladder import QuotaUse, State, forecast
from .plans import Plan, PlanChanges, find_plan, plan_changes
from .ports import QuotaChange, QuotaStore
from .quota import Quota, QuotaRule


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedQuota:
    """A quota, and the name of its account or project."""

    quota: Quota
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaState(NamedQuota):
    """A quota in its present window."""

    use: QuotaUse
    state: State
    resets_at: datetime
    """The end of the window."""
    forecast: date | None
    """The day (UTC) on which hard is reached at the rate of the last 7 days; None: not in this window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanState:
    """A plan, and the accounts that have it."""

    name: str
    plan: Plan | None
    """None: the settings do not have it any more."""
    accounts: tuple[str, ...]
    """Names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanGiven:
    """The result of giving an account a plan."""

    account: Account
    plan: str | None
    changes: PlanChanges


class Quotas:
    """Sets, removes and lists quotas, and gives plans to accounts. `plans`: those of the settings, by name."""

    def __init__(
        self,
        store: QuotaStore,
        directory: Directory,
        plans: Mapping[str, Plan],
        *,
        clock: Clock,
        ids: IdGenerator,
    ) -> None:
        self._store = store
        self._directory = directory
        self._plans = plans
        self._clock = clock
        self._ids = ids

    async def set(self, rule: QuotaRule, *, account: str | None = None, project: str | None = None) -> NamedQuota:
        """Set a quota of an account or a project, in place of the one it has for the same events. One that came with
        a plan is a person's from then on. Raises `NotFound` and `Invalid`."""
        if (account is None) == (project is None):
            raise Invalid("a quota belongs to an account or to a project: name one of them")
        if account is not None:
            owner = await find_account(self._directory, account)
            scope, scope_id, name = Scope.ACCOUNT, owner.id, owner.name
        else:
            found = await find_project(self._directory, project or "")
            scope, scope_id, name = Scope.PROJECT, found.id, f"{found.account}/{found.name}"
        quota = Quota.of(rule, id=self._ids.new_id(), scope=scope, scope_id=scope_id)
        return NamedQuota(quota=await self._store.set(quota), name=name)

    async def remove(self, quota_id: str) -> NamedQuota:
        """Remove a quota and return it. Raises `NoSuchQuota`."""
        removed = await self._store.remove(quota_id)
        names = await self._names()
        return NamedQuota(quota=removed, name=names.get(removed.scope_id, removed.scope_id))

    async def of(self, projects: Iterable[Project]) -> Mapping[str, Sequence[Quota]]:
        """Return the quotas that count events of projects, by the project's id: its own and its account's."""
        known = await self._store.all()
        return {of.id: [one for one in known if one.scope_id in (of.id, of.account_id)] for of in projects}

    async def list(self, *, account: str | None = None, project: str | None = None) -> Sequence[QuotaState]:
        """Return all quotas, or those of an account or a project, each in its present window. Raises `NotFound` and
        `Invalid`."""
        owners = {(await find_account(self._directory, account)).id} if account else set[str]()
        if project:
            owners.add((await find_project(self._directory, project)).id)
        now = self._clock.now()
        uses, rates, names = await self._store.uses(now), await self._store.rates(now), await self._names()
        return [
            QuotaState(
                quota=use.quota,
                name=names.get(use.quota.scope_id, use.quota.scope_id),
                use=use,
                state=use.state(now),
                resets_at=window_end(use.quota.window, now),
                forecast=forecast(use.quota, use.used, rates.get(use.quota.id, 0), now),
            )
            for use in uses
            if not owners or use.quota.scope_id in owners
        ]

    async def plans(self) -> Sequence[PlanState]:
        """Return the plans by name: those of the settings, and those that accounts have although they are gone."""
        accounts: dict[str, list[str]] = {name: [] for name in self._plans}
        for one in await self._directory.accounts():
            if one.plan is not None:
                accounts.setdefault(one.plan, []).append(one.name)
        return [
            PlanState(name=name, plan=self._plans.get(name), accounts=tuple(of))
            for name, of in sorted(accounts.items())
        ]

    async def set_plan(self, account: str, plan: str | None) -> PlanGiven:
        """Give an account a plan, at once; None: take it away. The quotas of its last plan change, or go. Quotas that
        a person set stay. Raises `NoSuchPlan`, `NotFound` and `Unavailable`."""
        wanted = None if plan is None else find_plan(self._plans, plan)
        return await self._give(await find_account(self._directory, account), wanted)

    async def apply_plans(self, plan: str | None = None) -> Sequence[PlanGiven]:
        """Give every account that has a plan, or this one, its quotas as the settings state them now. An account whose
        plan the settings do not have any more keeps its quotas. Raises `NoSuchPlan` and `Unavailable`."""
        wanted = self._plans if plan is None else {plan: find_plan(self._plans, plan)}
        accounts = [one for one in await self._directory.accounts() if one.plan in wanted]
        return [await self._give(one, wanted[one.plan or ""]) for one in accounts]

    async def _give(self, account: Account, plan: Plan | None) -> PlanGiven:
        changes = PlanChanges()
        name = None if plan is None else plan.name

        def decide(has: Sequence[Quota]) -> QuotaChange:
            nonlocal changes
            changes = plan_changes(plan, has, account_id=account.id)
            added = [
                Quota.of(rule, id=self._ids.new_id(), scope=Scope.ACCOUNT, scope_id=account.id, plan=name)
                for rule in changes.add
            ]
            return QuotaChange(put=[*changes.change, *added], remove=[quota.id for quota in changes.remove])

        await self._store.set_plan(account.id, name, decide)
        return PlanGiven(account=account, plan=name, changes=changes)

    async def _names(self) -> dict[str, str]:
        """Return the names of all accounts and projects, by their ids."""
        names = {one.id: one.name for one in await self._directory.accounts()}
        return names | {one.id: f"{one.account}/{one.name}" for one in await self._directory.projects()}

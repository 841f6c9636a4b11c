"""The use cases of metering, on the memory adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pytest

from catchment.adapters.memory.losses import MemoryLosses
from catchment.adapters.memory.metering import MemoryMeter, MemoryOutcomes
from catchment.adapters.memory.parts import CountingIds, ToldClock
from catchment.adapters.memory.store import MemoryRegistry, Store
from catchment.core.accounts.administer import Administer
from catchment.core.accounts.errors import NoSuchAccount, NoSuchProject
from catchment.core.errors import Invalid
from catchment.core.limits import Limits
from catchment.core.metering.billing import Billing, Pushed
from catchment.core.metering.errors import NoSuchQuota
from catchment.core.metering.ladder import State
from catchment.core.metering.plans import NoSuchPlan, Plan, read_plans
from catchment.core.metering.quota import QuotaRule
from catchment.core.metering.quotas import NamedQuota, Quotas
from catchment.core.metering.reports import Reports
from catchment.core.metering.usage import Usage
from catchment.core.project import KeyKind, Project, Scope, SettingsChange, Window

from ..support.events import events
from ..support.parts import memory_quotas

pytestmark = pytest.mark.gen_test

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)


@dataclass(slots=True)
class Office:
    """The use cases, a backend that notes what it gets, and a project of an account and of the demo."""

    store: Store = field(default_factory=Store)
    clock: ToldClock = field(default_factory=ToldClock)
    billed: list[tuple[str, Sequence[Usage]]] = field(default_factory=list)
    plans: dict[str, Plan] = field(
        default_factory=lambda: read_plans(
            {
                "free": {"quotas": [{"window": "month", "hard": 3}]},
                "pro": {"quotas": [{"window": "month", "hard": 5}, {"window": "day", "hard": 1}]},
            }
        )
    )
    administer: Administer = field(init=False)
    quotas: Quotas = field(init=False)
    reports: Reports = field(init=False)
    billing: Billing = field(init=False)
    shop: Project = field(init=False)
    demo: Project = field(init=False)

    async def bill(self, backend: str, usages: Sequence[Usage]) -> int:
        self.billed.append((backend, usages))
        return len(usages)

    async def open(self) -> None:
        registry, ids = MemoryRegistry(self.store), CountingIds()
        meter = MemoryMeter(self.store, self.clock)
        self.administer = Administer(registry, ids, str)
        self.quotas = memory_quotas(self.store, self.clock, ids, self.plans)
        self.reports = Reports(registry, meter, MemoryLosses(self.store, Limits()), MemoryOutcomes(self.store))
        self.billing = Billing(meter, self)
        for name, demo in (("acme", False), ("demo", True)):
            await self.administer.create_account(name, demo=demo)
        self.shop, _ = await self.administer.create_project("shop", "acme", [])
        self.demo, _ = await self.administer.create_project("hello", "demo", [])

    def use(self, project: Project, period: date, events: int) -> None:
        self.store.usage[project.id, period] = events


@pytest.fixture
def office(io_loop: object) -> Office:
    return Office()


async def test_billing_closes_what_is_over_and_takes_the_present_month_as_it_is(office: Office) -> None:
    await office.open()
    for month, count in ((OCTOBER, 2), (NOVEMBER, 3)):
        office.use(office.shop, month, count)
    assert await office.billing.push("csv") == Pushed(usages=2, periods=(OCTOBER, NOVEMBER))
    ((backend, usages),) = office.billed
    assert backend == "csv"
    assert [(one.period, one.events, one.closed) for one in usages] == [(OCTOBER, 2, True), (NOVEMBER, 3, False)]
    assert office.store.closed == {OCTOBER}


async def test_billing_hands_over_no_usage_of_the_demo_and_one_period_if_that_is_asked(office: Office) -> None:
    await office.open()
    office.use(office.shop, OCTOBER, 2)
    office.use(office.shop, NOVEMBER, 3)
    office.use(office.demo, OCTOBER, 4)
    assert await office.billing.push("csv", period=OCTOBER) == Pushed(usages=1, periods=(OCTOBER,))
    assert [one.account for _, usages in office.billed for one in usages] == ["acme"]


async def test_a_month_that_can_t_be_closed_for_another_reason_is_not_billed(office: Office) -> None:
    """An error that is not `PeriodStillRuns` is no reason to go on with a number that is not final."""
    await office.open()
    office.use(office.shop, OCTOBER, 2)

    class Meter(MemoryMeter):
        async def close(self, period: date) -> None:
            raise Invalid("something else")

    with pytest.raises(Invalid, match="something else"):
        await Billing(Meter(office.store, office.clock), office).push("csv")
    assert office.billed == []


async def test_reports_take_the_names_that_people_use_of_deleted_projects_too(office: Office) -> None:
    await office.open()
    office.use(office.shop, OCTOBER, 2)
    office.store.losses[office.shop.id, OCTOBER, "expired"] = 7
    await office.administer.change_project("shop", changes=SettingsChange(enabled=False))
    await office.administer.delete_project("shop")
    for name in ("shop", "acme/shop", office.shop.id):
        assert [one.events for one in await office.reports.usage(project=name)] == [2]
    with pytest.raises(NoSuchProject):
        await office.reports.losses(project="nothing")


async def test_reports_leave_the_demo_out_unless_it_is_named(office: Office) -> None:
    await office.open()
    office.use(office.shop, OCTOBER, 2)
    office.use(office.demo, OCTOBER, 4)
    assert [one.account for one in await office.reports.usage()] == ["acme"]
    assert [one.account for one in await office.reports.usage(project="hello")] == ["demo"]
    assert [one.account for one in await office.reports.usage(account="demo")] == ["demo"]


async def test_losses_are_reported_of_one_project(office: Office) -> None:
    await office.open()
    for project, count in ((office.shop, 7), (office.demo, 8)):
        office.store.losses[project.id, OCTOBER, "expired"] = count
    assert [one.events for one in await office.reports.losses(project="acme/shop")] == [7]
    assert sorted(one.events for one in await office.reports.losses()) == [7, 8]


def a_rule(hard: int, window: Window = Window.MONTH, **more: Any) -> QuotaRule:
    return QuotaRule(window=window, hard=hard, **more)


async def test_a_quota_is_of_an_account_or_a_project(office: Office) -> None:
    await office.open()
    first = await office.quotas.set(a_rule(0), account="acme")
    assert (first.quota.scope, first.quota.scope_id, first.name) == (Scope.ACCOUNT, office.shop.account_id, "acme")
    second = await office.quotas.set(a_rule(5, Window.DAY, keys=KeyKind.SERVER), project="shop")
    assert (second.quota.scope, second.quota.scope_id, second.name) == (Scope.PROJECT, office.shop.id, "acme/shop")
    await office.quotas.set(a_rule(7), account="acme")
    listed = [(state.quota.hard, state.name) for state in await office.quotas.list()]
    assert listed == [(7, "acme"), (5, "acme/shop")]
    assert [state.name for state in await office.quotas.list(project="shop")] == ["acme/shop"]
    assert [state.name for state in await office.quotas.list(account="acme")] == ["acme"]
    both = await office.quotas.of([office.shop, office.demo])
    assert {name: len(quotas) for name, quotas in both.items()} == {office.shop.id: 2, office.demo.id: 0}
    assert await office.quotas.remove(second.quota.id) == NamedQuota(quota=second.quota, name="acme/shop")
    assert [state.quota.id for state in await office.quotas.list()] == [first.quota.id]
    with pytest.raises(NoSuchQuota):
        await office.quotas.remove(second.quota.id)
    for wrong in ({}, {"account": "acme", "project": "shop"}):
        with pytest.raises(Invalid, match="belongs to an account or to a project"):
            await office.quotas.set(a_rule(1), **wrong)
    for wrong_hard in (-1, 2**63):
        with pytest.raises(Invalid, match="0 to 9,223,372,036,854,775,807"):
            a_rule(wrong_hard)


async def test_a_quota_shows_what_is_left_and_when_its_window_ends(office: Office) -> None:
    await office.open()
    for window in Window:
        await office.quotas.set(a_rule(9, window), project="shop")
    states = {state.quota.window: state for state in await office.quotas.list()}
    assert {(state.use.left, state.state, state.forecast) for state in states.values()} == {(9, State.OK, None)}
    assert states[Window.DAY].resets_at == datetime(2026, 11, 3, tzinfo=UTC)
    assert states[Window.MONTH].resets_at == datetime(2026, 12, 1, tzinfo=UTC)


async def test_a_quota_shows_its_state_and_the_day_on_which_it_will_be_used_up(office: Office) -> None:
    """Seven events in seven days are one a day."""
    await office.open()
    office.clock.jump(datetime(2026, 11, 9, 12, tzinfo=UTC))
    for day in range(3, 10):
        office.store.events += events(office.shop, 1, f"day-{day}", received_at=datetime(2026, 11, day, 6, tzinfo=UTC))
    await office.quotas.set(a_rule(8), project="shop")
    await office.quotas.set(a_rule(10, soft=7), account="acme")
    account, project = await office.quotas.list()
    assert (account.use.used, account.state, account.forecast) == (7, State.SOFT, date(2026, 11, 12))
    assert (project.use.left, project.state, project.forecast) == (1, State.WARNING, date(2026, 11, 10))


# plans


def quotas_of(office: Office) -> set[tuple[str, int | None, str | None]]:
    return {(q.window, q.hard, q.plan) for q in office.store.quotas.quotas.values()}


async def test_a_plan_gives_an_account_its_quotas_and_another_one_changes_them(office: Office) -> None:
    await office.open()
    by_hand = await office.quotas.set(a_rule(77, Window.DAY), account="acme")
    given = await office.quotas.set_plan("acme", "free")
    assert (given.plan, [rule.hard for rule in given.changes.add]) == ("free", [3])
    assert quotas_of(office) == {("month", 3, "free"), ("day", 77, None)}
    (monthly,) = [state for state in await office.quotas.list() if state.quota.plan]
    assert [one.plan for one in await office.administer.accounts()] == ["free", None]

    given = await office.quotas.set_plan("acme", "pro")
    assert [(quota.id, quota.hard) for quota in given.changes.change] == [(monthly.quota.id, 5)]
    assert [quota.id for quota in given.changes.replaced] == [by_hand.quota.id]
    assert quotas_of(office) == {("month", 5, "pro"), ("day", 77, None)}

    await office.quotas.set_plan("acme", None)
    assert quotas_of(office) == {("day", 77, None)}
    assert [one.plan for one in await office.administer.accounts()] == [None, None]


async def test_a_plan_that_is_not_in_the_settings_changes_nothing(office: Office) -> None:
    await office.open()
    await office.quotas.set_plan("acme", "free")
    with pytest.raises(NoSuchPlan, match="there are free, pro"):
        await office.quotas.set_plan("acme", "gold")
    with pytest.raises(NoSuchAccount):
        await office.quotas.set_plan("nobody", "free")
    assert quotas_of(office) == {("month", 3, "free")}


async def test_a_quota_that_is_set_by_hand_is_not_the_plans_any_more(office: Office) -> None:
    await office.open()
    await office.quotas.set_plan("acme", "free")
    await office.quotas.set(a_rule(100), account="acme")
    assert quotas_of(office) == {("month", 100, None)}
    given = await office.quotas.set_plan("acme", "free")
    assert [quota.hard for quota in given.changes.replaced] == [100]
    assert quotas_of(office) == {("month", 100, None)}


async def test_plans_are_listed_with_their_accounts_those_too_that_are_gone(office: Office) -> None:
    await office.open()
    await office.quotas.set_plan("acme", "free")
    await office.quotas.set_plan("demo", "pro")
    office.plans["free"] = Plan(name="free", quotas=(a_rule(4),))
    del office.plans["pro"]
    listed = [(one.name, one.plan is not None, one.accounts) for one in await office.quotas.plans()]
    assert listed == [("free", True, ("acme",)), ("pro", False, ("demo",))]
    (given,) = await office.quotas.apply_plans()
    assert (given.account.name, [quota.hard for quota in given.changes.change]) == ("acme", [4])
    assert ("month", 4, "free") in quotas_of(office)
    assert await office.quotas.apply_plans("free") != []
    with pytest.raises(NoSuchPlan):
        await office.quotas.apply_plans("pro")

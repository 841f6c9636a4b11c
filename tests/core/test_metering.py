"""The use cases of metering, on the memory adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import pytest

from catchment.adapters.memory.losses import MemoryLosses
from catchment.adapters.memory.metering import MemoryMeter, MemoryOutcomes
from catchment.adapters.memory.parts import CountingIds, ToldClock
from catchment.adapters.memory.store import MemoryRegistry, Store
from catchment.core.accounts.administer import Administer
from catchment.core.accounts.errors import NoSuchProject
from catchment.core.errors import Invalid
from catchment.core.limits import Limits
from catchment.core.metering.billing import Billing, Pushed
from catchment.core.metering.errors import NoSuchQuota
from catchment.core.metering.quotas import NamedQuota, Quotas
from catchment.core.metering.reports import Reports
from catchment.core.metering.usage import Usage
from catchment.core.project import KeyKind, Project, Scope, SettingsChange, Window

from ..support.parts import memory_quotas

pytestmark = pytest.mark.gen_test

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)


@dataclass(slots=True)
class Office:
    """The use cases, a backend that notes what it gets, and a project of an account and of the demo."""

    store: Store = field(default_factory=Store)
    clock: ToldClock = field(default_factory=ToldClock)
    billed: list[tuple[str, Sequence[Usage]]] = field(default_factory=list)
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
        self.quotas = memory_quotas(self.store, self.clock, ids)
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
    for month, events in ((OCTOBER, 2), (NOVEMBER, 3)):
        office.use(office.shop, month, events)
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
    for project, events in ((office.shop, 7), (office.demo, 8)):
        office.store.losses[project.id, OCTOBER, "expired"] = events
    assert [one.events for one in await office.reports.losses(project="acme/shop")] == [7]
    assert sorted(one.events for one in await office.reports.losses()) == [7, 8]


async def test_a_quota_is_of_an_account_or_a_project(office: Office) -> None:
    await office.open()
    first = await office.quotas.set(account="acme", window=Window.MONTH, hard=0)
    assert (first.quota.scope, first.quota.scope_id, first.name) == (Scope.ACCOUNT, office.shop.account_id, "acme")
    second = await office.quotas.set(project="shop", window=Window.DAY, keys=KeyKind.SERVER, hard=5)
    assert (second.quota.scope, second.quota.scope_id, second.name) == (Scope.PROJECT, office.shop.id, "acme/shop")
    await office.quotas.set(account="acme", window=Window.MONTH, hard=7)
    assert [(state.quota.hard, state.name) for state in await office.quotas.list()] == [(7, "acme"), (5, "acme/shop")]
    assert await office.quotas.remove(second.quota.id) == NamedQuota(quota=second.quota, name="acme/shop")
    assert [state.quota.id for state in await office.quotas.list()] == [first.quota.id]
    with pytest.raises(NoSuchQuota):
        await office.quotas.remove(second.quota.id)
    for wrong in ({}, {"account": "acme", "project": "shop"}):
        with pytest.raises(Invalid, match="belongs to an account or to a project"):
            await office.quotas.set(window=Window.DAY, hard=1, **wrong)
    for wrong_hard in (-1, 2**63):
        with pytest.raises(Invalid, match="0 to 9,223,372,036,854,775,807"):
            await office.quotas.set(account="acme", window=Window.DAY, hard=wrong_hard)


async def test_a_quota_shows_what_is_left_and_when_its_window_ends(office: Office) -> None:
    await office.open()
    for window in Window:
        await office.quotas.set(project="shop", window=window, hard=9)
    states = {state.quota.window: state for state in await office.quotas.list()}
    assert {state.left for state in states.values()} == {9}
    assert states[Window.DAY].resets_at == datetime(2026, 11, 3, tzinfo=UTC)
    assert states[Window.MONTH].resets_at == datetime(2026, 12, 1, tzinfo=UTC)

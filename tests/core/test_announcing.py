"""The announcer: every change is told at least once, in order for each quota."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from catchment.adapters.memory.metering import MemoryQuotas, MemoryQuotaStates
from catchment.adapters.memory.parts import ToldClock
from catchment.adapters.memory.store import MemorySink, Store
from catchment.core.errors import Unavailable
from catchment.core.metering import announcing
from catchment.core.metering.announcing import Announcer
from catchment.core.metering.ladder import QuotaStateChange
from catchment.core.metering.quota import Quota
from catchment.core.project import Account, Project, Scope, Window

from ..support.events import an_id, events
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test

ACCOUNT = an_id(1)


@dataclass(slots=True)
class Listener:
    """Takes changes, unless it was told to fail at a state."""

    failing: set[str] = field(default_factory=set)
    told: list[tuple[str, str]] = field(default_factory=list)

    async def announce(self, change: QuotaStateChange) -> bool:
        self.told.append((str(change.project), change.state))
        return change.state not in self.failing


class Office:
    """Two projects with a quota each, both of which have entered each state."""

    def __init__(self) -> None:
        self.store, self.clock, self.listener = Store(), ToldClock(), Listener()
        self.store.accounts[ACCOUNT] = Account(id=ACCOUNT, name="acme")
        self.states = MemoryQuotaStates(self.store, self.clock)
        self.announcer = Announcer(self.states, self.listener)

    async def open(self) -> None:
        for number, name in enumerate(("shop", "blog"), 2):
            project = Project(id=an_id(number), account_id=ACCOUNT, account="acme", name=name)
            self.store.projects[project.id] = project
            quota = Quota(
                id=an_id(10 + number), scope=Scope.PROJECT, scope_id=project.id, window=Window.DAY, soft=1, hard=2
            )
            await MemoryQuotas(self.store, self.clock).set(quota)
            await MemorySink(self.store).store(events(project, 3), deadline=10)


async def test_changes_are_told_once_in_order() -> None:
    office = Office()
    await office.open()
    assert await office.announcer.once() == 6
    for project in ("shop", "blog"):
        told = [state for of, state in office.listener.told if of == project]
        assert told == ["warning", "soft", "hard"]
    assert await office.announcer.once() == 0
    assert office.store.quotas.changes == []


async def test_a_change_that_is_not_taken_is_told_again_before_the_next_one() -> None:
    office = Office()
    await office.open()
    office.listener.failing = {"soft"}
    assert await office.announcer.once() == 2
    assert [state for _, state in office.listener.told] == ["warning", "warning", "soft", "soft"]
    assert await office.announcer.once() == 0  # not before a minute has passed
    office.clock.advance(timedelta(minutes=1))
    office.listener.failing = set()
    assert await office.announcer.once() == 4
    assert [state for of, state in office.listener.told if of == "shop"] == ["warning", "soft", "soft", "hard"]


@pytest.mark.parametrize("error", [Unavailable("no connection"), RuntimeError("a fault")])
async def test_no_error_ends_it(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(announcing, "_EVERY_SECONDS", 0.01)
    office = Office()
    await office.open()
    down = 3

    class Failing(MemoryQuotaStates):
        async def claim(self, at_most: int) -> Sequence[QuotaStateChange]:
            nonlocal down
            down -= 1
            if down > 0:
                raise error
            return await super().claim(at_most)

    announcer = Announcer(Failing(office.store, office.clock), office.listener)
    with caplog.at_level(logging.WARNING):
        announcer.start()
        await eventually(lambda: len(office.listener.told) == 6, "all are told")
    assert len([record for record in caplog.records if "states of quotas" in record.getMessage()]) == 1
    async with asyncio.timeout(10):
        await announcer.close()


async def test_it_ends_between_two_changes() -> None:
    office = Office()
    await office.open()
    release, asked = asyncio.Event(), asyncio.Event()

    class Slow(Listener):
        async def announce(self, change: QuotaStateChange) -> bool:
            asked.set()
            await release.wait()
            return await super().announce(change)

    listener = Slow()
    announcer = Announcer(office.states, listener)
    announcer.start()
    await asked.wait()
    closing = asyncio.create_task(announcer.close())
    await asyncio.sleep(0)
    release.set()
    async with asyncio.timeout(10):
        await closing
    assert len(listener.told) == 1
    assert len(office.store.quotas.changes) == 5  # the one that was told is marked

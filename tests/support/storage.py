"""The ports of storage, on any adapter: what the contract suites run on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from catchment.adapters.memory.losses import MemoryLosses
from catchment.adapters.memory.metering import MemoryMeter, MemoryOutcomes, MemoryQuotas, MemoryQuotaStates
from catchment.adapters.memory.parts import CountingIds, ToldClock
from catchment.adapters.memory.samples import MemorySamples
from catchment.adapters.memory.scripts import MemoryScripts
from catchment.adapters.memory.store import (
    MemoryProjects,
    MemoryRegistry,
    MemorySalts,
    MemorySink,
    Store,
)
from catchment.adapters.postgres.batch_writer import PostgresWriter
from catchment.adapters.postgres.link import Link, Links
from catchment.adapters.postgres.losses import PostgresLosses
from catchment.adapters.postgres.low_descriptors import LowDescriptors
from catchment.adapters.postgres.meter import PostgresMeter
from catchment.adapters.postgres.outcomes import PostgresOutcomes
from catchment.adapters.postgres.projects import CachedProjects
from catchment.adapters.postgres.quotas import PostgresQuotas, PostgresQuotaStates
from catchment.adapters.postgres.registry import PostgresRegistry
from catchment.adapters.postgres.salts import PostgresSalts
from catchment.adapters.postgres.samples import PostgresSamples
from catchment.adapters.postgres.scripts import PostgresScripts
from catchment.core.accounts.administer import Administer
from catchment.core.accounts.ports import Registry, ScriptArchive
from catchment.core.collecting.group_commit import GroupCommit
from catchment.core.collecting.ports import EventSink, LossLedger, ProjectRepository, Salts, Stored
from catchment.core.collecting.store_queue import GroupLimits
from catchment.core.event import Event
from catchment.core.limits import Limits
from catchment.core.metering.inbox import SampleStore
from catchment.core.metering.outcomes import OutcomeLedger
from catchment.core.metering.plans import Plan, read_plans
from catchment.core.metering.ports import QuotaStates, QuotaStore, UsageMeter
from catchment.core.metering.quota import OverQuota, Quota
from catchment.core.metering.quotas import Quotas
from catchment.core.outcomes import StoreOutcome
from catchment.core.project import Project

from .database import Database
from .events import NOON
from .waiting import eventually

FEW = Limits(loss_words=3, loss_reports=5)
"""Limits that a test reaches."""

PLANS: Mapping[str, Plan] = read_plans(
    {
        "free": {"quotas": [{"window": "month", "hard": 3}]},
        "pro": {
            "quotas": [{"window": "month", "soft": 4, "hard": 5}, {"window": "day", "events": "Click*", "hard": 2}]
        },
    }
)
TIMEOUT = 10.0
"""Seconds for connecting and for a query: who meets it hangs."""


@dataclass(slots=True)
class Notes:
    """Remembers what group commit and its writers do, and how they die."""

    commits: list[int] = field(default_factory=list)
    """Events of each."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    in_quarantine: int = 0
    deaths: list[BaseException] = field(default_factory=list)

    def committed(self, events: int, seconds: float) -> None:
        self.commits.append(events)

    def failed(self, failure: str, sqlstate: str) -> None:
        self.failures.append((failure, sqlstate))

    def quarantined(self, events: int) -> None:
        self.in_quarantine += events


@dataclass(slots=True, kw_only=True)
class Storage:
    """The ports of storage on one adapter, with an account `acme` and its project `shop`."""

    clock: ToldClock
    registry: Registry
    projects: ProjectRepository
    sink: EventSink
    meter: UsageMeter
    quota_store: QuotaStore
    quota_states: QuotaStates
    salts: Salts
    losses: LossLedger
    outcomes: OutcomeLedger
    samples: SampleStore
    archive: ScriptArchive
    administer: Administer
    quotas: Quotas
    project: Project

    async def add_project(self, name: str, account: str = "acme") -> Project:
        """A project of an account, which is made where it is missing."""
        if account not in {known.name for known in await self.registry.accounts()}:
            await self.administer.create_account(account)
        project, _ = await self.administer.create_project(name, account, ["https://example.com"])
        return project

    async def store(self, *events: Event, quotas: tuple[Quota, ...] | None = None) -> list[str]:
        """The outcomes of one request, in words. With `quotas`, these and no others are set before."""
        if quotas is not None:
            await self.limit(*quotas)
        return in_words((await self.stored(*events)).outcomes)

    async def stored(self, *events: Event) -> Stored:
        """The answer for one request."""
        return await self.sink.store(events, deadline=self.clock.monotonic() + TIMEOUT)

    async def limit(self, *quotas: Quota) -> list[Quota]:
        """Set these quotas, each with an id of its own, and remove all others. Return them."""
        kept = [await self.quota_store.set(replace(quota, id=own_id(quota))) for quota in quotas]
        for known in await self.quota_store.all():
            if known.id not in [quota.id for quota in kept]:
                await self.quota_store.remove(known.id)
        return kept

    async def used(self, quota: Quota, at: datetime = NOON) -> int:
        """The used events of a quota in the window of this moment; the quota is set for that."""
        kept = await self.quota_store.set(replace(quota, id=own_id(quota)))
        return {use.quota.id: use.used for use in await self.quota_store.uses(at)}[kept.id]

    async def counted(self, project: Project | None = None) -> int:
        """The usage of a project, or of all, in all periods."""
        usage = await self.meter.usage(project=project.id if project else None)
        return sum(one.events for one in usage)


def own_id(quota: Quota) -> str:
    """An id that is the same for the same events of the same owner."""
    return str(uuid5(UUID(quota.scope_id), f"{quota.window} {quota.keys} {quota.events}"))


def in_words(outcomes: Sequence[StoreOutcome | OverQuota]) -> list[str]:
    """What became of events, whatever limit they met."""
    return ["quota_exceeded" if isinstance(outcome, OverQuota) else outcome for outcome in outcomes]


async def _furnished(**parts: Any) -> Storage:
    administer = Administer(parts["registry"], CountingIds(), lambda origin: origin)
    await administer.create_account("acme")
    project, _ = await administer.create_project("shop", "acme", ["https://example.com"])
    quotas = Quotas(parts["quota_store"], parts["registry"], PLANS, clock=parts["clock"], ids=CountingIds())
    return Storage(administer=administer, quotas=quotas, project=project, **parts)


@contextlib.asynccontextmanager
async def memory_storage() -> AsyncIterator[Storage]:
    store, clock = Store(), ToldClock()
    yield await _furnished(
        clock=clock,
        registry=MemoryRegistry(store),
        projects=MemoryProjects(store),
        sink=MemorySink(store),
        meter=MemoryMeter(store, clock),
        outcomes=MemoryOutcomes(store),
        samples=MemorySamples(store),
        quota_store=MemoryQuotas(store, clock),
        quota_states=MemoryQuotaStates(store, clock),
        salts=MemorySalts(CountingIds()),
        losses=MemoryLosses(store, FEW),
        archive=MemoryScripts(store),
    )


@contextlib.contextmanager
def _descriptors() -> Iterator[LowDescriptors]:
    descriptors = LowDescriptors(0)
    try:
        yield descriptors
    finally:
        descriptors.close()


@contextlib.asynccontextmanager
async def open_links(database: Database, count: int = 2, timeout: float = TIMEOUT) -> AsyncIterator[Links]:
    with _descriptors() as descriptors:
        links = Links(database.dsn, count=count, name="test", timeout=timeout, descriptors=descriptors)
        try:
            yield links
        finally:
            links.close()


@contextlib.asynccontextmanager
async def open_link(database: Database, name: str = "test", timeout: float = TIMEOUT) -> AsyncIterator[Link]:
    with _descriptors() as descriptors:
        link = Link(database.dsn, name=name, timeout=timeout, descriptors=descriptors)
        try:
            yield link
        finally:
            link.drop()


def sink_on(*links: Link, notes: Notes, clock: Any = None, limits: GroupLimits | None = None) -> GroupCommit:
    """A sink with a writer on each of these sessions; its writers do not run yet."""
    clock = clock or ToldClock()
    return GroupCommit(
        [PostgresWriter(link, clock=clock, observer=notes) for link in links],
        clock=clock,
        limits=limits or GroupLimits(),
        observer=notes,
        on_death=notes.deaths.append,
    )


@contextlib.asynccontextmanager
async def open_sink(
    database: Database,
    *,
    notes: Notes | None = None,
    clock: Any = None,
    limits: GroupLimits | None = None,
    writers: int = 2,
    timeout: float = TIMEOUT,
) -> AsyncIterator[GroupCommit]:
    """A sink whose writers run, and are connected."""
    notes = notes or Notes()
    async with contextlib.AsyncExitStack() as stack:
        links = [await stack.enter_async_context(open_link(database, f"writer {n}", timeout)) for n in range(writers)]
        sink = sink_on(*links, notes=notes, clock=clock, limits=limits)
        sink.start()
        try:
            await eventually(lambda: all(link.connected for link in links), "the writers are connected")
            yield sink
        finally:
            async with asyncio.timeout(TIMEOUT):
                await sink.close()
        assert notes.deaths == []


@contextlib.asynccontextmanager
async def open_projects(database: Database, links: Links, *, clock: Any, **more: Any) -> AsyncIterator[CachedProjects]:
    """Projects that hear what changes."""
    async with open_link(database, "listener") as listener:
        projects = CachedProjects(links, listener, clock=clock, **more)
        projects.start()
        try:
            await eventually(lambda: projects.listening, "changes are announced")
            yield projects
        finally:
            await projects.close()


@contextlib.asynccontextmanager
async def postgres_storage(database: Database) -> AsyncIterator[Storage]:
    clock = ToldClock()
    async with (
        open_links(database) as links,
        open_sink(database, clock=clock) as sink,
        open_projects(database, links, clock=clock) as projects,
    ):
        yield await _furnished(
            clock=clock,
            registry=PostgresRegistry(links),
            projects=projects,
            sink=sink,
            meter=PostgresMeter(links, clock),
            quota_store=PostgresQuotas(links),
            quota_states=PostgresQuotaStates(links),
            salts=PostgresSalts(links, CountingIds()),
            losses=PostgresLosses(links, clock=clock, limits=FEW),
            outcomes=PostgresOutcomes(links),
            samples=PostgresSamples(links),
            archive=PostgresScripts(links),
        )

"""What holds when many store at once, from several servers, on PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from catchment.adapters.memory.parts import ToldClock
from catchment.core.collecting.group_commit import GroupCommit
from catchment.core.collecting.store_queue import GroupLimits
from catchment.core.event import Event
from catchment.core.outcomes import StoreOutcome
from catchment.core.project import Window

from ..support.database import Database
from ..support.events import account_quota, an_event, events, project_quota
from ..support.storage import Storage, in_words, open_sink, postgres_storage

pytestmark = pytest.mark.gen_test

SERVERS = 4
STORED, DUPLICATE, FULL = StoreOutcome.STORED, StoreOutcome.DUPLICATE, "quota_exceeded"


@contextlib.asynccontextmanager
async def several_servers(database: Database) -> AsyncIterator[tuple[Storage, list[GroupCommit]]]:
    """Sinks of several servers, each with a few writers that take one request at a time."""
    async with contextlib.AsyncExitStack() as stack:
        storage = await stack.enter_async_context(postgres_storage(database))
        one_each = GroupLimits(group_events=1)
        sinks = [
            await stack.enter_async_context(open_sink(database, clock=ToldClock(), limits=one_each, writers=5))
            for _ in range(SERVERS)
        ]
        yield storage, sinks
        assert await storage.meter.audit() == []


async def store_all(sinks: list[GroupCommit], requests: list[list[Event]]) -> list[str]:
    """Every request through one of the sinks, all at once; the outcomes in one list."""
    answers = await asyncio.gather(
        *(sinks[n % len(sinks)].store(request, deadline=30) for n, request in enumerate(requests))
    )
    return [outcome for answer in answers for outcome in in_words(answer.outcomes)]


@pytest.mark.parametrize("window", Window)
async def test_exactly_a_hundred_of_a_quota_of_a_hundred_are_stored(database: Database, window: Window) -> None:
    async with several_servers(database) as (storage, sinks):
        quotas = (project_quota(storage.project, 100, window),)
        requests = [events(storage.project, 9, f"request-{n}") for n in range(20)]
        await storage.limit(*quotas)
        outcomes = await store_all(sinks, requests)
        assert (outcomes.count(STORED), outcomes.count(FULL)) == (100, 80)
        assert await storage.counted() == 100
        assert await storage.used(quotas[0], requests[0][0].received_at) == 100


async def test_an_accounts_quota_holds_over_its_projects(database: Database) -> None:
    async with several_servers(database) as (storage, sinks):
        projects = [storage.project, await storage.add_project("blog"), await storage.add_project("site")]
        quotas = (account_quota(storage.project, 100), account_quota(storage.project, 60, Window.DAY))
        requests = [events(projects[n % 3], 5, f"request-{n}") for n in range(30)]
        await storage.limit(*quotas)
        outcomes = await store_all(sinks, requests)
        assert (outcomes.count(STORED), outcomes.count(FULL)) == (60, 90)


async def test_the_same_id_from_many_at_once_is_one_row(database: Database) -> None:
    async with several_servers(database) as (storage, sinks):
        outcomes = await store_all(sinks, [[an_event(storage.project, "one")] for _ in range(40)])
        assert (outcomes.count(STORED), outcomes.count(DUPLICATE)) == (1, 39)
        assert database.one("SELECT count(*) FROM catchment.event") == 1


async def test_the_same_ids_in_different_orders_are_stored_once_and_block_nobody(database: Database) -> None:
    async with several_servers(database) as (storage, sinks):
        shuffled = random.Random(1)
        batch = events(storage.project, 50)
        requests = [shuffled.sample(batch, len(batch)) for _ in range(20)]
        outcomes = await store_all(sinks, requests)
        assert (outcomes.count(STORED), outcomes.count(DUPLICATE)) == (50, 950)


async def test_duplicates_and_quotas_at_once_add_up(database: Database) -> None:
    async with several_servers(database) as (storage, sinks):
        blog = await storage.add_project("blog")
        quotas = (account_quota(storage.project, 30), project_quota(storage.project, 20))
        batches = [events(storage.project, 25), events(blog, 25)]
        requests = [batches[n % 2][n % 5 * 5 : n % 5 * 5 + 5] for n in range(40)]
        await storage.limit(*quotas)
        outcomes = await store_all(sinks, requests)
        assert outcomes.count(STORED) == 30
        assert await storage.counted(storage.project) <= 20


async def test_usage_needs_no_lock_where_there_is_no_quota(database: Database) -> None:
    async with several_servers(database) as (storage, sinks):
        requests = [events(storage.project, 10, f"request-{n}") for n in range(60)]
        assert set(await store_all(sinks, requests)) == {STORED}
        assert await storage.counted() == 600
        assert database.one("SELECT count(*) FROM catchment.quota_usage") == 0

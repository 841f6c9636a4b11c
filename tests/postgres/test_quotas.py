"""Setting a quota counts what its window has already, exactly, without stopping a writer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from catchment.adapters.postgres import quotas
from catchment.adapters.postgres.rows import batch_of, quota_rows, rows_of
from catchment.core.errors import Unavailable
from catchment.core.event import Event
from catchment.core.project import KeyKind, Project, Quota, Scope, Window
from catchment.core.tasks import end

from ..support.database import Database
from ..support.events import an_id, events
from ..support.sessions import reads
from ..support.storage import open_link, open_sink, postgres_storage
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test

WINDOWS = pytest.mark.parametrize("window", list(Window))


@pytest.fixture(autouse=True)
def within_one_day() -> None:
    """Do not begin just before midnight: a test stores events of today and counts them a little later."""
    while now().date() != (now() + timedelta(seconds=10)).date():
        time.sleep(0.1)


def now() -> datetime:
    """Return the time of the machine, which the database shares: it counts the window of its own clock."""
    return datetime.now(UTC)


def new(project: Project, count: int, prefix: str) -> list[Event]:
    return events(project, count, prefix, received_at=now())


def a_quota(
    project: Project, hard: int, window: Window, scope: Scope = Scope.PROJECT, keys: KeyKind | None = None
) -> Quota:
    scope_id = project.id if scope is Scope.PROJECT else project.account_id
    return Quota(id=an_id(1), scope=scope, scope_id=scope_id, window=window, keys=keys, hard=hard)


def used(database: Database, quota: Quota) -> int | None:
    """Return what the row of a quota's window says; None if there is no row."""
    rows = database.execute(
        'SELECT events FROM catchment.quota_usage WHERE scope_id = %s AND "window" = %s AND keys = %s',
        quota.scope_id,
        quota.window,
        quota.keys or "both",
    )
    return int(rows[0][0]) if rows else None


@contextlib.asynccontextmanager
async def storing(database: Database, project: Project) -> AsyncIterator[None]:
    """A writer has stored three events, knows of no quota, and does not commit before the end."""
    async with contextlib.AsyncExitStack() as stack:
        for n in range(100):
            link = await stack.enter_async_context(open_link(database, f"slow {n}"))
            await link.connect()
            if not shares_its_slot(database, f"slow {n}"):
                break
        async with link.transaction():
            batch = batch_of([rows_of(new(project, 3, "slow"))])
            await link.run("log_events", batch=batch, limits=quota_rows([]))
            yield


def shares_its_slot(database: Database, name: str) -> bool:
    """True if this session counts usage in the same row as another one, which would wait for it."""
    slots = "SELECT pid % 16 FROM pg_stat_activity WHERE datname = current_database() AND application_name "
    return bool(database.one(f"SELECT ({slots} = 'catchment {name}') IN ({slots} <> 'catchment {name}')"))


def stored(database: Database, project: Project) -> int:
    return int(database.one("SELECT count(*) FROM catchment.event WHERE project_id = %s", project.id))


@WINDOWS
@pytest.mark.parametrize("scope", list(Scope))
async def test_a_quota_that_is_set_late_counts_what_is_there(database: Database, window: Window, scope: Scope) -> None:
    async with postgres_storage(database) as storage:
        await storage.store(*new(storage.project, 3, "before"))
        quota = a_quota(storage.project, 5, window, scope)
        await storage.quota_store.set(quota)
        assert used(database, quota) == 3  # before anybody meets it
        outcomes = await storage.store(*new(storage.project, 3, "after"), quotas=(quota,))
        assert outcomes == ["stored", "stored", "quota_exceeded"]
        assert used(database, quota) == 5


@WINDOWS
@pytest.mark.parametrize("keys", list(KeyKind))
async def test_a_quota_of_a_kind_of_key_that_is_set_late_counts_what_came_by_it(
    database: Database, window: Window, keys: KeyKind
) -> None:
    """The events of both kinds have the same ids and the same arrival."""
    async with postgres_storage(database) as storage:
        at = now()
        for kind, count in ((KeyKind.BROWSER, 3), (KeyKind.SERVER, 2)):
            await storage.store(*events(storage.project, count, received_at=at, key_kind=kind))
        has = {KeyKind.BROWSER: 3, KeyKind.SERVER: 2}[keys]
        quota = a_quota(storage.project, has + 1, window, keys=keys)
        await storage.quota_store.set(quota)
        assert used(database, quota) == has
        assert await storage.meter.quota_usage(at) == {quota.id: has}
        for kind in KeyKind:
            outcomes = await storage.store(
                *events(storage.project, 2, "after", received_at=now(), key_kind=kind), quotas=(quota,)
            )
            assert outcomes == ["stored", "quota_exceeded" if kind is keys else "stored"]
        assert used(database, quota) == has + 1


@WINDOWS
async def test_who_stores_while_a_quota_is_set_is_waited_for_and_nobody_else_waits(
    database: Database, window: Window
) -> None:
    async with postgres_storage(database) as storage:
        other = await storage.add_project("blog", "other")
        quota = a_quota(storage.project, 10, window)
        await storage.store(*new(storage.project, 2, "before"))
        async with storing(database, storage.project):
            setting = asyncio.create_task(storage.quota_store.set(quota))
            await eventually(lambda: used(database, quota) == 0, "every commit adds to the row")
            assert await storage.store(*new(storage.project, 1, "meanwhile")) == ["stored"]
            assert await storage.store(*new(other, 1, "others")) == ["stored"]
            assert not setting.done()
            assert await storage.quota_store.all() == []
        await setting
        assert used(database, quota) == 6
        assert await storage.quota_store.all() == [quota]


@WINDOWS
async def test_a_quota_that_is_set_under_load_is_exact(database: Database, window: Window) -> None:
    async with postgres_storage(database) as storage, open_sink(database) as other:
        quota = a_quota(storage.project, 10**6, window)
        over = False

        async def load(number: int) -> None:
            n = 0
            while not over:
                sink = other if number % 2 else storage.sink
                await sink.store(new(storage.project, 2, f"{number}-{n}"), (), deadline=30)
                n += 1

        tasks = [asyncio.create_task(load(number)) for number in range(4)]
        await eventually(lambda: stored(database, storage.project) > 20, "there is something to count")
        await storage.quota_store.set(quota)
        before = stored(database, storage.project)
        await eventually(lambda: stored(database, storage.project) > before, "it goes on")
        over = True
        await asyncio.gather(*tasks)
        assert used(database, quota) == stored(database, storage.project)


async def test_setting_a_quota_that_was_broken_off_is_counted_anew(database: Database) -> None:
    async with postgres_storage(database) as storage:
        quota = a_quota(storage.project, 10, Window.DAY)
        await storage.store(*new(storage.project, 2, "before"))
        async with storing(database, storage.project):
            setting = asyncio.create_task(storage.quota_store.set(quota))
            await eventually(lambda: used(database, quota) == 0, "every commit adds to the row")
            await end(setting)  # type: ignore[arg-type]
            assert setting.cancelled()
        await storage.store(*new(storage.project, 1, "after"))
        assert used(database, quota) == 1
        await storage.quota_store.set(quota)
        assert used(database, quota) == 6


async def test_a_quota_that_is_set_twice_is_counted_once(database: Database) -> None:
    async with postgres_storage(database) as storage:
        await storage.store(*new(storage.project, 3, "before"))
        quotas = [a_quota(storage.project, hard, Window.DAY) for hard in (5, 6)]
        await asyncio.gather(*(storage.quota_store.set(quota) for quota in quotas))
        assert used(database, quotas[0]) == 3
        (found,) = await storage.quota_store.all()
        assert found in quotas
        # counted anew, the row would say less than what was used
        database.execute("DELETE FROM catchment.event; DELETE FROM catchment.usage_count")
        await storage.quota_store.set(a_quota(storage.project, 4, Window.DAY))
        assert used(database, quotas[0]) == 3


async def test_a_writer_that_does_not_end_is_said(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "_WRITERS_SECONDS", 0.2)
    async with postgres_storage(database) as storage:
        quota = a_quota(storage.project, 5, Window.DAY)
        async with storing(database, storage.project):
            with pytest.raises(Unavailable, match="the quota is not set"):
                await storage.quota_store.set(quota)
        assert await storage.quota_store.all() == []
        await storage.quota_store.set(quota)
        assert used(database, quota) == 3


async def test_a_new_day_costs_what_the_day_has(database: Database) -> None:
    """It does not depend on the month: the first commit of a day counts while others wait."""
    async with postgres_storage(database) as storage:
        database.execute(
            "INSERT INTO catchment.event (project_id, event_id, name, data, session_id, is_bot, properties,"
            " occurred_at, received_at) SELECT %s, n::text, '', '{}', '', false, '{}', now(),"
            " timestamptz '2026-11-01 00:00Z' + n * interval '1 minute' FROM generate_series(1, 20000) AS n",
            storage.project.id,
        )
        database.execute(
            "INSERT INTO catchment.event_id (project_id, key_kind, event_id, received_at)"
            " SELECT project_id, 'browser', event_id, received_at FROM catchment.event;"
            "INSERT INTO catchment.usage_count (project_id, hour, slot, events)"
            " SELECT project_id, date_trunc('hour', received_at, 'UTC'), 0, count(*) FROM catchment.event GROUP BY 1, 2"
        )
        database.execute("VACUUM ANALYZE")
        for scope, scope_id in (("project", storage.project.id), ("account", storage.project.account_id)):
            for day, count, hours in (("2026-11-13", 1440, 24), ("2026-11-15", 0, 0)):
                for keys, most in (("both", hours), ("browser", 2 * count)):
                    call = f"SELECT catchment.window_usage('{scope}', '{scope_id}', 'day', '{day}', '{keys}')"
                    assert database.one(call) == count
                    read, _ = reads(database, "^(event_|usage_count)", call)
                    assert read <= most + 10
        database.execute("DELETE FROM catchment.event; DELETE FROM catchment.usage_count")

"""Setting a quota counts what its window has already, exactly, without stopping a writer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catchment.adapters.postgres import quotas
from catchment.adapters.postgres.rows import batch_of, rows_of
from catchment.core.collecting.store_queue import GroupLimits
from catchment.core.errors import Unavailable
from catchment.core.event import Event
from catchment.core.metering.ladder import state_of
from catchment.core.metering.patterns import NamePattern
from catchment.core.metering.quota import Quota, QuotaRule
from catchment.core.project import KeyKind, Project, Scope, Window
from catchment.core.tasks import end

from ..support.database import Database
from ..support.events import an_id, events
from ..support.sessions import reads
from ..support.storage import in_words, open_link, open_sink, postgres_storage
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
    project: Project,
    hard: int,
    window: Window,
    scope: Scope = Scope.PROJECT,
    keys: KeyKind | None = None,
    pattern: str = "*",
    **more: Any,
) -> Quota:
    scope_id = project.id if scope is Scope.PROJECT else project.account_id
    events = NamePattern.parse(pattern)
    return Quota(
        id=an_id(1), scope=scope, scope_id=scope_id, window=window, keys=keys, hard=hard, events=events, **more
    )


def used(database: Database, quota: Quota) -> int | None:
    """Return what the row of a quota's window says; None if there is no row."""
    rows = database.execute(
        "SELECT used.events FROM catchment.quota_usage AS used JOIN catchment.quota ON quota.id = used.quota_id"
        ' WHERE quota.scope_id = %s AND quota."window" = %s AND quota.events = %s'
        " AND quota.keys IS NOT DISTINCT FROM %s"
        " AND used.starts = date_trunc(%s, now() AT TIME ZONE 'UTC')::date",
        quota.scope_id,
        quota.window,
        str(quota.events),
        quota.keys,
        quota.window,
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
            await link.run("log_events", batch=batch)
            yield


def shares_its_slot(database: Database, name: str) -> bool:
    """True if this session counts usage in the same row as another one, which would wait for it."""
    slots = "SELECT pid % 16 FROM pg_stat_activity WHERE datname = current_database() AND application_name "
    return bool(database.one(f"SELECT ({slots} = 'catchment {name}') IN ({slots} <> 'catchment {name}')"))


def stored(database: Database, project: Project, like: str = "%") -> int:
    counted = "SELECT count(*) FROM catchment.event WHERE project_id = %s AND name LIKE %s"
    return int(database.one(counted, project.id, like))


@WINDOWS
@pytest.mark.parametrize("scope", list(Scope))
async def test_a_quota_that_is_set_late_counts_what_is_there(database: Database, window: Window, scope: Scope) -> None:
    async with postgres_storage(database) as storage:
        await storage.store(*new(storage.project, 3, "before"))
        quota = a_quota(storage.project, 5, window, scope)
        await storage.quota_store.set(quota)
        assert used(database, quota) == 3  # before anybody meets it
        outcomes = await storage.store(*new(storage.project, 3, "after"))
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
        assert [use.used for use in await storage.quota_store.uses(at)] == [has]
        for kind in KeyKind:
            outcomes = await storage.store(*events(storage.project, 2, "after", received_at=now(), key_kind=kind))
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
@pytest.mark.parametrize("pattern", ["*", "Sign*"])
async def test_a_quota_that_is_set_under_load_is_exact(database: Database, window: Window, pattern: str) -> None:
    async with postgres_storage(database) as storage, open_sink(database) as other:
        quota = a_quota(storage.project, 10**6, window, pattern=pattern)
        over = False

        async def load(number: int) -> None:
            n = 0
            while not over:
                sink = other if number % 2 else storage.sink
                await sink.store(new(storage.project, 2, f"{number}-{n}"), deadline=30)
                n += 1

        tasks = [asyncio.create_task(load(number)) for number in range(4)]
        await eventually(lambda: stored(database, storage.project) > 20, "there is something to count")
        await storage.quota_store.set(quota)
        before = stored(database, storage.project)
        await eventually(lambda: stored(database, storage.project) > before, "it goes on")
        over = True
        await asyncio.gather(*tasks)
        assert used(database, quota) == stored(database, storage.project, quota.events.like)


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


async def test_a_day_that_begins_while_a_quota_is_set_is_counted(database: Database) -> None:
    """To count a large month takes long. All commits of the new day know the quota, so nothing else is added."""
    database.let_clocks_differ("10 minutes")
    async with postgres_storage(database) as storage:
        quota = a_quota(storage.project, 3, Window.DAY)
        async with storing(database, storage.project):
            setting = asyncio.create_task(storage.quota_store.set(quota))
            await eventually(lambda: used(database, quota) == 0, "every commit adds to the row")
            # the setting began two days ago
            database.execute("DELETE FROM catchment.quota_usage")
            database.execute("UPDATE catchment.quota SET counted_from = counted_from - interval '2 days'")
            assert await storage.store(*new(storage.project, 2, "today")) == ["stored", "stored"]
            assert used(database, quota) == 2
        await setting
        assert used(database, quota) == 2
        assert await storage.store(*new(storage.project, 2, "after")) == ["stored", "quota_exceeded"]


@pytest.mark.parametrize(("earlier", "has"), [("11 minutes", 1), ("9 minutes", 3)])
async def test_a_day_that_may_have_begun_before_its_quota_is_counted(
    database: Database, earlier: str, has: int
) -> None:
    """Any other day has only what commits have added to its row: there is nothing to count."""
    database.let_clocks_differ("10 minutes")
    async with postgres_storage(database) as storage:
        quota = a_quota(storage.project, 9, Window.DAY)
        await storage.quota_store.set(quota)
        await storage.store(*new(storage.project, 2, "before"))
        database.execute("DELETE FROM catchment.quota_usage")
        database.execute(
            "UPDATE catchment.quota SET counted_from = date_trunc('day', now(), 'UTC') - %s::interval", earlier
        )
        assert await storage.store(*new(storage.project, 1, "first")) == ["stored"]
        assert used(database, quota) == has


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
    """It does not depend on the month: setting a quota counts it."""
    async with postgres_storage(database) as storage:
        database.execute(
            "INSERT INTO catchment.event (project_id, event_id, name, data, session_id, is_bot, properties,"
            " occurred_at, received_at) SELECT %s, n::text, 'Click', '{}', '', false, '{}', now(),"
            " timestamptz '2026-11-01 00:00Z' + n * interval '1 minute' FROM generate_series(1, 20000) AS n",
            storage.project.id,
        )
        database.execute("VACUUM ANALYZE catchment.event")
        for number, scope in enumerate(Scope):
            quota = await storage.quota_store.set(
                replace(a_quota(storage.project, 9, Window.DAY, scope, pattern="Cl*"), id=an_id(number))
            )
            for day, count in (("2026-11-13", 1440), ("2026-11-15", 0)):
                call = f"SELECT catchment.window_usage('{quota.id}', '{day}')"
                assert database.one(call) == count
                read, _ = reads(database, "^event_", call)
                assert read <= count + 10
        database.execute("DELETE FROM catchment.event")


# changes under load


async def test_a_quota_that_is_changed_twice_under_load_has_as_many_rows_as_it_allows(database: Database) -> None:
    """Twenty senders are at it all the time. After each change the quota is used up to the last event."""
    async with postgres_storage(database) as storage, AsyncExitStack() as stack:
        one_each = GroupLimits(group_events=1)
        sinks = [await stack.enter_async_context(open_sink(database, limits=one_each, writers=5)) for _ in range(4)]
        over = False

        async def send(number: int) -> None:
            n = 0
            while not over:
                await sinks[number % 4].store(new(storage.project, 3, f"{number}-{n}"), deadline=30)
                n += 1

        def full(hard: int) -> Callable[[], bool]:
            return lambda: stored(database, storage.project) == hard

        quota = a_quota(storage.project, 100, Window.MONTH, soft=50)
        await storage.quota_store.set(quota)
        senders = [asyncio.create_task(send(number)) for number in range(20)]
        await eventually(full(100), "the quota is used up")
        await storage.quota_store.set(replace(quota, hard=250))
        await eventually(full(250), "the raised quota is used up")
        await storage.quota_store.set(replace(quota, hard=120))
        refusing = await storage.quota_store.uses(now())
        await storage.quota_store.set(replace(quota, hard=331))
        await eventually(full(331), "the quota that was lowered and raised is used up")
        over = True
        await asyncio.gather(*senders)
        assert [use.used for use in refusing] == [250]
        assert used(database, quota) == stored(database, storage.project) == await storage.counted() == 331
        states = "SELECT state, used <= 331 FROM catchment.quota_state ORDER BY n"
        assert database.execute(states) == [("warning", True), ("soft", True), ("hard", True)]


async def test_a_quota_that_comes_and_goes_under_load_loses_no_event(database: Database) -> None:
    async with postgres_storage(database) as storage, open_sink(database) as other:
        over = False
        answers: list[str] = []

        async def send(number: int) -> None:
            n = 0
            while not over:
                sink = other if number % 2 else storage.sink
                sent = await sink.store(new(storage.project, 1, f"{number}-{n}"), deadline=30)
                answers.extend(in_words(sent.outcomes))
                n += 1

        senders = [asyncio.create_task(send(number)) for number in range(8)]
        quota = a_quota(storage.project, 0, Window.DAY, pattern="Sign*")
        for _ in range(5):
            await storage.quota_store.set(quota)
            before = stored(database, storage.project)
            await storage.store(*new(storage.project, 1, "refused"))
            assert stored(database, storage.project) == before
            await storage.quota_store.remove((await storage.quota_store.all())[0].id)
        over = True
        await asyncio.gather(*senders)
        assert stored(database, storage.project) == answers.count("stored") == await storage.counted()
        assert database.one("SELECT count(*) FROM catchment.quota_usage") == 0


# the ladder in SQL


async def test_the_database_and_the_core_agree_on_the_ladder(database: Database) -> None:
    at = now()
    for soft, hard, grace in ((None, 0, 0), (None, 7, 0), (5, None, 0), (3, 7, 0), (3, 7, 2), (7, 7, 2)):
        rule = QuotaRule(window=Window.MONTH, soft=soft, hard=hard, grace=grace)
        for count in range(10):
            for ago in (timedelta(0), timedelta(days=2) - timedelta(microseconds=1), timedelta(days=2)):
                crossed = at - ago if soft is not None and count >= soft else None
                said = database.one(
                    "SELECT catchment.state_of(%s, %s, %s, %s, %s, %s)", soft, hard, grace, count, crossed, at
                )
                assert said == state_of(rule, count, crossed, at).rank, (rule, count, ago)


async def test_hard_is_entered_when_a_grace_is_over_though_no_event_comes(database: Database) -> None:
    async with postgres_storage(database) as storage:
        await storage.quota_store.set(a_quota(storage.project, 2, Window.MONTH, soft=1, grace=1))
        await storage.store(*new(storage.project, 3, "all"))
        states = "SELECT array_agg(state ORDER BY n) FROM catchment.quota_state"
        assert (await storage.quota_states.claim(5))[0].state == "warning"
        assert database.one(states) == ["warning", "soft", "grace"]
        database.execute("UPDATE catchment.quota_usage SET soft_crossed = now() - interval '24 hours'")
        await storage.quota_states.claim(5)
        assert database.one(states) == ["warning", "soft", "grace", "hard"]


async def test_a_change_of_limits_enters_states_too(database: Database) -> None:
    async with postgres_storage(database) as storage:
        await storage.store(*new(storage.project, 4, "before"))
        quota = a_quota(storage.project, 10, Window.MONTH)
        states = "SELECT array_agg(state ORDER BY n) FROM catchment.quota_state"
        await storage.quota_store.set(quota)
        assert database.one(states) is None
        await storage.quota_store.set(replace(quota, hard=5))
        assert database.one(states) == ["warning"]
        await storage.quota_store.set(replace(quota, hard=4, soft=2))
        assert database.one(states) == ["warning", "soft", "hard"]
        await storage.quota_store.set(quota)
        await storage.quota_store.set(replace(quota, hard=4))
        assert database.one(states) == ["warning", "soft", "hard"]


async def test_a_change_that_is_not_taken_is_announced_again_later(database: Database) -> None:
    async with postgres_storage(database) as storage:
        await storage.quota_store.set(a_quota(storage.project, 1, Window.MONTH))
        await storage.store(*new(storage.project, 1, "one"))
        for tries, pause in ((1, "1 minute"), (2, "2 minutes"), (3, "4 minutes")):
            (change,) = await storage.quota_states.claim(5)
            assert change.state == "warning"
            due = "SELECT tries, next_try - now() BETWEEN interval %s - interval '10 s' AND interval %s"
            asked = f"{due} FROM catchment.quota_state WHERE state = 'warning'"
            assert database.execute(asked, pause, pause) == [(tries, True)]
            database.execute("UPDATE catchment.quota_state SET next_try = now() WHERE state = 'warning'")

"""Client losses in the database: many servers at once, a database that does not answer, and what is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import timedelta

import pytest

from catchment.adapters.memory.parts import ToldClock
from catchment.adapters.postgres.losses import PostgresLosses
from catchment.adapters.postgres.maintenance import PostgresMaintenance
from catchment.adapters.postgres.scripts import PostgresScripts
from catchment.adapters.system.clock import SystemClock
from catchment.core.accounts.scripts import Script
from catchment.core.collecting.losses import LossReport, Recorded
from catchment.core.errors import Unavailable
from catchment.core.limits import Limits
from catchment.core.project import KeyKind

from ..support.database import Database
from ..support.events import LONG_AGO, NOON, an_id
from ..support.storage import open_link, open_links

pytestmark = pytest.mark.gen_test

PROJECT = an_id(1)
KNOWN_IDS = timedelta(days=32)
FAR = 1e9


async def record(losses: PostgresLosses, report_id: str, at: object = NOON, deadline: float = FAR) -> Recorded:
    report = LossReport(id=report_id, counts={"queue_full": 2, "b": 1, "a": 1})
    return await losses.record(PROJECT, KeyKind.BROWSER, report, at, deadline=deadline)  # type: ignore[arg-type]


async def test_the_same_reports_from_many_at_once_are_counted_once(database: Database) -> None:
    async with contextlib.AsyncExitStack() as stack:
        servers = []
        for _ in range(4):
            links = await stack.enter_async_context(open_links(database, count=3))
            servers.append(PostgresLosses(links, clock=ToldClock(), limits=Limits()))
        done = await asyncio.gather(*(record(losses, f"r-{n}") for n in range(25) for losses in servers))
    assert done.count(Recorded.NOW) == 25
    assert done.count(Recorded.BEFORE) == 75
    found = dict(database.execute("SELECT reason, events FROM catchment.loss"))
    assert found == {"queue_full": 50, "a": 25, "b": 25}
    assert database.one("SELECT reports FROM catchment.loss_day") == 25


async def test_a_day_takes_exactly_its_reports_from_many_at_once(database: Database) -> None:
    async with open_links(database, count=6) as links:
        losses = PostgresLosses(links, clock=ToldClock(), limits=Limits(loss_reports=10))
        done = await asyncio.gather(*(record(losses, f"r-{n}") for n in range(40)))
    assert (done.count(Recorded.NOW), done.count(Recorded.FULL)) == (10, 30)
    assert database.one("SELECT count(*) FROM catchment.loss_report") == 10
    assert database.one("SELECT sum(events) FROM catchment.loss WHERE reason = 'queue_full'") == 20


async def test_a_session_that_died_in_between_costs_nothing(embedded_database: Database) -> None:
    async with open_links(embedded_database, count=1) as links:
        losses = PostgresLosses(links, clock=ToldClock(), limits=Limits())
        await record(losses, "a")
        embedded_database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'catchment%%'"
            " AND datname = current_database() AND %s",
            True,
        )
        assert await record(losses, "b") in (Recorded.NOW, Recorded.BEFORE)
        assert await record(losses, "b") is Recorded.BEFORE
    assert embedded_database.one("SELECT events FROM catchment.loss WHERE reason = 'queue_full'") == 4


async def test_a_table_that_is_locked_is_unavailable_by_the_deadline(embedded_database: Database) -> None:
    clock = SystemClock()
    with contextlib.closing(embedded_database.connect()) as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE catchment.loss_report IN ACCESS EXCLUSIVE MODE")
        async with open_links(embedded_database, count=1, timeout=30) as links:
            losses = PostgresLosses(links, clock=clock, limits=Limits())
            started = time.monotonic()
            with pytest.raises(Unavailable):
                await record(losses, "a", deadline=clock.monotonic() + 0.3)
            assert time.monotonic() - started < 20
            cursor.execute("ROLLBACK")
            assert await record(losses, "a") in (Recorded.NOW, Recorded.BEFORE)
    assert embedded_database.one("SELECT reports FROM catchment.loss_day") == 1


async def test_a_database_that_is_not_there_is_unavailable(embedded_database: Database) -> None:
    async with open_links(embedded_database.beside("nowhere"), count=1) as links:
        with pytest.raises(Unavailable):
            await record(PostgresLosses(links, clock=ToldClock(), limits=Limits()), "a")
        with pytest.raises(Unavailable):
            await PostgresScripts(links).find("catchment", "0" * 16)
        with pytest.raises(Unavailable):
            await PostgresScripts(links).keep(Script(name="catchment", content=b"x"))


async def test_ids_of_reports_are_known_for_32_days_and_counts_for_good(embedded_database: Database) -> None:
    clock = ToldClock(LONG_AGO)
    young, old = LONG_AGO - KNOWN_IDS, LONG_AGO - KNOWN_IDS - timedelta(microseconds=1)
    async with open_links(embedded_database) as links, open_link(embedded_database, "maintenance") as link:
        losses = PostgresLosses(links, clock=ToldClock(), limits=Limits())
        await record(losses, "young", young)
        await record(losses, "old", old)
        done = await PostgresMaintenance(link, clock).once()
        assert done.ids_forgotten == 1
        assert await record(losses, "young") is Recorded.BEFORE
        assert await record(losses, "old") is Recorded.NOW
        assert sum(loss.events for loss in await losses.losses(project=PROJECT)) == 0  # of a project that is gone
    assert embedded_database.one("SELECT sum(events) FROM catchment.loss") == 12

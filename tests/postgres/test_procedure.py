"""`catchment.log_events`: the rows that it stores, and several sessions at the same time."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catchment.adapters.postgres.errors import DatabaseError, Failure
from catchment.adapters.postgres.rows import batch_of, rows_of
from catchment.core.event import Campaign, Event, Place, UserAgent, row_of

from ..support.database import Database
from ..support.events import NOON, an_event, an_id, events, project_quota
from ..support.sessions import busy, terminate
from ..support.storage import Storage, open_link, postgres_storage
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test


async def call(storage_link: Any, batch: list[Event]) -> list[str]:
    """Call the procedure as the sink does, and return the outcomes."""
    rows = await storage_link.run("log_events", batch=batch_of([rows_of(batch)]))
    return [outcome.partition(" ")[0] for outcome in rows[0][0]]


async def test_every_column_is_what_was_sent(database: Database) -> None:
    async with postgres_storage(database) as storage, open_link(database) as link:
        event = an_event(
            storage.project,
            "one",
            category="CTA",
            label="",
            value=0.1,
            data={"big": 2**70, "text": "\U0001f600é\\u0000 \"'", "deep": [[{"a": None}]], "": True},
            user_id="ada",
            page_title="<img onerror>",
            referrer="https://search.example/?q=%00",
            referrer_host="search.example",
            user_agent="Mozilla/5.0",
            agent=UserAgent(browser="a", browser_version="b", os="c", os_version="d", device="e"),
            ip="81.2.69.0",
            place=Place(country="GB", region="ENG", city="Boxford"),
            visitor=bytes(range(240, 256)),
            campaign=Campaign(source="f", medium="g", campaign="h", term="i", content="j"),
            language="de-CH",
            is_bot=True,
            properties={"tags": ["x"], "n": 10**40},
            occurred_at=NOON - timedelta(days=1, microseconds=1),
            received_at=NOON + timedelta(microseconds=123456),
        )
        await call(link, [event])
        expected = row_of(event)
        expected["occurred_at"], expected["received_at"] = event.occurred_at, event.received_at
        names = ", ".join(expected)
        stored = database.execute(f"SELECT {names}, data::text, properties::text FROM catchment.event")[0]  # noqa: S608
        *values, data, properties = (one.hex() if isinstance(one, memoryview) else one for one in stored)
        assert dict(zip(expected, values, strict=True)) == expected
        columns = (
            "SELECT count(*) FROM information_schema.columns WHERE (table_schema, table_name) = ('catchment', 'event')"
        )
        assert database.one(columns) == len(expected)
        assert (json.loads(data), json.loads(properties)) == (event.data, event.properties)


async def test_columns_that_are_missing_have_their_defaults(database: Database) -> None:
    async with postgres_storage(database) as storage, open_link(database) as link:
        await call(link, [an_event(storage.project, "one", url=None, page_path=None)])
    (stored,) = database.execute(
        "SELECT category, label, value, data, user_id, url, page_path, browser, ip, country, utm_source, is_bot,"
        " properties FROM catchment.event"
    )
    assert stored == (None, None, None, {}, None, None, None, None, None, None, None, False, {})


async def test_usage_is_counted_by_month_of_the_arrival_in_one_call(database: Database) -> None:
    async with postgres_storage(database) as storage, open_link(database) as link:
        ends = datetime(2026, 12, 1, tzinfo=UTC)
        batch = [
            an_event(storage.project, str(n), received_at=ends + timedelta(microseconds=n - 2), occurred_at=NOON)
            for n in range(5)
        ]
        assert await call(link, batch) == ["stored"] * 5
        assert [(str(usage.period), usage.events) for usage in await storage.meter.usage()] == [
            ("2026-11-01", 2),
            ("2026-12-01", 3),
        ]


async def test_a_rolled_back_call_leaves_nothing(database: Database) -> None:
    async def given_up(storage: Storage) -> None:
        async with open_link(database) as link, link.transaction():
            assert await call(link, events(storage.project, 3)) == ["stored", "stored", "quota_exceeded"]
            raise ZeroDivisionError

    async with postgres_storage(database) as storage:
        await storage.limit(project_quota(storage.project, 2))
        database.execute("DELETE FROM catchment.quota_usage")
        with pytest.raises(ZeroDivisionError):
            await given_up(storage)
        for table in ("event", "event_id", "usage_count", "quota_usage", "quota_state"):
            assert database.one(f"SELECT count(*) FROM catchment.{table}") == 0  # noqa: S608


async def test_a_call_that_began_before_the_first_quota_is_waited_for(database: Database) -> None:
    """A call waits for an id when the first quota is set. It has looked for quotas already."""
    async with postgres_storage(database) as storage, open_link(database, "unaware") as unaware:
        with contextlib.closing(database.connect()) as blocker, blocker.cursor() as cursor:
            # another session has one of the ids, and does not commit
            cursor.execute("BEGIN")
            cursor.execute(
                "INSERT INTO catchment.event_id VALUES (%s, 'browser', 'unaware-0', now())", (storage.project.id,)
            )
            late = asyncio.create_task(call(unaware, events(storage.project, 3, "unaware")))
            await busy(database, "unaware")
            setting = asyncio.create_task(storage.quota_store.set(project_quota(storage.project, 5)))
            await eventually(lambda: database.one("SELECT count(*) FROM catchment.quota") == 1, "the quota is begun")
            assert not setting.done()
            cursor.execute("ROLLBACK")
        assert await late == ["stored"] * 3
        await setting
        assert await storage.store(*events(storage.project, 4, "more")) == [
            "stored",
            "stored",
            "quota_exceeded",
            "quota_exceeded",
        ]
        assert await storage.counted() == 5


async def test_a_project_without_a_quota_waits_for_nobody(database: Database) -> None:
    """Another project's quota is held by a transaction that does not end."""
    async with postgres_storage(database) as storage, open_link(database) as link:
        blog = await storage.add_project("blog", "other")
        await storage.limit(project_quota(storage.project, 5))
        async with link.transaction():
            await call(link, events(storage.project, 1))
            assert await storage.store(*events(blog, 2)) == ["stored"] * 2


# what no standby has


async def waits_for_a_standby(database: Database) -> None:
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'catchment test' AND wait_event = 'SyncRep'"
    )
    await eventually(lambda: database.one(waiting) == 1, "a commit waits for a standby")


@contextlib.contextmanager
def without_its_standby(database: Database) -> Iterator[None]:
    """Let commits wait for a standby that is not there."""
    database.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    database.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        database.execute("ALTER SYSTEM RESET synchronous_standby_names")
        database.execute("SELECT pg_reload_conf()")


async def test_a_duplicate_is_not_answered_before_a_standby_has_what_it_repeats(database: Database) -> None:
    """The session that stored it waited for the standby and was ended: only this server has the commit."""
    async with postgres_storage(database) as storage, open_link(database) as link:
        batch = events(storage.project, 2)
        with without_its_standby(database):
            for n in range(3):
                sending = asyncio.create_task(call(link, batch))
                await waits_for_a_standby(database)
                if n < 2:
                    terminate(database, "test")
                    with pytest.raises(DatabaseError) as raised:
                        await sending
                    assert raised.value.failure is Failure.UNKNOWN
                    assert database.one("SELECT count(*) FROM catchment.event") == 2  # here, and on no standby
        assert await sending == ["duplicate"] * 2


async def test_a_report_of_losses_is_not_answered_before_a_standby_has_it(database: Database) -> None:
    report = {
        "project_id": an_id(1), "kind": "browser", "report_id": "r", "received_at": NOON, "counts": "{}",
        "known": [], "most_words": 1, "most_reports": 1,
    }  # fmt: skip
    async with open_link(database) as link:
        assert await link.run("record_losses", **report) == [("now",)]
        with without_its_standby(database):
            sending = asyncio.create_task(link.run("record_losses", **report))
            await waits_for_a_standby(database)
        assert await sending == [("before",)]


async def test_a_duplicate_writes_nothing_where_there_is_no_standby(database: Database) -> None:
    async with postgres_storage(database) as storage, open_link(database) as link:
        batch = events(storage.project, 2)
        await call(link, batch)
        async with link.transaction():
            assert await call(link, batch) == ["duplicate"] * 2
            assert database.one(
                "SELECT backend_xid IS NULL FROM pg_stat_activity"
                " WHERE (datname, application_name) = (current_database(), 'catchment test')"
            )


@pytest.mark.parametrize("conforming", ["on", "off"])
async def test_no_text_ends_the_literal_that_it_is_in(database: Database, conforming: str) -> None:
    hostile = [
        "'",
        "\\'",
        "''",
        "\\",
        "\\\\'",
        "\\047",
        "';DROP TABLE x;--",
        "$$'$$",
        "%s %(batch)s",
        "\u00e9\\",
        "\u5c5c'",
    ]
    name = database.one("SELECT current_database()")
    database.execute(f"ALTER DATABASE {name} SET standard_conforming_strings = {conforming}")
    async with postgres_storage(database) as storage, open_link(database) as link:
        sent = [an_event(storage.project, str(n), label=text, data={text: text}) for n, text in enumerate(hostile)]
        assert await call(link, sent) == ["stored"] * len(sent)
    rows = database.execute("SELECT label, data FROM catchment.event ORDER BY event_id::integer")
    assert rows == [(text, {text: text}) for text in hostile]


async def test_an_ordinary_role_may_wait_for_a_standby(database: Database) -> None:
    database.execute("DROP ROLE IF EXISTS ordinary")
    database.execute("CREATE ROLE ordinary LOGIN")
    try:
        ordinary = Database(database.dsn.replace("postgres@", "ordinary@"))
        assert ordinary.one("SELECT pg_logical_emit_message(true, 'catchment', '') IS NOT NULL")
    finally:
        database.execute("DROP ROLE ordinary")

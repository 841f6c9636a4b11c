"""Nothing that other roles have made or set is trusted, and the server needs few rights."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg2
import pytest

from catchment.adapters.memory.parts import ToldClock
from catchment.adapters.postgres.maintenance import Busy, PostgresMaintenance
from catchment.adapters.postgres.migrate import migrate
from catchment.adapters.postgres.registry import PostgresRegistry
from catchment.adapters.postgres.rows import batch_of, rows_of
from catchment.adapters.postgres.schema import schema_status
from catchment.core.collecting.losses import LossReport
from catchment.core.errors import Invalid
from catchment.core.metering.patterns import NamePattern
from catchment.core.origins import OriginRules
from catchment.core.project import Account, KeyKind, Project, Window

from ..support.database import TODAY, Database, Server
from ..support.events import NOON, an_event, an_id, events, kind_quota, project_quota
from ..support.samples import a_sample
from ..support.storage import Storage, open_link, open_links, postgres_storage
from ..support.waiting import eventually

PLAIN, MALLORY = "catchment_server", "catchment_mallory"
RUNNING = Path(__file__).resolve().parents[2] / "docs" / "running.md"


def documented_grants() -> list[str]:
    """Return the documented grants: for `serve`, and then for the commands that change something."""
    text = RUNNING.read_text(encoding="utf-8")
    section = text[text.index("### A role for the server alone") : text.index("## The embedded database")]
    return re.findall(r"```sql\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def plain(database: Database) -> Iterator[Database]:
    """The database as a role that has the documented grants and no more."""
    serving, commanding = documented_grants()
    assert "NOSUPERUSER" not in serving
    database.execute(serving)
    database.execute(commanding)
    try:
        yield database.as_role(PLAIN)
    finally:
        database.execute(f"DROP OWNED BY {PLAIN}")
        database.execute(f"DROP ROLE {PLAIN}")


@pytest.fixture
def mallory(database: Database) -> Iterator[Database]:
    """The database as a role that may create objects in `public`."""
    database.execute(f"CREATE ROLE {MALLORY} LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO {MALLORY}")
    try:
        yield database.as_role(MALLORY)
    finally:
        database.execute(f"DROP OWNED BY {MALLORY} CASCADE")
        database.execute(f"DROP ROLE {MALLORY}")


async def live(storage: Storage, database: Database) -> None:
    """Do all that a server and its commands do."""
    project = storage.project
    quotas = (
        kind_quota(project, KeyKind.BROWSER, 5),
        project_quota(project, 100, Window.DAY),
        replace(project_quota(project, 5), soft=3, grace=1, events=NamePattern.parse("Cl*")),
    )
    for n in range(2):
        await storage.limit(*quotas)
        await storage.store(*events(project, 4, str(n), data={"é": "\U0001f600\\"}))
    assert await storage.counted() == 5
    assert await storage.store(an_event(project, "0-0")) == ["duplicate"]
    assert len(await storage.quota_store.uses(datetime.now(UTC))) == len(quotas)
    assert await storage.quota_store.rates(datetime.now(UTC))
    while changes := await storage.quota_states.claim(5):
        for change in changes:
            await storage.quota_states.announced(change)
    for plan in ("free", None):
        await storage.quotas.set_plan("acme", plan)
    await storage.quota_store.remove((await storage.quota_store.all())[0].id)
    report = LossReport(id="r", counts={"queue_full": 3})
    await storage.losses.record(project.id, KeyKind.BROWSER, report, NOON, deadline=storage.clock.monotonic() + 10)
    assert [loss.events for loss in await storage.losses.losses()] == [3]
    assert await storage.salts.of_day(NOON.date())
    for _ in range(2):
        await storage.samples.add([a_sample(storage, f"s{n:02}") for n in range(30)])
    await storage.samples.mark_replayed("s29", NOON)
    assert await storage.samples.find("s29", now=NOON)
    await storage.store(an_event(project, "far", received_at=datetime(2030, 5, 7, tzinfo=UTC)))
    async with open_link(database, "maintenance") as link:
        maintenance = PostgresMaintenance(link, ToldClock(datetime(2027, 8, 15, tzinfo=UTC)))
        await maintenance.begin()
        done = await maintenance.once()
        assert date(2030, 5, 1) in done.misplaced
        assert len(done.partitions) == 3
        assert await maintenance.place(date(2030, 5, 1)) == 1
    storage.clock.jump(datetime(2026, 12, 1, 2, tzinfo=UTC))
    await storage.meter.close(date(2026, 11, 1))
    assert await storage.meter.audit() == []


@pytest.mark.gen_test
async def test_a_role_with_the_documented_rights_does_all_that_a_server_and_its_commands_do(plain: Database) -> None:
    assert schema_status(plain.dsn).current
    async with postgres_storage(plain) as storage:
        await live(storage, plain)
    for beyond in (
        "CREATE TABLE catchment.mine ()",
        "DROP TABLE catchment.event_default",
        "ALTER TABLE catchment.event ADD COLUMN mine text",
        "CREATE OR REPLACE FUNCTION catchment.clock() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
        "TRUNCATE catchment.event",
        "SELECT * FROM pg_authid",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            plain.execute(beyond)


def test_a_role_that_was_granted_nothing_may_do_nothing(database: Database, mallory: Database) -> None:
    names = database.execute(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'catchment'::regnamespace"
    )
    allowed = database.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'catchment'::regnamespace"
        " AND has_function_privilege(%s, oid, 'EXECUTE')"
        " UNION ALL SELECT relname FROM pg_class WHERE relnamespace = 'catchment'::regnamespace"
        " AND relkind IN ('r', 'p', 'v') AND has_table_privilege(%s, oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')",
        MALLORY,
        MALLORY,
    )
    assert (len(names) > 15, allowed) == (True, [])
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="permission denied for schema catchment"):
        mallory.execute("SELECT * FROM catchment.key")


def test_every_function_names_its_search_path(database: Database) -> None:
    unsafe = database.execute(
        "SELECT oid::regprocedure::text, proconfig FROM pg_proc WHERE pronamespace = 'catchment'::regnamespace"
        " AND NOT coalesce(proconfig, '{}') @> %s",
        ["search_path=pg_catalog, pg_temp"],
    )
    assert unsafe == []


SHADOWS = """
CREATE FUNCTION public.trap() RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''seen''; END';
CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT public.trap()::timestamptz';
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT public.trap()::timestamptz';
CREATE FUNCTION public.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE FUNCTION public.to_regclass(text) RETURNS regclass LANGUAGE sql AS 'SELECT public.trap()::regclass';
CREATE FUNCTION public.hashtext(text) RETURNS integer LANGUAGE sql AS 'SELECT public.trap()::integer';
CREATE FUNCTION public.date_trunc(text, timestamp) RETURNS timestamp LANGUAGE sql AS 'SELECT public.trap()::timestamp';
CREATE FUNCTION public.jsonb_array_length(jsonb) RETURNS integer LANGUAGE sql AS 'SELECT public.trap()::integer';
CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT public.trap()::void';
CREATE FUNCTION public.eq(uuid, uuid) RETURNS boolean LANGUAGE sql AS 'SELECT public.trap()::boolean';
CREATE OPERATOR public.= (FUNCTION = public.eq, LEFTARG = uuid, RIGHTARG = uuid);
CREATE FUNCTION public.get(jsonb, integer) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE OPERATOR public.->> (FUNCTION = public.get, LEFTARG = jsonb, RIGHTARG = integer);
CREATE FUNCTION public.nearer(timestamptz, date) RETURNS boolean LANGUAGE sql AS 'SELECT public.trap()::boolean';
CREATE OPERATOR public.< (FUNCTION = public.nearer, LEFTARG = timestamptz, RIGHTARG = date);
CREATE DOMAIN public.uuid AS text CHECK (VALUE = 'never');
CREATE DOMAIN public.timestamptz AS text CHECK (VALUE = 'never');
CREATE TABLE public.event (); CREATE TABLE public.pg_locks (); CREATE TABLE public.pg_class ();
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""


@pytest.mark.gen_test
async def test_what_other_roles_have_made_and_set_is_not_seen(
    database: Database, plain: Database, mallory: Database
) -> None:
    mallory.execute(
        SHADOWS.replace(
            "LANGUAGE sql AS 'SELECT public.trap()::void'", "LANGUAGE plpgsql AS 'BEGIN PERFORM public.trap(); END'"
        )
    )
    for name, value in {
        "search_path": "public, pg_catalog",
        "default_transaction_isolation": "'serializable'",
        "standard_conforming_strings": "off",
        "escape_string_warning": "off",
        "client_encoding": "'LATIN1'",
        '"TimeZone"': "'Pacific/Kiritimati'",
        '"DateStyle"': "'Postgres, DMY'",
        '"IntervalStyle"': "'sql_standard'",
        "bytea_output": "'escape'",
        "jit_above_cost": "0",
        "session_replication_role": "'replica'",
    }.items():
        database.execute(f"ALTER ROLE {PLAIN} SET {name} = {value}")
    async with postgres_storage(plain) as storage:
        await live(storage, plain)


@pytest.mark.gen_test
async def test_temporary_tables_of_the_same_names_are_not_seen(plain: Database) -> None:
    async with postgres_storage(plain) as storage, open_link(plain) as link, AsyncExitStack() as stack:
        await storage.limit(project_quota(storage.project, 5))
        await stack.enter_async_context(link.transaction())
        await link.run("heartbeat")
        for name in (
            "quota",
            "quota_state",
            "event",
            "event_id",
            "usage_count",
            "quota_usage",
            "project",
            "pg_class",
            "pg_inherits",
            "pg_locks",
        ):
            await link._execute(f"CREATE TEMP TABLE {name} ()", {}, "shadow", 10)
        (said,) = await link.run("log_events", batch=batch_of([rows_of(events(storage.project, 2))]))
        assert said.outcomes == ["stored"] * 2
        assert [use["used"] for use in said.uses] == [2]
        assert await link.run("forget_ids", now=NOON, at_most=5) == [(0,)]
        assert len(await link.run("keep_partitions", today=date(2027, 8, 1), months_ahead=1)) == 2


@pytest.mark.gen_test
@pytest.mark.parametrize("by", [f"ALTER ROLE {PLAIN} SET session_replication_role = 'replica'", "SELECT"])
async def test_changes_are_announced_whatever_the_role_says(database: Database, plain: Database, by: str) -> None:
    database.execute(by)
    async with open_links(plain, count=1) as links, open_link(database) as listener:
        await listener.run("listen")
        registry = PostgresRegistry(links)
        await registry.add_account(Account(id=an_id(1), name="acme"))
        project = Project(id=an_id(2), account_id=an_id(1), account="acme", name="shop", origins=OriginRules())
        await registry.add_project(project)
        assert (await listener.notifies.get()).payload == f"project {an_id(2)}"


# migrating


@contextlib.contextmanager
def holding(database: Database, lock: str) -> Iterator[None]:
    """Let a session of this role have one of our locks, as any role can."""
    with contextlib.closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", (lock,))
        yield


@pytest.mark.gen_test
async def test_a_role_that_keeps_the_maintenance_waiting_is_named(plain: Database, mallory: Database) -> None:
    async with open_link(plain, "maintenance") as link:
        maintenance = PostgresMaintenance(link, ToldClock())
        with holding(mallory, "catchment maintenance"), pytest.raises(Busy, match=f"of the role {MALLORY}") as raised:
            await maintenance.once()
        assert raised.value.foreign
        with holding(plain, "catchment maintenance"), pytest.raises(Busy, match=f"of the role {PLAIN}") as raised:
            await maintenance.once()
        assert not raised.value.foreign


@pytest.mark.gen_test
async def test_a_role_that_keeps_a_migration_waiting_is_named(
    database: Database, mallory: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with holding(mallory, "catchment migrate"):
        migrating = asyncio.create_task(asyncio.to_thread(migrate, database.dsn, TODAY))
        await eventually(lambda: f"of the role {MALLORY}" in caplog.text, "it says what it waits for")
    assert await migrating == []


def test_a_database_that_can_not_hold_every_text_is_refused(server: Server) -> None:
    postgres = server.database("postgres")
    postgres.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        with pytest.raises(Invalid, match="stores text as SQL_ASCII"):
            migrate(server.database("ascii").dsn, TODAY)
    finally:
        postgres.execute("DROP DATABASE ascii")


def test_a_schema_that_somebody_else_made_first_is_refused(server: Server) -> None:
    with server.empty() as empty:
        for role in (PLAIN, MALLORY):
            empty.execute(f"CREATE ROLE {role} LOGIN")
        try:
            empty.execute(f"CREATE SCHEMA catchment AUTHORIZATION {MALLORY}")
            with pytest.raises(Invalid, match=f"belongs to the role {MALLORY}"):
                migrate(empty.as_role(PLAIN).dsn, TODAY)
        finally:
            empty.execute(f"DROP OWNED BY {MALLORY} CASCADE")
            for role in (PLAIN, MALLORY):
                empty.execute(f"DROP ROLE {role}")


def test_a_role_that_is_no_superuser_migrates_its_own_database(server: Server) -> None:
    with server.empty() as empty:
        empty.execute(f"CREATE ROLE {PLAIN} LOGIN")
        try:
            name = empty.one("SELECT current_database()")
            empty.execute(f"GRANT CREATE ON DATABASE {name} TO {PLAIN}")
            for setting in ("search_path = nowhere", "client_encoding = 'LATIN1'", "standard_conforming_strings = off"):
                empty.execute(f"ALTER ROLE {PLAIN} SET {setting}")
            own = empty.as_role(PLAIN)
            assert migrate(own.dsn, TODAY)
            assert schema_status(own.dsn).current
        finally:
            empty.execute(f"DROP OWNED BY {PLAIN} CASCADE")
            empty.execute(f"DROP ROLE {PLAIN}")

"""Migrations: they bring a database to this version."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from catchment import sql
from catchment.adapters.postgres.migrate import migrate
from catchment.adapters.postgres.schema import schema_status
from catchment.core.errors import Unavailable

from ..support.database import TODAY, Database, Server

FILES = sorted(path.name for path in Path(sql.migrations()).iterdir())
NAMES = [name.removesuffix(".sql") for name in FILES]


@pytest.fixture
def empty(server: Server) -> Iterator[Database]:
    with server.empty() as database:
        yield database


def partitions(database: Database) -> list[str]:
    found = database.execute(
        "SELECT relid::regclass::text FROM pg_partition_tree('catchment.event') WHERE isleaf ORDER BY 1"
    )
    return [name.removeprefix("catchment.") for (name,) in found]


def test_files_are_numbered_and_named() -> None:
    assert [name for name in FILES if not re.fullmatch(r"\d{4}\.[a-z0-9_]+\.sql", name)] == []
    assert [int(name[:4]) for name in FILES] == list(range(1, len(FILES) + 1))


@pytest.mark.parametrize("name", FILES)
def test_a_migration_says_what_it_does_and_ends_well(name: str) -> None:
    text = Path(sql.migrations(), name).read_text(encoding="utf-8")
    assert text.startswith("-- ")
    assert text.endswith(";\n")
    assert not text.endswith("\n\n")


def test_a_database_is_brought_to_this_version(empty: Database) -> None:
    status = schema_status(empty.dsn)
    assert (status.current, status.missing) == (False, tuple(NAMES))
    assert empty.one("SELECT to_regnamespace('catchment') IS NULL")  # asking changes nothing
    said: list[str] = []
    assert migrate(empty.dsn, TODAY, said.append) == NAMES == said
    assert schema_status(empty.dsn).current
    assert len(partitions(empty)) == 5  # of this month by the database's clock, three ahead, and the default one


def test_a_second_run_applies_nothing_and_makes_partitions(database: Database) -> None:
    assert migrate(database.dsn, TODAY) == []
    assert migrate(database.dsn, date(2026, 12, 31)) == []
    assert "event_2027_03" in partitions(database)


def test_two_at_the_same_time_wait_for_each_other(empty: Database) -> None:
    applied: list[list[str]] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            applied.append(migrate(empty.dsn, TODAY))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert sorted(applied) == [[], [], NAMES]
    assert schema_status(empty.dsn).current


def test_a_database_of_a_later_or_an_earlier_version_is_known(database: Database) -> None:
    database.execute(
        "INSERT INTO catchment._yoyo_migration (migration_hash, migration_id, applied_at_utc)"
        " VALUES ('x', '9999.later', now())"
    )
    status = schema_status(database.dsn)
    assert (status.current, status.unknown, status.missing) == (False, ("9999.later",), ())
    database.execute("DELETE FROM catchment._yoyo_migration WHERE migration_id IN (%s, '9999.later')", NAMES[-1])
    status = schema_status(database.dsn)
    assert (status.current, status.unknown, status.missing) == (False, (), (NAMES[-1],))


def test_everything_lives_in_one_schema(database: Database) -> None:
    found = database.execute(
        "SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE nspname NOT LIKE 'pg\\_%%' AND nspname NOT IN ('catchment', 'information_schema') AND %s",
        True,
    )
    assert found == []


@pytest.mark.parametrize("dsn", ["postgresql:///x?host=/nowhere", "postgresql://postgres@127.0.0.1:1/x"])
def test_a_database_that_does_not_answer_is_said(dsn: str) -> None:
    for command in (schema_status, lambda dsn: migrate(dsn, TODAY)):
        with pytest.raises(Unavailable, match=r"\Ano connection with the database: .+\?\Z"):  # one line, all of it
            command(dsn)


def test_the_stored_columns_are_those_of_the_contract(database: Database) -> None:
    found = database.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'catchment' AND table_name = 'event' ORDER BY ordinal_position"
    )
    columns = dict(found)
    kinds = {
        "project_id": "uuid",
        "value": "double precision",
        "data": "jsonb",
        "properties": "jsonb",
        "is_bot": "boolean",
        "visitor": "bytea",
        "occurred_at": "timestamp with time zone",
        "received_at": "timestamp with time zone",
    }
    texts = [
        "event_id", "name", "category", "label", "session_id", "user_id", "url", "page_title", "page_path",
        "referrer", "referrer_host", "user_agent", "browser", "browser_version", "os", "os_version",
        "device", "ip", "country", "region", "city", "utm_source", "utm_medium", "utm_campaign", "utm_term",
        "utm_content", "language",
    ]  # fmt: skip
    assert columns == {**kinds, **dict.fromkeys(texts, "text")}

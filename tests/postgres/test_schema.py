"""The schema: the same however a database came to it, and every column is explained."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg2
import pytest

from catchment import sql
from catchment.adapters.postgres.migrate import migrate

from ..support.catalog import catalog
from ..support.database import TODAY, Database, Server

FILES = sorted(Path(sql.migrations()).glob("*.sql"))


def migrate_by_steps(database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Migrate once for each file, as if each had come with a version of its own."""
    monkeypatch.setattr(sql, "migrations", lambda: str(folder))
    for file in FILES[:-1]:
        shutil.copy(file, folder)
        try:
            migrate(database.dsn, TODAY)
        except psycopg2.errors.UndefinedFunction as error:
            # `migrate` makes partitions at its end; the first files do not have the functions for it
            assert any(name in str(error) for name in ("catchment.today", "catchment.keep_partitions"))  # noqa: PT017
    shutil.copy(FILES[-1], folder)
    assert migrate(database.dsn, TODAY) == [FILES[-1].stem]


def test_a_schema_made_by_steps_is_the_one_made_at_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.empty() as at_once, server.empty() as by_steps:
        migrate(at_once.dsn, TODAY)
        migrate_by_steps(by_steps, tmp_path, monkeypatch)
        expected, found = catalog(at_once), catalog(by_steps)
        assert all(len(lines) > 0 for lines in expected.values())
        for part, lines in expected.items():
            assert found[part] == lines, part


def test_a_difference_between_two_schemas_is_seen(database: Database) -> None:
    """The comparison itself: each kind of change shows."""
    changes = {
        "relations": "ALTER TABLE catchment.usage_count SET (fillfactor = 90)",
        "columns": "ALTER TABLE catchment.account ALTER COLUMN demo DROP DEFAULT",
        "constraints": "ALTER TABLE catchment.quota DROP CONSTRAINT quota_hard_check",
        "indexes": "DROP INDEX catchment.project_of_account",
        "triggers": "ALTER TABLE catchment.key DISABLE TRIGGER announce",
        "functions": "GRANT EXECUTE ON FUNCTION catchment.clock() TO PUBLIC",
        "schema": "GRANT USAGE ON SCHEMA catchment TO PUBLIC",
    }
    for part, change in changes.items():
        before = catalog(database)
        database.execute(change)
        after = catalog(database)
        assert [name for name in before if before[name] != after[name]] == [part]


def test_every_table_and_every_column_has_a_comment(database: Database) -> None:
    """A partition has those of its table."""
    silent = database.execute(
        "SELECT relname, attname FROM pg_class LEFT JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0"
        " AND NOT attisdropped WHERE relnamespace = 'catchment'::regnamespace AND relkind IN ('r', 'p', 'v')"
        " AND NOT relispartition AND relname NOT LIKE '%%yoyo%%'"
        " AND %s IN (coalesce(obj_description(pg_class.oid, 'pg_class'), ''),"
        " coalesce(col_description(pg_class.oid, attnum), ''))",
        "",
    )
    assert silent == []
    assert database.one("SELECT count(*) FROM pg_description WHERE objoid = 'catchment.event'::regclass") > 30

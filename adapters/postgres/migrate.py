"""Migrations: they bring a database to this version, by yoyo-migrations."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from datetime import date
from typing import Any

import psycopg2
import yoyo
from yoyo.backends.core.postgresql import PostgresqlBackend
from yoyo.connections import parse_uri

from catchment import sql
from catchment.core.errors import Invalid, Unavailable
from catchment.core.maintenance import MONTHS_AHEAD

from .schema import connect, open_session

log = logging.getLogger(__name__)
_LOCK = "catchment migrate"


class _Backend(PostgresqlBackend):  # type: ignore[misc]
    """yoyo's backend, with two changes: libpq reads the address, and yoyo's tables are in our schema."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        super().__init__(parse_uri("postgresql:///"), "_yoyo_migration")

    def copy(self) -> _Backend:
        return _Backend(self._dsn)

    def connect(self, dburi: object) -> Any:
        self.schema = "catchment"
        return open_session(self._dsn)

    def init_connection(self, connection: Any) -> None:
        """Let yoyo find its own tables in our schema."""
        with connection.cursor() as cursor:
            cursor.execute(sql.query("see_own_tables"))


def _check(cursor: Any) -> None:
    """Raise `Invalid` if the database can't hold every text, or if the schema belongs to another role."""
    cursor.execute(sql.query("encoding"))
    encoding = cursor.fetchone()[0]
    if encoding != "UTF8":
        raise Invalid(
            f"the database stores text as {encoding}, and events are UTF-8: create a new one with "
            "`CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`"
        )
    cursor.execute(sql.query("foreign_schema"))
    if (row := cursor.fetchone()) is not None:
        raise Invalid(
            f"the schema catchment belongs to the role {row[0]}, and this role is not one of its members: migrate as "
            "that role, or drop the schema if it is not ours"
        )


def _lock(cursor: Any) -> None:
    """Take the lock of migrations, however long another session has it."""
    cursor.execute(sql.query("lock_holder"), {"name": _LOCK})
    if (row := cursor.fetchone()) is not None:
        log.warning("waiting for the process %d of the role %s, which has the lock of migrations", row[1], row[0])
    cursor.execute(sql.query("migrate_lock"), {"name": _LOCK})


def migrate(dsn: str, today: date | None = None, said: Callable[[str], None] = lambda _: None) -> list[str]:
    """Apply the missing migrations, each in a transaction, and make the partitions from `today` on. Return the names of
    the migrations that were applied.

    Without `today` it is the database's day, since this machine's clock may be wrong. Two runs at the same time wait
    for each other. Raises `Unavailable`, and `Invalid` if the database can't be used.
    """
    with closing(connect(dsn)) as connection, connection.cursor() as cursor:
        _check(cursor)
        _lock(cursor)
        cursor.execute(sql.query("make_schema"))
        backend = _Backend(dsn)
        with closing(backend.connection):
            backend.init_database()
            to_apply = backend.to_apply(yoyo.read_migrations(sql.migrations()))
            applied = []
            for migration in to_apply:
                said(migration.id)
                backend.apply_one(migration)
                applied.append(migration.id)
        if today is None:
            cursor.execute(sql.query("today"))
            today = cursor.fetchone()[0]
        try:
            cursor.execute(sql.query("keep_partitions"), {"today": today, "months_ahead": MONTHS_AHEAD})
        except psycopg2.errors.LockNotAvailable:
            raise Unavailable(
                "the migrations are applied, but no partitions could be made while somebody reads catchment.event: "
                "run `catchment maintain` when that has ended"
            ) from None
    return applied

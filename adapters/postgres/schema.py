"""The version of a database's schema. Every command asks for it, so this module does not import yoyo."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

from catchment import sql
from catchment.core.errors import Unavailable

from .errors import why_not_connected


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaStatus:
    """The difference between a database and this version."""

    missing: tuple[str, ...]
    """Migrations that were not applied."""
    unknown: tuple[str, ...]
    """Applied migrations of a later version."""

    @property
    def current(self) -> bool:
        return not self.missing and not self.unknown


def schema_status(dsn: str) -> SchemaStatus:
    """Return the difference between the database and this version. Changes nothing. Raises `Unavailable`."""
    with closing(connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(sql.query("was_migrated"))
        applied: set[str] = set()
        if cursor.fetchone()[0]:
            cursor.execute(sql.query("applied_migrations"))
            applied = {name for (name,) in cursor.fetchall()}
    known = sorted(path.stem for path in Path(sql.migrations()).glob("*.sql"))
    return SchemaStatus(
        missing=tuple(name for name in known if name not in applied),
        unknown=tuple(sorted(applied - set(known))),
    )


def connect(dsn: str) -> Any:
    """Open a session for migrations. Raises `Unavailable`."""
    try:
        return open_session(dsn, connect_timeout=10)
    except psycopg2.OperationalError as error:
        raise Unavailable(f"no connection with the database: {why_not_connected(error, dsn)[1]}") from None


def open_session(dsn: str, **parameters: Any) -> Any:
    """Open a session for migrations, with the driver's errors."""
    connection = psycopg2.connect(dsn, client_encoding="UTF8", **parameters)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(sql.query("begin_migrating"))
    return connection

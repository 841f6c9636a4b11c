"""What other sessions do to ours: look at them, block them, end them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .database import Database
from .waiting import eventually

_OURS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND application_name LIKE 'catchment ' || %s"
)


def sessions(database: Database, name: str = "%") -> int:
    """How many sessions with this name are open."""
    return int(database.one(f"SELECT count(*) {_OURS}", name))


def terminate(database: Database, name: str = "%") -> int:
    """Ends the sessions with this name; says how many."""
    ended = database.execute(f"SELECT pg_terminate_backend(pid) {_OURS}", name)
    return len(ended)


def busy_sessions(database: Database, name: str = "%") -> int:
    """How many sessions with this name run a statement that waits for a lock, or sleeps."""
    return int(database.one(f"SELECT count(*) {_OURS} AND wait_event_type IN ('Lock', 'Timeout')", name))


async def busy(database: Database, name: str = "%", count: int = 1) -> None:
    """Waits until so many are."""
    await eventually(lambda: busy_sessions(database, name) >= count, f"{count} sessions of {name} are busy")


@contextlib.contextmanager
def locked(database: Database, table: str = "catchment.event_id") -> Iterator[None]:
    """Nobody else can read or write the table."""
    with _holding(database, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"):
        yield


@contextlib.contextmanager
def reading(database: Database, table: str) -> Iterator[None]:
    """Somebody reads the table, as a backup does, and does not come to an end."""
    with _holding(database, f"SELECT FROM {table} LIMIT 1"):
        yield


@contextlib.contextmanager
def _holding(database: Database, statement: str) -> Iterator[None]:
    """A transaction that has run this statement and goes on."""
    with contextlib.closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"BEGIN; {statement}")
        yield
        cursor.execute("ROLLBACK")


@contextlib.contextmanager
def closed(database: Database) -> Iterator[None]:
    """The database takes no new sessions, and those that were there are ended."""
    name = database.one("SELECT current_database()")
    admin = database.beside("postgres")
    admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)
    try:
        yield
    finally:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


_READ = (
    "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), sum(n_tup_del)"
    " FROM pg_stat_xact_user_tables WHERE relname ~ %s"
)


def reads(database: Database, tables: str, call: str) -> tuple[int, int]:
    """How many rows of these tables a call read, and how many it deleted."""
    with contextlib.closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(call)
        cursor.execute(_READ, (tables,))
        read, deleted = cursor.fetchone()
        cursor.execute("ROLLBACK")
    return int(read), int(deleted)

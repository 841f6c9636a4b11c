"""Finds the meaning of an error of the driver: by its SQLSTATE, never by its text.

::

    psycopg2.Error, aiopg's CancelledError and TimeoutError, Python's encoding errors
        └── failure_of(error) → Failure
              RETRY       the database can't now; nothing was stored         → Unavailable
              UNKNOWN     it was sent and the answer was lost                → CommitUnknown
              HOLD        the installation is wrong; an operator is needed   → Unavailable, and an alert
                          (among them Catchment's own class CA: clocks, primaries, poolers)
              BAD_DATA    this data can't be stored, today or ever           → found by bisecting, quarantined
"""

from __future__ import annotations

import asyncio
import re
from enum import StrEnum

import psycopg2
from psycopg2.extensions import parse_dsn

from catchment.core.errors import CommitUnknown, Unavailable


class Failure(StrEnum):
    RETRY = "retry"
    UNKNOWN = "unknown"
    HOLD = "hold"
    BAD_DATA = "bad_data"


_RETRY_CLASSES = ("08", "53", "57", "58", "40", "55", "25")
_HOLD_CLASSES = ("42", "XX", "3F", "28", "3D")
_BAD_DATA_CLASSES = ("22", "54", "23")
WRONG_CLOCK = "CA001"
"""Raised by our own procedures: the server's clock is far from the database's, or the month is closed."""
_NO_PARTITION = "23514"
"""'no partition of relation', and a check constraint, which the tables of events do not have."""


CLOCK, PRIMARY, POOLED = "CA001", "CA002", "CA004"
"""Codes of our own: the clock is wrong, this is not the primary, the session is shared."""

TOO_MANY_SESSIONS = "53300"

_TOLD_CLASSES = ("08", "28", "3D", "3F", "53", "57", "58", "CA")
_TOLD = ("25006", "42501", "42703", "42883", "42P01")
"""Errors whose text speaks of the installation, and never holds a value of an event."""

_MOST_LETTERS = 300
_SECRET_LETTERS = 4
"""Shorter secrets are not looked for: they are part of many words."""

_SAID_ON_CONNECTING = (
    ("28P01", re.compile("password authentication failed|no password supplied|authentication failed")),
    ("28000", re.compile('no pg_hba.conf entry|role ".*" does not exist|not permitted to log in|peer authentication')),
    ("3D000", re.compile('database ".*" does not exist')),
    ("55000", re.compile("not currently accepting connections")),
    ("42501", re.compile("permission denied for database")),
    (TOO_MANY_SESSIONS, re.compile("too many (clients|connections)|connection slots are reserved")),
)
"""psycopg2 has no SQLSTATE for a connection that fails, only PostgreSQL's words. Where these are in another language
nothing follows from them; they are shown all the same."""


class DatabaseError(Unavailable):
    """A query failed. `failure` says what that means, `sqlstate` is the database's own code, '' where none came, and
    `said` its words, if they are of use to an operator."""

    def __init__(self, failure: Failure, sqlstate: str, doing: str, said: str = "") -> None:
        super().__init__(
            f"{doing}: {failure} ({sqlstate or 'no answer'}){': ' if said else ''}{said}",
            # a lack of connections may heal, but only if somebody goes
            needs_operator=failure is Failure.HOLD or sqlstate == TOO_MANY_SESSIONS,
        )
        self.failure = failure
        self.sqlstate = sqlstate


class NotConnected(DatabaseError):
    """There is no session, and none could be made; nothing was sent. `said`: why, in libpq's words."""

    def __init__(self, doing: str, sqlstate: str = "", said: str = "") -> None:
        hold = sqlstate.startswith(_HOLD_CLASSES)
        super().__init__(Failure.HOLD if hold else Failure.RETRY, sqlstate, doing, said)


class Refused(DatabaseError):
    """The session could be made, and must not be used. Its text is the whole reason."""

    def __init__(self, sqlstate: str, said: str) -> None:
        super().__init__(Failure.HOLD, sqlstate, "a session with the database was refused")
        self.args = (said,)


def why_not_connected(error: BaseException, dsn: str) -> tuple[str, str]:
    """The SQLSTATE of a connection that failed, '' if it can't be told, and the reason in libpq's words, without a
    secret of the address."""
    said = " ".join(str(error).split())
    try:
        parts = parse_dsn(dsn)
    except psycopg2.Error as cause:  # such a text may repeat the address
        return "", f"database.url can't be read: {type(cause).__name__}"
    # a raw @ in a password makes the rest of it the host
    broken = [host for host in parts.get("host", "").split(",") if "@" in host]
    secrets = [parts.get("password"), parts.get("sslpassword"), *broken]
    sqlstate = (getattr(error, "pgcode", None) or "") if isinstance(error, psycopg2.Error) else ""
    if not sqlstate:
        sqlstate = next((code for code, words in _SAID_ON_CONNECTING if words.search(said)), "")
    for secret in secrets:
        if secret and len(secret) >= _SECRET_LETTERS:
            said = said.replace(secret, "…")
    return sqlstate, _shortened(said) or type(error).__name__


def said_by(error: BaseException, sqlstate: str) -> str:
    """The database's words, if they speak of the installation alone; else nothing."""
    if not isinstance(error, psycopg2.Error) or not sqlstate.startswith((*_TOLD_CLASSES, *_TOLD)):
        return ""
    return _shortened(" ".join((error.diag.message_primary or "").split()))


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 1] + "…"


def failure_of(error: BaseException) -> tuple[Failure, str]:
    """Return the meaning of the error of a query that was sent, and its SQLSTATE (empty if there is none)."""
    if isinstance(error, asyncio.CancelledError):
        # aiopg turns a cancelled statement (57014) into this; the statement was rolled back
        return Failure.RETRY, "57014"
    if isinstance(error, UnicodeError | ValueError):
        return Failure.BAD_DATA, ""
    sqlstate = (error.pgcode or "") if isinstance(error, psycopg2.Error) else ""
    if not sqlstate:
        # psycopg2 itself refuses what it can't put into the SQL text: nothing was sent
        if isinstance(error, psycopg2.DataError | psycopg2.ProgrammingError):
            return Failure.BAD_DATA, ""
        return Failure.UNKNOWN, ""
    if sqlstate == _NO_PARTITION or sqlstate.startswith(_HOLD_CLASSES):
        return Failure.HOLD, sqlstate
    if sqlstate.startswith(_BAD_DATA_CLASSES):
        return Failure.BAD_DATA, sqlstate
    # 57P01 and its kind end the session; whether a commit came first is not known
    if sqlstate.startswith("57P"):
        return Failure.UNKNOWN, sqlstate
    return Failure.RETRY if sqlstate.startswith(_RETRY_CLASSES) else Failure.HOLD, sqlstate


def as_outcome(error: DatabaseError) -> Unavailable:
    """The error as the core knows it."""
    if error.failure is Failure.UNKNOWN:
        return CommitUnknown(str(error))
    return Unavailable(str(error), needs_operator=error.needs_operator)

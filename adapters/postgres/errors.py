"""What an error of the driver means: by SQLSTATE, never by its text. The one place that knows.

::

    psycopg2.Error, aiopg's CancelledError and TimeoutError, Python's encoding errors
        └── failure_of(error) → Failure
              RETRY       the database can't now; nothing was stored         → Unavailable
              UNKNOWN     it was sent and the answer was lost                → CommitUnknown
              HOLD        the installation is wrong; an operator is needed   → Unavailable, and an alert
              BAD_DATA    this data can't be stored, today or ever           → found by bisecting, quarantined
"""

from __future__ import annotations

import asyncio
from enum import StrEnum

import psycopg2

from catchment.core.errors import CommitUnknown, Unavailable


class Failure(StrEnum):
    RETRY = "retry"
    UNKNOWN = "unknown"
    HOLD = "hold"
    BAD_DATA = "bad_data"


_RETRY_CLASSES = ("08", "53", "57", "58", "40", "55", "25")
_HOLD_CLASSES = ("42", "XX", "3F", "28", "3D")
_BAD_DATA_CLASSES = ("22", "54", "23")
_NO_PARTITION = "23514"
"""'no partition of relation', and a check constraint, which the tables of events do not have."""


class DatabaseError(Unavailable):
    """A query failed. `failure` says what that means, `sqlstate` is the database's own code, '' where none came."""

    def __init__(self, failure: Failure, sqlstate: str, doing: str) -> None:
        super().__init__(f"{doing}: {failure} ({sqlstate or 'no answer'})")
        self.failure = failure
        self.sqlstate = sqlstate


class NotConnected(DatabaseError):
    """There is no session, and none could be made; nothing was sent."""

    def __init__(self, doing: str, sqlstate: str = "") -> None:
        super().__init__(Failure.RETRY, sqlstate, doing)


def failure_of(error: BaseException) -> tuple[Failure, str]:
    """What the error of a query that was sent means, and its SQLSTATE ('' where there is none)."""
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
    return Unavailable(str(error))

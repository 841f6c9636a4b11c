"""What an error means, by SQLSTATE: one row for each class there is."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import psycopg2
import pytest

from catchment.adapters.postgres.errors import (
    DatabaseError,
    Failure,
    NotConnected,
    as_outcome,
    failure_of,
    said_by,
    why_not_connected,
)
from catchment.core.errors import CommitUnknown, Unavailable

RETRY, UNKNOWN, HOLD, BAD_DATA = Failure.RETRY, Failure.UNKNOWN, Failure.HOLD, Failure.BAD_DATA


def error_with(sqlstate: str) -> psycopg2.Error:
    kind = type("Error", (psycopg2.DatabaseError,), {"pgcode": sqlstate})
    return kind("words that nobody reads")


@pytest.mark.parametrize(
    ("sqlstate", "failure"),
    [
        ("08000", RETRY),  # connection exception
        ("08006", RETRY),  # connection failure
        ("08P01", RETRY),  # protocol violation
        ("53000", RETRY),  # insufficient resources
        ("53100", RETRY),  # disk full
        ("53200", RETRY),  # out of memory
        ("53300", RETRY),  # too many connections
        ("57000", RETRY),  # operator intervention
        ("57014", RETRY),  # query cancelled
        ("58000", RETRY),  # system error
        ("58030", RETRY),  # I/O error
        ("40001", RETRY),  # serialization failure
        ("40P01", RETRY),  # deadlock
        ("55P03", RETRY),  # lock not available
        ("55006", RETRY),  # object in use
        ("25006", RETRY),  # read-only transaction
        ("57P01", UNKNOWN),  # admin shutdown
        ("57P02", UNKNOWN),  # crash shutdown
        ("57P03", UNKNOWN),  # cannot connect now
        ("57P05", UNKNOWN),  # idle session timeout
        ("42883", HOLD),  # undefined function
        ("42P01", HOLD),  # undefined table
        ("42501", HOLD),  # insufficient privilege
        ("42601", HOLD),  # syntax error
        ("XX000", HOLD),  # internal error
        ("XX001", HOLD),  # data corrupted
        ("3F000", HOLD),  # invalid schema
        ("3D000", HOLD),  # invalid catalogue
        ("28P01", HOLD),  # invalid password
        ("23514", HOLD),  # no partition of relation
        ("P0001", HOLD),  # raise_exception
        ("0A000", HOLD),  # feature not supported
        ("99999", HOLD),  # nobody knows
        ("22P05", BAD_DATA),  # untranslatable character
        ("22P02", BAD_DATA),  # invalid text representation
        ("22003", BAD_DATA),  # numeric value out of range
        ("22008", BAD_DATA),  # datetime overflow
        ("54000", BAD_DATA),  # program limit exceeded
        ("54001", BAD_DATA),  # statement too complex
        ("23502", BAD_DATA),  # not null violation
        ("23503", BAD_DATA),  # foreign key violation
        ("23505", BAD_DATA),  # unique violation
    ],
)
def test_a_failure_is_told_by_its_code(sqlstate: str, failure: Failure) -> None:
    assert failure_of(error_with(sqlstate)) == (failure, sqlstate)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (psycopg2.OperationalError("server closed the connection unexpectedly"), UNKNOWN),
        (psycopg2.InterfaceError("connection already closed"), UNKNOWN),
        (psycopg2.DatabaseError("SSL SYSCALL error: EOF detected"), UNKNOWN),
        (TimeoutError(), UNKNOWN),
        (OSError(5, "input/output error"), UNKNOWN),
        (psycopg2.ProgrammingError("can't adapt type 'object'"), BAD_DATA),
        (psycopg2.DataError("value too large"), BAD_DATA),
        (ValueError("A string literal cannot contain NUL (0x00) characters."), BAD_DATA),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), BAD_DATA),
    ],
)
def test_an_error_without_a_code_is_told_by_its_kind(error: BaseException, failure: Failure) -> None:
    assert failure_of(error) == (failure, "")


def test_what_aiopg_makes_of_a_cancelled_statement_was_rolled_back() -> None:
    assert failure_of(asyncio.CancelledError()) == (RETRY, "57014")


@pytest.mark.parametrize("failure", Failure)
def test_the_core_knows_whether_something_may_have_been_stored(failure: Failure) -> None:
    outcome = as_outcome(DatabaseError(failure, "00000", "storing"))
    assert type(outcome) is (CommitUnknown if failure is UNKNOWN else Unavailable)
    assert outcome.retry_after >= 1


_FAILED = 'connection to server at "db.example" (10.0.0.5), port 5432 failed: FATAL:  '


@pytest.mark.parametrize(
    ("said", "sqlstate", "shown"),
    [
        (_FAILED + 'password authentication failed for user "catchment"\n', "28P01", "password authentication failed"),
        (_FAILED + 'role "catchment" does not exist\n', "28000", 'role "catchment" does not exist'),
        (_FAILED + 'no pg_hba.conf entry for host "10.0.0.7", user "catchment"\n', "28000", "no pg_hba.conf entry"),
        (_FAILED + 'database "events" does not exist\n', "3D000", 'database "events" does not exist'),
        (_FAILED + "sorry, too many clients already\n", "53300", "too many clients"),
        (_FAILED + 'permission denied for database "events"\n', "42501", "permission denied for database"),
        (_FAILED + "the database system is starting up\n", "", "starting up"),
        (_FAILED + "Passwort-Authentifizierung für Benutzer »catchment« fehlgeschlagen\n", "", "fehlgeschlagen"),
        ('could not translate host name "cret@db.example" to address: unknown\n', "", "could not translate host name"),
        ("ignored se…cret\n\tIs the server running?\n", "", "Is the server running?"),
    ],
)
def test_a_failed_connection_says_why_and_no_secret(said: str, sqlstate: str, shown: str) -> None:
    """What it says in another language is shown, and nothing follows from it."""
    for dsn in (
        "postgresql://catchment:se%40cret@db.example/events",
        "postgresql://catchment:se@cret@db.example/events",
    ):
        found, text = why_not_connected(psycopg2.OperationalError(said + "se@cret"), dsn)
        assert found == sqlstate
        assert shown in text
        assert "\n" not in text
        assert ("se@cret" if "%40" in dsn else "cret@db.example") not in text


@pytest.mark.parametrize(("sqlstate", "told"), [("42501", True), ("53100", True), ("22P02", False), ("42601", False)])
def test_the_words_of_an_error_are_told_only_if_they_can_hold_no_value(sqlstate: str, told: bool) -> None:
    assert (said_by(_Worded(sqlstate), sqlstate) == "the words") == told


class _Worded(psycopg2.Error):
    """An error with words, which only the driver itself can make."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__()
        self._code = sqlstate

    @property
    def diag(self) -> object:
        return SimpleNamespace(message_primary="the\nwords")


def test_an_error_says_what_was_being_done_and_why_it_failed() -> None:
    assert str(DatabaseError(HOLD, "42883", "log_events")) == "log_events: hold (42883)"
    assert str(NotConnected("connecting")) == "connecting: retry (no answer)"
    assert NotConnected("connecting").failure is RETRY

"""What an error means, by SQLSTATE: one row for each class there is."""

from __future__ import annotations

import asyncio

import psycopg2
import pytest

from catchment.adapters.postgres.errors import DatabaseError, Failure, NotConnected, as_outcome, failure_of
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


def test_an_error_says_what_was_being_done_and_why_it_failed() -> None:
    assert str(DatabaseError(HOLD, "42883", "log_events")) == "log_events: hold (42883)"
    assert str(NotConnected("connecting")) == "connecting: retry (no answer)"
    assert NotConnected("connecting").failure is RETRY

"""A session heals itself, and no fault of the driver's is passed on."""

from __future__ import annotations

import asyncio
import gc
import traceback
from typing import Any

import aiopg
import pytest

from catchment.adapters.postgres.errors import DatabaseError, Failure, NotConnected
from catchment.adapters.postgres.link import Link, Links
from catchment.adapters.postgres.low_descriptors import LowDescriptors
from catchment.core.errors import Unavailable

from ..support.database import Database
from ..support.events import an_id
from ..support.sessions import busy, closed, sessions, terminate
from ..support.storage import open_link, open_links
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test

FOREVER = 600
"""Seconds that a query would sleep for, if nobody ended it."""


async def works(link: Link) -> bool:
    return await link.run("heartbeat") == [(1,)]


async def fails(link: Link | Links, /, *query: Any, **parameters: object) -> DatabaseError:
    with pytest.raises(DatabaseError) as raised:
        await link.run(*query, **parameters)
    return raised.value


async def test_a_session_is_made_when_it_is_needed(database: Database) -> None:
    async with open_link(database) as link:
        assert not link.connected
        assert await works(link)
        assert link.connected
        assert sessions(database, "test") == 1
    assert not link.connected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("synchronous_commit", "on"),
        ("TimeZone", "UTC"),
        ("log_min_error_statement", "panic"),
        ("log_error_verbosity", "terse"),
        ("track_activities", "off"),
    ],
)
async def test_a_session_begins_as_it_must(database: Database, name: str, value: str) -> None:
    database.execute(f"ALTER DATABASE {database.one('SELECT current_database()')} SET synchronous_commit = off")
    async with open_link(database) as link:
        assert await link.run("setting", name=name) == [(value,)]


async def test_a_role_sets_what_it_may_of_what_is_logged(database: Database) -> None:
    database.execute("DROP ROLE IF EXISTS ordinary")
    database.execute("CREATE ROLE ordinary LOGIN")
    ordinary = Database(database.dsn.replace("postgres@", "ordinary@"))
    found = {}
    try:
        for granted in ("nothing", "track_activities"):
            if granted != "nothing":
                database.execute(f"GRANT SET ON PARAMETER {granted} TO ordinary")
            async with open_link(ordinary) as link:
                names = ("log_min_error_statement", "log_error_verbosity", "track_activities")
                found[granted] = [(await link.run("setting", name=name))[0][0] for name in names]
    finally:
        database.execute("DROP OWNED BY ordinary")
        database.execute("DROP ROLE ordinary")
    assert found == {"nothing": ["error", "default", "on"], "track_activities": ["error", "default", "off"]}


async def test_what_runs_is_not_kept_where_the_postmaster_would_log_it(database: Database) -> None:
    """It logs what a session ran that was killed, out of the same place that `pg_stat_activity` is read from."""
    async with open_link(database) as link:
        task = asyncio.create_task(fails(link, "echo_late", text="a secret", seconds=FOREVER))
        await busy(database)
        seen = database.execute(
            "SELECT * FROM pg_stat_activity WHERE (datname, application_name) = (current_database(), 'catchment test')"
        )
        assert len(seen) == 1
        assert "secret" not in str(seen)
        terminate(database)
        await task


# statements that end early


async def test_a_statement_that_takes_too_long_is_an_error_and_the_task_lives(database: Database) -> None:
    async with open_link(database, timeout=2) as link:
        error = await fails(link, "sleep", FOREVER, seconds=FOREVER)  # PostgreSQL gives up first
        assert (error.failure, error.sqlstate) == (Failure.RETRY, "57014")
        assert await works(link)


async def test_a_statement_that_somebody_cancels_is_an_error_and_the_task_lives(database: Database) -> None:
    async with open_link(database) as link:
        task = asyncio.create_task(fails(link, "sleep", seconds=FOREVER))
        await busy(database)
        database.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'catchment test'"
        )
        assert (await task).sqlstate == "57014"
        assert await works(link)


async def test_a_task_that_is_really_cancelled_is_cancelled(database: Database) -> None:
    async with open_link(database) as link:
        task = asyncio.create_task(link.run("sleep", seconds=FOREVER))
        await busy(database)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not link.connected
        assert await works(link)


async def test_a_timeout_around_a_query_is_a_timeout(database: Database) -> None:
    async with open_link(database) as link:
        await link.connect()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await link.run("sleep", seconds=FOREVER)
        assert await works(link)


async def test_an_answer_that_does_not_come_in_time_leaves_it_open_what_became_of_it(database: Database) -> None:
    async with open_link(database) as link:
        await link.connect()
        with pytest.raises(DatabaseError) as raised:
            await link.run("sleep", 0.05, seconds=FOREVER)
        assert (raised.value.failure, raised.value.sqlstate) == (Failure.UNKNOWN, "")
        assert await works(link)


# sessions that end


async def test_a_session_that_ended_while_it_was_idle_is_made_anew(database: Database) -> None:
    async with open_link(database) as link:
        await link.connect()
        assert terminate(database) == 1
        await eventually(lambda: not link.connected, "the end is noticed")
        assert await works(link)


async def test_a_session_that_ended_unnoticed_fails_once_and_is_made_anew(database: Database) -> None:
    async with open_link(database) as link:
        await link.connect()
        assert terminate(database) == 1  # the event loop does not run until the query does
        error = await fails(link, "heartbeat")
        assert error.failure in (Failure.RETRY, Failure.UNKNOWN)
        assert await works(link)


async def test_a_session_that_ends_while_it_is_busy_fails_and_is_made_anew(database: Database) -> None:
    async with open_link(database) as link:
        task = asyncio.create_task(fails(link, "sleep", seconds=FOREVER))
        await busy(database)
        assert terminate(database) == 1
        assert (await task).failure is Failure.UNKNOWN
        assert await works(link)


async def test_a_session_that_ended_does_not_keep_the_event_loop_busy(database: Database) -> None:
    """A dead socket is readable for ever: who went on watching it would use a whole processor until the next query."""
    async with open_link(database) as link:
        await link.connect()
        descriptor = link._connection.raw.fileno()
        assert terminate(database) == 1
        await eventually(lambda: not link.connected, "the end is noticed")
        watched = asyncio.get_running_loop()._selector.get_map()  # type: ignore[attr-defined]
        await eventually(lambda: descriptor not in watched, "nobody watches the dead socket", within=2)


async def test_without_a_database_it_is_said_that_nothing_was_sent(database: Database) -> None:
    async with open_link(database) as link:
        await link.connect()
        with closed(database):
            await eventually(lambda: not link.connected, "the end is noticed")
            for _ in range(2):
                with pytest.raises(NotConnected) as raised:
                    await link.run("heartbeat")
                assert raised.value.failure is Failure.RETRY
                assert isinstance(raised.value, Unavailable)
        assert await works(link)


@pytest.mark.parametrize("dsn", ["postgresql:///x?host=/nowhere", "postgresql://127.0.0.1:1/x", "host=/nowhere port=x"])
async def test_an_address_where_nobody_is_is_said(dsn: str) -> None:
    link = Link(dsn, name="test", timeout=5, descriptors=LowDescriptors(0))
    with pytest.raises(NotConnected):
        await link.run("heartbeat")
    assert not link.connected
    link._descriptors.close()


# transactions


async def accounts(database: Database) -> list[str]:
    return [name for (name,) in database.execute("SELECT name FROM catchment.account ORDER BY name")]


async def test_a_transaction_is_committed_together(database: Database) -> None:
    async with open_link(database) as link:
        async with link.transaction():
            await link.run("note", id=an_id(1), name="a")
            await link.run("note", id=an_id(2), name="b")
            assert await accounts(database) == []
        assert await accounts(database) == ["a", "b"]


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    async def twice(link: Link) -> None:
        async with link.transaction():
            await link.run("note", id=an_id(1), name="a")
            await link.run("note", id=an_id(1), name="b")

    async def stumble(link: Link) -> None:
        async with link.transaction():
            await link.run("note", id=an_id(1), name="a")
            raise ZeroDivisionError

    async with open_link(database) as link:
        with pytest.raises(DatabaseError):
            await twice(link)
        with pytest.raises(ZeroDivisionError):
            await stumble(link)
        assert await accounts(database) == []
        assert await works(link)


async def test_a_transaction_whose_session_ends_leaves_nothing(database: Database) -> None:
    """A new session in the middle of it would store the second half alone, and say that all is well."""

    async def interrupted(link: Link) -> None:
        async with link.transaction():
            await link.run("note", id=an_id(1), name="a")
            assert terminate(database) == 1
            await eventually(lambda: not link.connected, "the end is noticed")
            await link.run("note", id=an_id(2), name="b")

    async with open_link(database) as link:
        with pytest.raises(DatabaseError):
            await interrupted(link)
        assert await accounts(database) == []
        assert await works(link)


async def test_a_transaction_whose_session_ended_before_its_commit_says_so(database: Database) -> None:
    async def interrupted(link: Link) -> None:
        async with link.transaction():
            await link.run("note", id=an_id(1), name="a")
            assert terminate(database) == 1
            await eventually(lambda: not link.connected, "the end is noticed")

    async with open_link(database) as link:
        with pytest.raises(DatabaseError):
            await interrupted(link)
        assert await accounts(database) == []


async def test_what_needs_one_session_does_not_go_on_in_another(database: Database) -> None:
    """It would not have the locks of the first."""

    async def interrupted(link: Link, within_transaction: bool) -> None:
        async with link.one_session():
            await link.run("try_lock", name="catchment maintenance")
            terminate(database)
            await eventually(lambda: not link.connected, "the end is noticed")
            if within_transaction:
                async with link.transaction():
                    await link.run("note", id=an_id(1), name="a")
            else:
                await link.run("note", id=an_id(1), name="a")

    async with open_link(database) as link:
        for within_transaction in (False, True):
            with pytest.raises(DatabaseError):
                await interrupted(link, within_transaction)
        assert await accounts(database) == []
        assert await works(link)


async def test_what_one_session_locked_is_let_go_at_its_end(database: Database) -> None:
    async with open_link(database) as link, open_link(database) as other:
        for one in (link, other, link):
            async with one.one_session():
                assert await one.run("try_lock", name="catchment maintenance") == [(True,)]


async def test_patience_is_for_one_transaction(database: Database) -> None:
    async with open_link(database, timeout=2) as link:
        async with link.patience():
            await link.run("sleep", seconds=2.5)
        with pytest.raises(ZeroDivisionError):
            async with link.patience():
                raise ZeroDivisionError
        assert (await fails(link, "sleep", FOREVER, seconds=FOREVER)).sqlstate == "57014"


# errors


async def test_an_error_of_the_database_is_told_by_its_code(database: Database) -> None:
    async with open_link(database) as link:
        error = await fails(link, "divide", by=0)
        assert (error.failure, error.sqlstate) == (Failure.BAD_DATA, "22012")
        assert await works(link)


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
async def test_what_the_driver_itself_can_not_send_is_bad_data(database: Database, text: str) -> None:
    async with open_link(database) as link:
        error = await fails(link, "echo", text=text)
        assert (error.failure, error.sqlstate) == (Failure.BAD_DATA, "")
        assert await works(link)


async def test_an_error_holds_nothing_of_the_data(database: Database) -> None:
    async with open_link(database) as link:
        error = await fails(link, "to_number", text="a secret")
        assert error.failure is Failure.BAD_DATA
        assert "secret" not in "".join(traceback.format_exception(error))


# a few sessions


async def test_sessions_are_shared(database: Database) -> None:
    async with open_links(database, count=2) as links:
        assert await asyncio.gather(*(links.run("heartbeat") for _ in range(20))) == [[(1,)]] * 20
        assert sessions(database) == 2


async def test_who_finds_no_free_session_is_told_in_time(database: Database) -> None:
    async with open_links(database, count=1) as links, links.link() as link:
        assert await works(link)
        links._timeout = 0.3
        with pytest.raises(NotConnected, match="waiting for a free session"):
            await links.run("heartbeat")


async def test_a_short_query_survives_that_idle_sessions_end(database: Database) -> None:
    async with open_links(database, count=2) as links:
        async with links.link() as one, links.link() as other:
            assert await works(one)
            assert await works(other)
        assert terminate(database) == 2
        for _ in range(4):
            assert await links.run("heartbeat") == [(1,)]


async def test_a_session_is_free_again_after_an_error(database: Database) -> None:
    async with open_links(database, count=1) as links:
        for _ in range(3):
            await fails(links, "divide", by=0)
        assert await links.run("heartbeat") == [(1,)]


async def test_nobody_hangs_when_all_busy_sessions_end(database: Database) -> None:
    async with open_links(database, count=2) as links:
        tasks = [asyncio.create_task(links.run("sleep", seconds=FOREVER)) for _ in range(2)]
        await busy(database, count=2)
        tasks += [asyncio.create_task(links.run("sleep", seconds=0)) for _ in range(4)]
        await asyncio.sleep(0)  # they wait now
        terminate(database)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(one) for one in ended} <= {list, DatabaseError}
        assert await links.run("heartbeat") == [(1,)]


async def test_statements_leave_nothing_for_the_garbage_collector(database: Database) -> None:
    """A cursor of aiopg has a reference to itself, and holds the text of its statement: a megabyte of events."""
    async with open_link(database) as link:
        await link.run("heartbeat")
        gc.collect()
        gc.disable()
        try:
            before = _count_cursors()
            for _ in range(20):
                await link.run("heartbeat")
            assert _count_cursors() == before
        finally:
            gc.enable()


def _count_cursors() -> int:
    return sum(isinstance(one, aiopg.connection.Cursor) for one in gc.get_objects())

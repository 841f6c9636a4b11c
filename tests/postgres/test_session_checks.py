"""A session is used only if it is ours alone, on the present primary, and its database's clock agrees with ours."""

from __future__ import annotations

import asyncio
import contextlib
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest

from catchment import sql
from catchment.adapters.memory.parts import ToldClock
from catchment.adapters.postgres.errors import Failure, Refused
from catchment.adapters.postgres.link import Link, Links, survey
from catchment.adapters.postgres.low_descriptors import LowDescriptors
from catchment.adapters.postgres.projects import CachedProjects
from catchment.adapters.postgres.session_checks import PrimaryMemory, SessionChecks
from catchment.adapters.system.clock import SystemClock
from catchment.config.database import refuse_shared_sessions
from catchment.core.collecting.group_commit import GroupCommit
from catchment.core.errors import Invalid, Unavailable

from ..support.database import Database, Server, TwoPrimaries, as_ordinary_user, two_primaries
from ..support.events import an_event, an_id
from ..support.running import environment, run
from ..support.sessions import terminate
from ..support.storage import Notes, sink_on
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test


class ShiftedClock(SystemClock):
    """The machine's clock, shifted."""

    def __init__(self, by: timedelta = timedelta()) -> None:
        self.by = by

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by


@contextlib.asynccontextmanager
async def checked_link(dsn: str, checks: SessionChecks, name: str = "test") -> AsyncIterator[Link]:
    descriptors = LowDescriptors(0)
    link = Link(dsn, name=name, timeout=10, descriptors=descriptors, checks=checks)
    try:
        yield link
    finally:
        link.drop()
        descriptors.close()


async def test_a_session_says_what_its_server_keeps(database: Database) -> None:
    checks = SessionChecks(SystemClock())
    async with checked_link(database.dsn, checks) as link:
        await link.connect()
        assert checks.durability == {
            "fsync": database.one("SELECT current_setting('fsync') = 'on'"),
            "full_page_writes": True,
            "version": database.one("SELECT current_setting('server_version')"),
        }
        assert checks.timeline == 1
        await link.look()


async def test_an_ordinary_role_may_ask_for_all_that_is_checked(database: Database) -> None:
    database.execute("CREATE ROLE checker LOGIN")
    try:
        checks = SessionChecks(SystemClock())
        async with checked_link(database.dsn.replace("postgres@", "checker@"), checks) as link:
            await link.look()
            assert checks.timeline == 1
    finally:
        database.execute("DROP ROLE checker")


async def test_a_database_that_does_not_say_who_it_is_is_not_judged(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sql.queries(), "identify", "SELECT no_such_function()")
    checks = SessionChecks(SystemClock())
    async with checked_link(database.dsn, checks) as link:
        await link.look()
        assert checks.timeline is None


# clocks


async def test_a_server_whose_clock_is_wrong_has_no_session_until_it_is_right(database: Database) -> None:
    for by, words in (
        (timedelta(days=-40), "40 days behind"),
        (timedelta(minutes=-3), "3 minutes behind"),
        (timedelta(minutes=3), "3 minutes ahead of"),
        (timedelta(days=4000), "4000 days ahead of"),
    ):
        clock = ShiftedClock(by)
        checks = SessionChecks(clock)
        async with checked_link(database.dsn, checks) as link, checked_link(database.dsn, checks, "other") as other:
            for _ in range(2):
                with pytest.raises(Refused, match=words) as raised:
                    await link.run("heartbeat")
                assert (raised.value.failure, raised.value.sqlstate) == (Failure.HOLD, "CA001")
                assert not link.connected
                clock.by = timedelta(seconds=100)
                await link.run("heartbeat")
                await other.run("heartbeat")
                assert checks.refusal is None
                clock.by = by  # one session notices, and the refusal holds for all
                with pytest.raises(Refused):
                    await link.look()
                with pytest.raises(Refused):
                    await other.run("heartbeat")


async def test_a_sink_whose_clock_goes_wrong_stores_nothing_and_raises_the_alarm(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GroupCommit, "HEARTBEAT_SECONDS", 0.02)
    clock = ShiftedClock()
    checks, notes = SessionChecks(clock), Notes()
    async with checked_link(database.dsn, checks, "writer 0") as link:
        sink = sink_on(link, notes=notes, clock=clock)
        sink.start()
        await eventually(lambda: link.connected, "the writer is connected")
        clock.by = timedelta(days=-40)
        await eventually(lambda: sink.down is not None, "it is noticed")
        assert sink.alert is not None
        assert "40 days behind" in sink.alert
        with pytest.raises(Unavailable):
            await sink.store([an_event(an_id(1), "pay-1")], deadline=clock.monotonic() + 10)
        clock.by = timedelta()
        await eventually(lambda: sink.down is None, "it is right again")
        assert sink.alert is None
        await sink.close()
    assert database.one("SELECT count(*) FROM catchment.event") == 0


async def test_a_sink_that_may_not_log_in_raises_the_alarm_with_the_reason(database: Database) -> None:
    database.execute("CREATE ROLE writer LOGIN")
    descriptors, notes = LowDescriptors(0), Notes()
    try:
        link = Link(database.dsn.replace("postgres@", "writer@"), name="writer 0", timeout=10, descriptors=descriptors)
        sink = sink_on(link, notes=notes)
        sink.start()
        await eventually(lambda: link.connected, "the writer is connected")
        database.execute("ALTER ROLE writer NOLOGIN")
        terminate(database)
        reason = 'role "writer" is not permitted to log in'
        await eventually(lambda: sink.alert is not None, "an operator is called")
        assert reason in (sink.alert or "")
        assert reason in (sink.down or "")
        assert ("hold", "28000") in notes.failures
        database.execute("ALTER ROLE writer LOGIN")
        await eventually(lambda: sink.down is None, "it may again")
        assert sink.alert is None
        await sink.close()
    finally:
        descriptors.close()
        database.execute("DROP ROLE writer")


# primaries


@pytest.fixture(scope="module")
def primaries() -> Iterator[TwoPrimaries]:
    with two_primaries() as both:
        yield both


async def _timeline(link: Link) -> int:
    return int((await link.run("identify"))[0].timeline, 16)


async def test_a_primary_that_was_replaced_is_not_used_again(primaries: TwoPrimaries) -> None:
    """Both take writes, and the address names the old one first."""
    checks = SessionChecks(ToldClockOfNow())
    async with checked_link(primaries.old.dsn, checks) as link:
        assert await _timeline(link) == 1
    async with checked_link(primaries.both, checks) as early, checked_link(primaries.new.dsn, checks) as late:
        assert await _timeline(early) == 1
        assert await _timeline(late) == 2  # from now on the primary of `early` is known to be old
        assert checks.alert is None
        assert await _timeline(early) == 2
        assert "two primaries" in (checks.alert or "")
        assert primaries.old_folder in (checks.alert or "")
    async with checked_link(primaries.old.dsn, checks) as link:
        with pytest.raises(Refused, match="timeline 1") as raised:
            await link.connect()
        assert raised.value.sqlstate == "CA002"


async def test_workers_share_what_they_know_of_the_primary(primaries: TwoPrimaries) -> None:
    memory = PrimaryMemory()
    async with checked_link(primaries.new.dsn, SessionChecks(SystemClock(), memory)) as link:
        await link.connect()
    async with checked_link(primaries.old.dsn, SessionChecks(SystemClock(), memory)) as link:
        with pytest.raises(Refused):
            await link.connect()


async def test_a_server_that_starts_asks_all_hosts_which_primary_is_the_present_one(primaries: TwoPrimaries) -> None:
    checks, descriptors = SessionChecks(SystemClock()), LowDescriptors(0)
    await survey(primaries.both, checks, timeout=10, descriptors=descriptors)
    descriptors.close()
    assert checks.timeline == 2
    assert primaries.old_folder in (checks.alert or "")
    async with checked_link(primaries.both, checks) as link:
        assert await _timeline(link) == 2


async def test_another_cluster_is_not_used_before_a_restart(primaries: TwoPrimaries, database: Database) -> None:
    checks = SessionChecks(SystemClock())
    async with checked_link(primaries.old.dsn, checks) as link:
        await link.connect()
    async with checked_link(database.dsn, checks) as link:
        with pytest.raises(Refused, match="restart the server"):
            await link.connect()
    async with checked_link(database.dsn, SessionChecks(SystemClock())) as link:
        await link.connect()


class ToldClockOfNow(ToldClock):
    """A told clock that agrees with the machine's."""

    def now(self) -> datetime:
        return datetime.now(UTC)


# poolers


@contextlib.contextmanager
def pgbouncer(server: Server, folder: Path, *lines: str) -> Iterator[str]:
    """Run a pgbouncer before the machine's PostgreSQL, and yield the address of a database behind it."""
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("this machine has no pgbouncer")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\nbehind = host={server.socket_folder} dbname=postgres user=postgres\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n" + "\n".join(lines) + "\n"
    )
    command = [*as_ordinary_user(), program, str(settings)]
    temporary = Path(tempfile.gettempdir()).resolve()
    for parent in (settings, *settings.parents):
        if parent == temporary:
            break
        if parent.stat().st_uid == pwd.getpwuid(0).pw_uid and as_ordinary_user():
            parent.chmod(0o755)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/behind"
        finally:
            process.terminate()


async def _answers(dsn: str) -> bool:
    try:
        psycopg2.connect(dsn).close()
    except psycopg2.OperationalError:
        return False
    return True


@pytest.mark.parametrize(
    "mode",
    [
        ("pool_mode = statement",),
        ("pool_mode = transaction",),
        ("pool_mode = transaction", "server_round_robin = 1"),
        ("pool_mode = transaction", "server_reset_query = DISCARD ALL", "server_reset_query_always = 1"),
    ],
    ids=["statements", "plain", "in turn", "reset"],
)
async def test_a_pooler_of_transactions_is_noticed(
    system_server: Server, tmp_path: Path, mode: tuple[str, ...]
) -> None:
    with pgbouncer(system_server, tmp_path, *mode) as dsn:
        await eventually(lambda: _answers(dsn), "the pooler answers")
        checks = SessionChecks(SystemClock())
        async with checked_link(dsn, checks) as one, checked_link(dsn, checks, "other") as other:

            async def look() -> None:
                await one.look()
                await other.look()
                await one.look()

            with pytest.raises(Refused, match="pool_mode = session") as raised:
                await look()
            assert raised.value.sqlstate == "CA004"
        with pytest.raises(Invalid, match=r"database\.url: .*pool_mode = session"):
            await refuse_shared_sessions(dsn)
        done = await asyncio.to_thread(run, environment(dsn), "migrate")
        assert done.returncode == 1
        assert "pool_mode = session" in done.stderr
        assert "Traceback" not in done.stderr


async def test_a_pooler_of_sessions_is_fine(system_server: Server, tmp_path: Path) -> None:
    with pgbouncer(system_server, tmp_path, "pool_mode = session") as dsn:
        await eventually(lambda: _answers(dsn), "the pooler answers")
        checks = SessionChecks(SystemClock())
        async with checked_link(dsn, checks) as one, checked_link(dsn, checks, "other") as other:
            for _ in range(2):
                for link in (one, other):
                    await link.look()
            one.drop()
            await one.look()
        await refuse_shared_sessions(dsn)


async def test_a_listener_that_is_not_told_any_more_is_noticed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler gave its session to another client, or its listening was ended."""
    monkeypatch.setattr(CachedProjects, "HEARTBEAT_SECONDS", 0.02)
    descriptors = LowDescriptors(0)
    links = Links(database.dsn, count=1, name="reader", timeout=10, descriptors=descriptors)
    listener = Link(database.dsn, name="listener", timeout=10, descriptors=descriptors)
    projects = CachedProjects(links, listener, clock=ToldClock())
    projects.start()
    try:
        await eventually(lambda: projects.listening, "changes are announced")
        monkeypatch.setitem(sql.queries(), "listens", "SELECT false")
        await eventually(lambda: not projects.listening, "it is noticed")
    finally:
        await projects.close()
        links.close()
        descriptors.close()

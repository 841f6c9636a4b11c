"""The folder in which the workers of a server share their counts, and those that killed servers left behind."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "catchment-metrics-"


@contextmanager
def metrics_folder() -> Iterator[Path]:
    """Make a folder that is locked as long as this process or one that it forked lives, and remove it at the end. What
    cleans temporary folders leaves a locked one alone. Raises OSError."""
    _remove_leftovers()
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        descriptor = _lock(folder)
        if descriptor is not None:
            break
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _remove_leftovers() -> None:
    """Remove our own folders that nobody has locked: their servers were killed."""
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            with suppress(OSError):
                found = folder.lstat()
                if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
                    continue
                descriptor = _lock(folder)
                if descriptor is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                    os.close(descriptor)


def _lock(folder: Path) -> int | None:
    """Lock a folder; None if somebody else has it, or it is gone by now."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), folder.lstat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None

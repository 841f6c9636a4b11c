"""The folders of the embedded PostgreSQL. A folder that others can use is refused."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path

from catchment.core.errors import Invalid

UNFINISHED = "unfinished"
"""The folder, within the database's, in which a database is made."""
_SOCKET_NAME = ".s.PGSQL.5432"
_LONGEST_SOCKET = 103
"""Bytes in the path of a Unix socket, on the system with the lowest limit."""
_TEMPORARY = Path("/tmp")  # noqa: S108  (sticky, or not used)


def no_folder(directory: Path, why: str) -> Invalid:
    return Invalid(f"the embedded database can't have the folder {directory}: {why}")


def prepare_folder(directory: Path, owner: pwd.struct_passwd) -> None:
    """Make the folder for this user alone (0700), unless it exists. Raise `Invalid`, and change nothing, if it belongs
    to another user, holds other files, or can be replaced by others."""
    try:
        _refuse_foreign(directory, owner)
        directory.parent.mkdir(parents=True, exist_ok=True)
        _refuse_shared(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
        # through a descriptor, so that the checked folder is the changed one
        opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(opened).st_uid not in (os.geteuid(), owner.pw_uid):
                raise no_folder(directory, "it belongs to another user")
            os.fchmod(opened, 0o700)
            if owner.pw_uid != os.geteuid():
                os.fchown(opened, owner.pw_uid, owner.pw_gid)
        finally:
            os.close(opened)
    except OSError as error:
        raise no_folder(directory, error.strerror or str(error)) from error


def _refuse_foreign(directory: Path, owner: pwd.struct_passwd) -> None:
    """Check the contents before any change: a folder with other files must keep its owner and its mode."""
    if not directory.is_dir():
        return
    if directory.stat().st_uid not in (os.geteuid(), owner.pw_uid):
        raise no_folder(directory, "it belongs to another user")
    ours = (directory / "PG_VERSION").exists() or (directory / UNFINISHED).is_dir()
    if not ours and any(directory.iterdir()):
        raise no_folder(
            directory, "it holds other files; name an empty folder, or one that is not there, as database.directory"
        )


def _refuse_shared(folder: Path) -> None:
    """Check the folders above: a user who may write into one of them could replace our folder, unless it is sticky."""
    for above in (folder, *folder.parents):
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise no_folder(folder, f"everybody may write into {above}; take that away (chmod o-w), or name another")


def socket_folder(data: Path, owner: pwd.struct_passwd) -> Path:
    """Return the folder for the socket: that of the data. If its path is too long, make a new one for this user alone,
    with a name that nobody can guess. Raises `Invalid`."""
    if len(os.fsencode(data / _SOCKET_NAME)) <= _LONGEST_SOCKET:
        return data
    for base in _bases(owner):
        if not _is_safe(base):
            continue
        try:
            folder = Path(tempfile.mkdtemp(prefix="catchment-", dir=base))  # 0700, and never an existing one
        except OSError:
            continue
        if len(os.fsencode(folder / _SOCKET_NAME)) > _LONGEST_SOCKET:
            folder.rmdir()
            continue
        if owner.pw_uid != os.geteuid():
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        return folder
    raise no_folder(
        data, "its path is too long for a Unix socket, and no other folder is safe for that: name a shorter"
    )


def _bases(owner: pwd.struct_passwd) -> list[Path]:
    if owner.pw_uid != os.geteuid():  # root's own runtime folder is closed to the user of the database
        return [Path("/run"), Path(tempfile.gettempdir()), _TEMPORARY]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return [*([Path(runtime)] if runtime else []), Path(tempfile.gettempdir()), _TEMPORARY]


def _is_safe(base: Path) -> bool:
    """Return True if no other user can remove a folder of ours in here."""
    try:
        found = base.resolve(strict=True).stat()
    except OSError:
        return False
    shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return found.st_uid in (0, os.geteuid()) and (not shared or bool(found.st_mode & stat.S_ISVTX))


def make_traversable(path: Path, user: pwd.struct_passwd) -> None:
    """Let this user pass through the folders above, if it can't: it may enter them, but not list them."""
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    for above in path.parents:
        found = above.stat()
        if found.st_uid == user.pw_uid:
            needed = stat.S_IXUSR
        elif found.st_gid in groups:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not found.st_mode & needed:
            above.chmod(stat.S_IMODE(found.st_mode) | needed)


def make_readable(programs: Path) -> None:
    """Let everybody read and run PostgreSQL's programs from the wheel, if they can't."""
    for folder, _, names in os.walk(programs):
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            if path.is_symlink():
                continue
            mode = stat.S_IMODE(path.stat().st_mode)
            wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
            if wanted != mode:
                path.chmod(wanted)


def move_out(place: Path, *, last: str) -> None:
    """Move all files of a folder into the one above, the last one when the others are there for good. Remove the
    folder."""
    above = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for entry in [*(entry for entry in place.iterdir() if entry.name not in (last, UNFINISHED)), place / last]:
            if entry.name == last:
                os.fsync(above)
            entry.rename(place.parent / entry.name)
        os.fsync(above)
    finally:
        os.close(above)
    shutil.rmtree(place)


def write_file(path: Path, text: str, owner: pwd.struct_passwd) -> bool:
    """Write a file of the database in one step. Return True if its text is new. A link in its place is replaced, not
    followed."""
    if not path.is_symlink() and path.is_file() and path.read_text("utf-8") == text:
        return False
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            if owner.pw_uid != os.geteuid():
                os.fchown(descriptor, owner.pw_uid, owner.pw_gid)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return True

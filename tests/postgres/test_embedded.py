"""The embedded PostgreSQL: a real one, and its user's alone."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from catchment.adapters.postgres.embedded import start_embedded
from catchment.adapters.postgres.embedded_folders import UNFINISHED, move_out, socket_folder
from catchment.core.errors import Invalid

from ..support.database import Server, kill_all

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user for a while")


def test_it_is_reached_by_its_socket_alone(embedded_server: Server) -> None:
    database = embedded_server.database("postgres")
    assert database.one("SHOW listen_addresses") == ""
    assert database.one("SHOW unix_socket_directories") == embedded_server.socket_folder
    assert database.one("SHOW unix_socket_permissions") == "0700"


def test_it_keeps_what_it_promises(embedded_server: Server) -> None:
    database = embedded_server.database("postgres")
    assert [database.one(f"SHOW {name}") for name in ("fsync", "full_page_writes", "synchronous_commit")] == ["on"] * 3
    assert database.one("SHOW server_encoding") == "UTF8"


def test_nobody_else_may_look_into_its_folder(embedded_server: Server) -> None:
    folder = Path(embedded_server.socket_folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("log", "postmaster.pid", "pg_hba.conf", "postgresql.conf", "base"):
        assert not stat.S_IMODE((folder / name).stat().st_mode) & 0o077, name


def test_who_comes_later_joins_it(embedded_server: Server) -> None:
    address = start_embedded(Path(embedded_server.socket_folder))
    assert parse_dsn(address)["host"] == embedded_server.socket_folder
    psycopg2.connect(address).close()


def test_a_folder_with_other_files_is_refused_before_it_is_touched(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("somebody's")
    tmp_path.chmod(0o750)
    before = tmp_path.stat()
    with pytest.raises(Invalid, match="holds other files"):
        start_embedded(tmp_path)
    after = tmp_path.stat()
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)
    assert [file.name for file in tmp_path.iterdir()] == ["precious"]


def test_a_folder_that_can_not_be_one_is_said() -> None:
    with tempfile.NamedTemporaryFile() as file, pytest.raises(Invalid):
        start_embedded(Path(file.name))


# starts that were killed


def test_a_database_whose_making_was_cut_off_is_made_by_the_next_start() -> None:
    with open_to_all() as home:
        folder = home / "postgresql"
        left = folder / UNFINISHED
        left.mkdir(parents=True)
        (left / "PG_VERSION").write_text("18\n")  # initdb writes it first
        (left / "base").mkdir()
        user = pwd.getpwuid(os.geteuid()).pw_name
        with started(folder, user):
            assert not left.exists()


def test_a_database_whose_moving_was_cut_off_is_moved_by_the_next_start(tmp_path: Path) -> None:
    place = tmp_path / UNFINISHED
    place.mkdir()
    for name in ("PG_VERSION", "base", "global", UNFINISHED):
        (place / name).write_text(name)
    (tmp_path / "base").write_text("base")
    (place / "base").unlink()  # it was moved before
    move_out(place, last="PG_VERSION")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["PG_VERSION", "base", "global"]


@pytest.mark.parametrize("left", ["another process's number", "half", "nothing"])
def test_a_server_that_was_killed_is_started_whatever_it_left_in_its_file(left: str) -> None:
    with open_to_all() as home:
        folder = home / "postgresql"
        user = pwd.getpwuid(os.geteuid()).pw_name
        file = folder / "postmaster.pid"
        with started(folder, user):
            kill_all(folder)
            lines = file.read_text().splitlines(keepends=True)
        lines[0] = f"{os.getpid()}\n"
        file.write_text("".join({"half": lines[:5], "nothing": []}.get(left, lines)))
        with started(folder, user) as (address, _):
            assert "let in" in said_to(user, address)


# others on the same machine


@contextlib.contextmanager
def open_to_all() -> Iterator[Path]:
    """A folder that everybody may look into."""
    folder = Path(tempfile.mkdtemp(prefix="catchment-", dir="/tmp")).resolve()
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


BECOME = """
import os, pwd, sys
from pathlib import Path
import psycopg2
from catchment.adapters.postgres import embedded

embedded._server_class()  # before: the user may not be able to read this Python
user = pwd.getpwnam(sys.argv[1])
if user.pw_uid != os.geteuid():
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
"""
START = """
address = embedded.start_embedded(Path(sys.argv[2]))
with psycopg2.connect(address) as connection, connection.cursor() as cursor:
    cursor.execute("SHOW unix_socket_directories")
    print(address, cursor.fetchone()[0], flush=True)
sys.stdin.read()
"""
CONNECT = """
try:
    psycopg2.connect(sys.argv[2])
except psycopg2.OperationalError as error:
    print(error)
else:
    print("let in")
"""


def run_as(user: str, script: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python of this user's."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    return subprocess.Popen(
        [sys.executable, "-c", BECOME + script, user, *map(str, arguments)],
        umask=0o022, env=environment, cwd="/", text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def said_to(user: str, address: str) -> str:
    """What the database says to this user."""
    return run_as(user, CONNECT, address).communicate()[0]


@contextlib.contextmanager
def started(folder: Path, user: str) -> Iterator[tuple[str, Path]]:
    """An embedded database of this user's, in a process of its own; its address, and the folder of its socket."""
    process = run_as(user, START, folder)
    assert process.stdout is not None
    assert process.stderr is not None
    said = process.stdout.readline()
    try:
        if not said:
            raise AssertionError(process.stderr.read())
        address, _, socket = said.strip().rpartition(" ")
        yield address, Path(socket)
    finally:
        process.communicate()


@ROOT
@pytest.mark.parametrize("length", ["short", "long"])
@pytest.mark.parametrize("user", ["root", "daemon"])
def test_no_other_user_gets_in(user: str, length: str) -> None:
    with open_to_all() as home:
        folder = home / ("x" * (90 if length == "long" else 1)) / "postgresql"
        folder.parent.mkdir()
        shutil.chown(folder.parent, user)
        with started(folder, user) as (address, socket):
            server = pwd.getpwuid(socket.stat().st_uid).pw_name
            assert server == ("pgserver" if user == "root" else user)
            assert (socket == folder) is (length == "short")
            for one in (socket, folder):
                assert stat.S_IMODE(one.stat().st_mode) == 0o700
            if user == "root":
                pid = (folder / "postmaster.pid").read_text().splitlines()[0]
                status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
                assert "0" not in (status["Gid"] + status["Groups"]).split()
            # even if the folder lets somebody through
            socket.chmod(0o755)
            (socket / ".s.PGSQL.5432").chmod(0o777)
            assert "Peer authentication failed" in said_to("nobody", address)
        assert socket == folder or not socket.exists()


@ROOT
def test_a_folder_that_lets_everybody_in_is_mended_at_the_next_start() -> None:
    """As earlier versions made it, `trust`."""
    with open_to_all() as home:
        folder = home / "postgresql"
        with started(folder, "root"):
            pass
        (folder / "pg_hba.conf").write_text("local all all trust\n")
        folder.chmod(0o755)
        with started(folder, "root") as (_, socket):
            assert "trust" not in (folder / "pg_hba.conf").read_text()
            assert stat.S_IMODE(socket.stat().st_mode) == 0o700
            (folder / "pg_hba.conf").write_text("local all all trust\n")
            with started(folder, "root"):  # joins it
                assert "trust" not in (folder / "pg_hba.conf").read_text()


@ROOT
def test_a_folder_of_somebody_elses_is_refused() -> None:
    with open_to_all() as home:
        theirs = home / "postgresql"
        theirs.mkdir()
        shutil.chown(theirs, "nobody")
        with pytest.raises(Invalid, match="it belongs to another user"):
            start_embedded(theirs)
        assert theirs.stat().st_uid == pwd.getpwnam("nobody").pw_uid


def test_a_folder_that_others_could_replace_is_refused() -> None:
    with open_to_all() as home:
        home.chmod(0o777)
        with pytest.raises(Invalid, match="everybody may write into"):
            start_embedded(home / "postgresql")


@ROOT
def test_parents_are_opened_no_further_than_to_pass_through() -> None:
    with open_to_all() as home:
        closed = home / "closed"
        closed.mkdir(mode=0o700)
        with started(closed / "postgresql", "root"):
            assert stat.S_IMODE(closed.stat().st_mode) == 0o701
        assert stat.S_IMODE(home.stat().st_mode) == 0o755


def test_a_long_paths_socket_has_a_folder_that_nobody_can_make_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = pwd.getpwuid(os.geteuid())
    data = tmp_path / ("x" * 100)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    made = [socket_folder(data, me) for _ in range(2)]
    try:
        assert made[0] != made[1]
        for folder in made:
            assert (folder.stat().st_uid, stat.S_IMODE(folder.stat().st_mode)) == (me.pw_uid, 0o700)
    finally:
        for folder in made:
            folder.rmdir()
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setattr("catchment.adapters.postgres.embedded_folders._bases", lambda _: [shared])
    with pytest.raises(Invalid, match="too long for a Unix socket"):
        socket_folder(data, me)


def test_psql_and_pg_dump_come_along_where_the_documentation_says() -> None:
    text = (Path(__file__).parents[2] / "docs" / "running.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^/opt/catchment/bin/python -c '(.*)'$", text, re.MULTILINE)
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in ("psql", "pg_dump"):
        said = subprocess.run([Path(printed.strip()) / name, "--version"], capture_output=True, text=True, check=True)
        assert " 18." in said.stdout

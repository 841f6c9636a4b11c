"""Several workers on one socket, and the end of a server under load."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from ..support.answers import Answer
from ..support.database import Database
from ..support.plugins import install_plugin
from ..support.running import COMMAND, Installation, Project, Serving, ask
from ..support.waiting import wait_until
from .load import loaded


def worker_of(connection: http.client.HTTPConnection) -> str:
    """What tells a worker from another: the first part of its request ids."""
    return ask(connection, "GET", "/healthz").headers["X-Request-Id"].partition("-")[0]


def answering(server: Serving, connections: int = 20) -> set[str]:
    """The workers that answer on connections that are open at the same time."""
    made = [server.connect() for _ in range(connections)]
    try:
        for connection in made:
            connection.connect()
        return {worker_of(connection) for connection in made}
    finally:
        for connection in made:
            connection.close()


def counted(server: Serving, name: str) -> float:
    """A metric, as whichever worker is asked tells it."""
    for line in server.get("/metrics").body.decode().splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    return 0.0


STORED = 'catchment_events_total{outcome="stored",reason=""}'


def test_workers_share_one_socket_are_replaced_and_summed(installation: Installation, project: Project) -> None:
    with installation.serving(workers=2) as server:
        first = {worker.pid for worker in server.workers()}
        assert len(first) == 2
        seen: set[str] = set()
        wait_until(lambda: seen.update(answering(server)) or len(seen) == 2, "both workers answer")
        for _ in range(60):
            assert server.post(project.event()).code == "stored"
        wait_until(lambda: counted(server, STORED) == 60, "the metrics of both workers are summed")
        victim = server.workers()[0]
        victim.kill()
        wait_until(lambda: len({w.pid for w in server.workers()} - {victim.pid}) == 2, "the worker is replaced")
        before = set(seen)
        wait_until(lambda: seen.update(answering(server)) or len(seen - before) == 1, "the new worker answers")
        wait_until(lambda: counted(server, STORED) == 60, "what the dead worker had counted still counts")
        assert server.post(project.event()).code == "stored"
        wait_until(lambda: counted(server, STORED) == 61, "the metrics go on")
        assert server.stop() == 0
        died = [line for line in server.lines() if line["level"] == "error"]
        assert len(died) == 1
        assert "SIGKILL" in died[0]["message"]


def test_five_deaths_in_a_minute_end_the_parent(installation: Installation) -> None:
    with installation.serving(workers=2) as server:
        killed: set[int] = set()

        def kill_another() -> bool:
            """Kills whoever lives; whether the parent has given up."""
            for worker in server.workers():
                if worker.pid not in killed and len(killed) < 5:
                    killed.add(worker.pid)
                    worker.kill()
            return server.process.poll() is not None

        children = psutil.Process(server.process.pid).children()
        wait_until(kill_another, "the parent gives up", within=60)
        assert server.process.returncode not in (0, None)
        assert server.process.returncode > 0
        assert len(killed) == 5
        assert not any(child.is_running() for child in children)
        assert [line["level"] for line in server.lines()].count("critical") == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_ending_under_load_loses_no_answer_and_resets_nobody(
    installation: Installation, embedded_database: Database, project: Project, workers: int
) -> None:
    with installation.serving(workers=workers) as server:
        with loaded(server, project) as load:
            wait_until(lambda: load.answered > 200, "there is load")
            assert server.stop() == 0
            load.wait()
        assert load.lost == []
        assert set(load.became) == {"stored"}
        assert load.refused == 8  # every client went on until then
    ids = {event_id for (event_id,) in embedded_database.execute("SELECT event_id FROM catchment.event")}
    assert set(load.stored) - ids == set()
    assert [one["events"] for one in installation.json("usage")] == [len(ids)]
    assert installation.json("audit")["ok"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
@pytest.mark.parametrize("workers", [1, 2])
def test_an_idle_server_ends_with_0(installation: Installation, workers: int, number: int) -> None:
    with installation.serving(workers=workers) as server:
        idle = server.connect()
        idle.connect()
        assert server.stop(number) == 0
        idle.close()
        said = [line for line in server.lines() if "make assets" not in line["message"]]  # said where it was not built
        assert {line["level"] for line in said} <= {"info"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_that_is_told_to_end_while_it_starts_ends(installation: Installation, workers: int) -> None:
    with installation.serving(workers, wait=False) as server:
        wait_until(server.said, "it is about to start")
        assert server.stop() in (0, -signal.SIGTERM)
        assert not server.workers()


def test_a_server_that_ends_says_so_to_kept_connections(installation: Installation, project: Project) -> None:
    body = json.dumps(project.event()).encode()
    with installation.serving(HTTP__BODY_SECONDS="120", HTTP__DRAIN_SECONDS="120") as server:
        kept, slow = server.connect(), server.connect()
        assert ask(kept, "GET", "/healthz").status == 200
        slow.putrequest("POST", "/v1/events")
        slow.putheader("Content-Type", "application/json")
        slow.putheader("Content-Length", str(len(body)))
        slow.endheaders(body[:-1])  # the server waits for the last byte, however long this test takes
        assert ask(kept, "GET", "/healthz").status == 200
        server.process.send_signal(signal.SIGTERM)

        def refused() -> bool:
            another = server.connect()
            try:
                another.connect()
            except ConnectionError:  # refused, or reset: the socket closed on it
                return True
            finally:
                another.close()
            return False

        wait_until(refused, "no connection is taken any more")
        reply = ask(kept, "GET", "/readyz")
        assert reply.status == 503
        assert reply.headers["Connection"] == "close"
        slow.send(body[-1:])
        with slow.getresponse() as response:
            assert response.status == 200
            assert response.headers["Connection"] == "close"
        assert server.process.wait(30) == 0
        kept.close()
        slow.close()


def test_a_socket_that_is_handed_in_keeps_connections_while_the_server_restarts(
    installation: Installation, project: Project
) -> None:
    """As systemd does with a .socket unit: nobody is refused between the end of a server and the start of the next."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def start() -> subprocess.Popen[bytes]:
            script = "import os, sys; os.dup2(int(sys.argv[1]), 3); "
            script += (
                "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])"
            )
            return subprocess.Popen(
                [sys.executable, "-c", script, str(listening.fileno()), *COMMAND, "serve", "--port", "1"],
                env=installation.env(),
                pass_fds=[listening.fileno()],
                stderr=subprocess.DEVNULL,
            )

        def post() -> Answer:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            body = json.dumps(project.event()).encode()
            try:
                return ask(connection, "POST", "/v1/events", body, {"Content-Type": "application/json"})
            finally:
                connection.close()

        for _ in range(2):
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(post)  # before the server is there
                server = start()
                try:
                    assert waiting.result().code == "stored"
                    server.terminate()
                    assert server.wait(30) == 0
                finally:
                    server.kill()
                    server.wait()


@pytest.mark.parametrize("workers", [1, 2])
def test_signals_that_mean_nothing_here_do_nothing(installation: Installation, project: Project, workers: int) -> None:
    with installation.serving(workers=workers) as server:
        pids = [server.process.pid, *(worker.pid for worker in server.workers())]
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGIO, signal.SIGRTMIN):
            for pid in pids:
                os.kill(pid, number)
        assert server.post(project.event()).code == "stored"
        assert [server.process.pid, *(worker.pid for worker in server.workers())] == pids
        server.process.send_signal(signal.SIGHUP)
        assert server.stop(signal.SIGTERM) == 0  # twice is once
        assert not [line for line in server.lines() if line["level"] == "error"]


def test_a_worker_that_stands_still_is_replaced_and_one_that_does_not_end_is_killed(
    installation: Installation,
) -> None:
    with installation.serving(workers=2, HTTP__DRAIN_SECONDS="1") as server:
        wait_until(lambda: [line["message"] for line in server.lines()].count("collecting") == 2, "both have begun")
        still = server.workers()[0]
        hanging = [server.connect() for _ in range(10)]
        for connection in hanging:
            connection.connect()
        still.suspend()
        wait_until(lambda: not still.is_running(), "it is killed", within=60)
        wait_until(lambda: len(server.workers()) == 2, "it is replaced")
        assert [line for line in server.lines() if "stood still" in line["message"]]
        for connection in hanging:
            connection.close()
        wait_until(lambda: counted(server, "catchment_connections") <= 2, "the dead one's connections are not counted")
        server.workers()[0].suspend()
        assert server.stop() == 0
        assert [line for line in server.lines() if "was told to end" in line["message"]]


_HOLDS_ON = """
import asyncio
from catchment.plugins.hooks import hookimpl

tasks = []

async def hold_on():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

@hookimpl
async def catchment_configure(settings):
    tasks.append(asyncio.ensure_future(hold_on()))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_takes_no_end_does_not_keep_a_server(
    installation: Installation, tmp_path: Path, workers: int
) -> None:
    environment = install_plugin(tmp_path / "site", "holds_on", _HOLDS_ON)
    with Installation(installation.dsn, installation.folder, environment).serving(workers) as server:
        assert "holds_on" in server.get("/readyz").json["plugins"]
        assert server.stop() == 0
        assert [line for line in server.lines() if "killing it" in line["message"]] == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_may_open_as_many_files_as_the_system_lets_it(installation: Installation, workers: int) -> None:
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1000, usual[1] - 1), usual[1]))
    try:
        with installation.serving(workers) as server:
            for process in (psutil.Process(server.process.pid), *server.workers()):
                assert process.rlimit(psutil.RLIMIT_NOFILE) == (usual[1], usual[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)


def test_what_a_killed_server_left_in_the_temporary_folder_goes_with_the_next_start(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def folders() -> list[Path]:
        return sorted(tmp_path.glob("catchment-metrics-*"))

    with installation.serving(workers=2) as server:
        [left] = folders()
        server.process.kill()
        wait_until(lambda: not any(psutil.pid_exists(worker.pid) for worker in server.workers()), "its workers end")
    assert folders() == [left]
    others = tmp_path / "catchment-metrics-open"
    others.mkdir(mode=0o755)
    with installation.serving(workers=2) as server:
        assert left not in folders()
        assert len(folders()) == 2
        with installation.serving(workers=2):
            assert len(folders()) == 3  # one that is in use stays
        assert server.stop() == 0
    assert folders() == [others]

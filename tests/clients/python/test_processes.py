"""Processes that end and processes that fork, as programs of their own, against the real server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from ...support.running import Collector
from .conftest import PROGRAMS
from .door import Door

OF_A_PROGRAM = [sys.executable, "-W", "error"]


def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*OF_A_PROGRAM, str(PROGRAMS / program), *arguments]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)


def numbered(way: str, count: int = 20) -> list[str]:
    return sorted(f"{way}-{number}" for number in range(count))


@pytest.mark.parametrize(
    ("way", "code", "count"),
    [
        ("end", 0, 20),
        ("exception", 1, 20),
        ("exit", 3, 20),
        ("thread", 0, 21),
        ("atexit", 0, 22),
        ("no-thread", 0, 21),
        ("_exit", 0, 20),
    ],
)
def test_a_process_that_ends_sends_what_it_has(
    collector: Collector, door: Door, way: str, code: int, count: int
) -> None:
    done = run("track.py", door.endpoint, collector.project.server_key, way)
    assert done.returncode == code, done.stderr
    assert "RuntimeError: on purpose" in done.stderr if way == "exception" else done.stderr == ""
    assert collector.ids() == numbered(way, count)


def test_a_process_that_is_interrupted_sends_what_it_has(collector: Collector, door: Door) -> None:
    command = [*OF_A_PROGRAM, str(PROGRAMS / "track.py"), door.endpoint, collector.project.server_key, "interrupted"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"tracked\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) != 0
    assert collector.ids() == numbered("interrupted")


def test_a_process_ends_although_nobody_answers(door: Door, collector: Collector) -> None:
    door.is_silent = True
    done = run("track.py", door.endpoint, collector.project.server_key, "end", CATCHMENT_CLIENT_LOG="warning")
    assert done.returncode == 0
    assert "20 events lost: gave_up" in done.stderr
    assert "Traceback" not in done.stderr
    assert collector.project.server_key not in done.stderr


def test_all_clients_of_a_process_that_ends_wait_at_the_same_time(door: Door, collector: Collector) -> None:
    door.is_silent = True
    begun = time.monotonic()
    done = run("track.py", door.endpoint, collector.project.server_key, "many", CATCHMENT_CLIENT_LOG="warning")
    assert done.returncode == 0
    assert done.stderr.count("lost: gave_up") == 11
    assert time.monotonic() - begun < 11 * 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("hooks", ["with-hooks", "without-hooks"])
def test_forks_send_their_own_events_once_and_leave_the_parent_its_own(
    collector: Collector, door: Door, hooks: str
) -> None:
    # newer Pythons warn of forks beside threads: those of the programs that fork all the same are meant here
    done = run(
        "fork.py", door.endpoint, collector.project.server_key, hooks, PYTHONWARNINGS="ignore::DeprecationWarning"
    )
    assert (done.returncode, done.stderr) == (0, "")
    children = ["worker0", "worker1", "multiprocessing", "inner0", "inner50", "inner100", "inner150"]
    expected: list[Any] = ["connected", "connected-too", *numbered("parent", 10), *numbered("busy", 200)]
    for child in children:
        expected += [*numbered(child, 10), f"{child}-sent"]
    assert collector.ids() == sorted(expected)

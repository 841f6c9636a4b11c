"""Plugins that block the event loop, end it, or write to a pipe that nobody reads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from ..support.plugins import install_plugin
from ..support.running import Installation, Project, Serving
from ..support.waiting import wait_until

_PLUGIN = """
import asyncio, sys, time
from catchment.plugins.hooks import hookimpl

async def leave():
    sys.exit(3)

@hookimpl
def catchment_validate(event):
    loop = asyncio.get_running_loop()
    if event.name == "blocks":
        print("blocks", file=sys.stderr)
        time.sleep(3600)
    if event.name == "prints":
        for _ in range(100):
            print(1000 * "x")
    if event.name == "exits in a task":
        loop.create_task(leave())
    if event.name == "exits in a callback":
        loop.call_soon(sys.exit, 3)
    if event.name == "stops the loop":
        loop.stop()
"""


@pytest.fixture
def misbehaving(installation: Installation, tmp_path: Path) -> Installation:
    """An installation with a plugin that does what the event's name says."""
    return Installation(installation.dsn, installation.folder, install_plugin(tmp_path / "site", "bad", _PLUGIN))


@contextlib.contextmanager
def posted(server: Serving, project: Project, name: str) -> Iterator[None]:
    """Post an event whose answer nobody waits for."""

    def post() -> None:
        with contextlib.suppress(OSError, HTTPException):
            server.post(project.event(event_name=name))

    thread = threading.Thread(target=post)
    thread.start()
    try:
        yield
    finally:
        server.end()
        thread.join()


@pytest.mark.parametrize("name", ["exits in a task", "exits in a callback", "stops the loop"])
def test_a_plugin_that_ends_the_event_loop_does_not_end_the_server(
    misbehaving: Installation, project: Project, name: str
) -> None:
    with misbehaving.serving() as server:
        assert server.post(project.event(event_name=name)).code == "stored"
        assert server.post(project.event()).code == "stored"
        wait_until(lambda: "it goes on" in server.log.read_text(), "the log says it")
        assert server.stop() == 0


def test_a_plugin_that_prints_waits_for_nobody_who_reads_it(misbehaving: Installation, project: Project) -> None:
    with misbehaving.serving() as server:  # whose standard output is a pipe that nobody reads here
        assert server.post(project.event(event_name="prints")).code == "stored"
        assert server.post(project.event()).code == "stored"
        assert server.stop() == 0


def test_a_server_whose_plugin_never_returns_ends_when_it_is_told_to(
    misbehaving: Installation, project: Project
) -> None:
    with misbehaving.serving(HTTP__DRAIN_SECONDS="0.1") as server, posted(server, project, "blocks"):
        wait_until(lambda: "blocks" in server.log.read_text(), "the event loop stands still")
        assert server.stop() == 1

"""A writer that ends by an error of its own: the process must end, non-zero, and leave no request without an answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ..support.waiting import wait_until
from .rig import Rig
from .server import Server

_BROKEN = """
import asyncio, os
from catchment.adapters.postgres.batch_writer import PostgresWriter
from catchment.plugins.hooks import hookimpl

write = PostgresWriter.write

async def dies(writer, requests, *, deadline):
    if os.path.exists(__file__ + ".die"):
        await asyncio.sleep(0.5)  # meanwhile others queue up
        raise RuntimeError("an error that nobody thought of")
    return await write(writer, requests, deadline=deadline)

PostgresWriter.write = dies

@hookimpl
def catchment_validate(event):
    return None
"""


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Once this file is there, the first commit of every writer raises."""
    folder = tmp_path / "site"
    about = folder / "broken-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "broken.py").write_text(_BROKEN, encoding="utf-8")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[catchment]\nbroken = broken\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    return folder / "broken.py.die"


def test_a_server_whose_writers_die_answers_what_waits_and_ends(rig: Rig, broken: Path) -> None:
    server = rig.serve(COLLECT__DEADLINE=2, HTTP__DRAIN_SECONDS=4)
    load = rig.load(clients=64)  # so that not all of them are in the two groups that are written
    load.wait_for(50)
    broken.touch()
    assert server.ended(within=15) != 0
    broken.unlink()
    rig.serve()
    load.settle()
    rig.judge()
    assert not rig.book.unanswered
    assert '"critical"' in server.log_text()


def test_a_worker_whose_writers_die_is_replaced(rig: Rig, broken: Path) -> None:
    server: Server = rig.serve(COLLECT__DEADLINE=2, HTTP__DRAIN_SECONDS=4, workers=2)
    load = rig.load()
    load.wait_for(20)
    broken.touch()
    wait_until(lambda: "died: exit code 1" in server.log_text(), "a worker ends")
    broken.unlink()
    load.wait_for(20)
    load.settle()
    rig.judge()
    assert server.running

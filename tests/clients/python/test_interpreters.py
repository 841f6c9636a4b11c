"""The client on every Python of this machine, from 3.9 on, with nothing but the standard library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ...support.running import Collector
from .conftest import PROGRAMS
from .door import Door

SOURCE = Path(__file__).resolve().parents[3] / "clients" / "python" / "src"
VERSIONS = [f"3.{minor}" for minor in range(9, 16)]


def find(version: str) -> str | None:
    """An interpreter of this version: this one, one of the path's, or one of pyenv's."""
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return sys.executable
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    of_pyenv = sorted(root.glob(f"versions/{version}.*/bin/python"))
    for candidate in [*map(str, of_pyenv), shutil.which(f"python{version}")]:
        if candidate is not None:
            done = subprocess.run([candidate, "-S", "-c", ""], capture_output=True, check=False)
            if done.returncode == 0:  # a shim of pyenv's may be there without what it stands for
                return candidate
    return None


@pytest.mark.parametrize("version", VERSIONS)
def test_it_works_on_this_version(collector: Collector, door: Door, version: str) -> None:
    interpreter = find(version)
    if interpreter is None:
        pytest.skip(f"this machine has no Python {version}")
    done = subprocess.run(
        [
            interpreter,
            "-S",
            "-B",
            "-W",
            "error",
            str(PROGRAMS / "everything.py"),
            door.endpoint,
            collector.project.server_key,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    said = "catchment_client: 1 event taken with a warning: cut event_data (cut to 2000 characters)\n"
    assert (done.returncode, done.stderr) == (0, said)
    ways = ["async-sent", "async-tracked", "at-exit", "sent", "tracked"]
    assert collector.ids() == [f"{version}-{way}" for way in ways]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("version", VERSIONS)
def test_it_bears_forks_on_this_version(collector: Collector, door: Door, version: str) -> None:
    interpreter = find(version)
    if interpreter is None:
        pytest.skip(f"this machine has no Python {version}")
    done = subprocess.run(
        [interpreter, "-S", "-B", str(PROGRAMS / "fork.py"), door.endpoint, collector.project.server_key],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "ignore::DeprecationWarning"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(collector.ids()) == 289


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("version", VERSIONS)
def test_it_bears_a_fork_in_the_midst_of_an_answer_on_this_version(version: str) -> None:
    interpreter = find(version)
    if interpreter is None:
        pytest.skip(f"this machine has no Python {version}")
    done = subprocess.run(
        [interpreter, "-S", "-B", str(PROGRAMS / "reading.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "ignore::DeprecationWarning"},
    )
    assert (done.returncode, done.stderr) == (0, "")

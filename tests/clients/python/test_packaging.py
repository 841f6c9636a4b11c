"""The client is a distribution of its own: typed, without dependencies, apart from the server."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
SOURCE = CHECKOUT / "clients" / "python"
PACKAGE = SOURCE / "src" / "catchment_client"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy: a build leaves files beside what it builds."""
    source = tmp_path_factory.mktemp("source") / "python"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    target = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(target.glob("catchment_client-*.whl"))


def test_the_wheel_holds_the_package_its_types_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        said = BytesParser().parsebytes(archive.read(metadata))
        information = metadata.rpartition("/")[0]
        assert archive.read(f"{information}/licenses/LICENSE") == (CHECKOUT / "LICENSE").read_bytes()
    files = {f"catchment_client/{file.name}" for file in PACKAGE.iterdir() if file.name != "__pycache__"}
    assert "catchment_client/py.typed" in files
    assert {name for name in names if not name.startswith(information)} == files
    assert said["Name"] == "catchment-client"
    assert said["License-Expression"] == "Apache-2.0"
    assert said["Requires-Python"] == ">=3.9"
    assert said.get_all("Requires-Dist") is None
    assert "catchment-client" in said.get_payload()


def test_the_wheel_imports_alone(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
        (version,) = (name.split("-")[1] for name in archive.namelist() if name.endswith("METADATA"))
    script = """
import sys
sys.path.insert(0, sys.argv[1])
import catchment_client, catchment_client.testing
assert catchment_client.__file__.startswith(sys.argv[1]), catchment_client.__file__
print(catchment_client.__version__, *sorted(name for name in sys.modules if name.startswith("catchment.")))
"""
    # -S: nothing but the standard library is there
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [version.removesuffix(".dist")]


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("*.py")), ids=lambda file: file.name)
def test_it_imports_only_the_standard_library(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    # what only type checkers read is no dependency
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body.clear()
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add((node.module or "").split(".")[0])
    assert imported - sys.stdlib_module_names == set()


def test_it_runs_nothing_at_import() -> None:
    script = """
import asyncio, atexit, concurrent.futures.thread, http.client, logging, socket, ssl, threading, urllib.request
made = []
atexit.register = socket.socket.connect = threading.Thread.start = lambda *arguments: made.append(arguments)
import catchment_client
assert made == [], made
assert threading.active_count() == 1
"""
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

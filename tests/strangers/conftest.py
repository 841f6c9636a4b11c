"""A database and servers for each test, as the fault suite has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..faults import postgres, processes
from ..faults.postgres import Cluster, NoPostgres
from ..faults.rig import Rig, prepare
from ..support.running import Project

_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker("faults")


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[Cluster, tuple[Project, Project]]]:
    try:
        with postgres.cluster() as made:
            yield made, prepare(made)
    except NoPostgres as error:
        pytest.skip(str(error))


@pytest.fixture
def rig(cluster: tuple[Cluster, tuple[Project, Project]], tmp_path: Path) -> Iterator[Rig]:
    """A database of the test's own; the test ends in bounded time."""
    rig = Rig(*cluster, tmp_path)
    try:
        with processes.at_most(600):
            yield rig
    finally:
        rig.close()

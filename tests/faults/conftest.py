"""Fixtures of the fault suite: one cluster a session, one `Rig` a test, and a bounded time for each test."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from . import postgres, processes
from .postgres import Cluster, NoPostgres
from .rig import Rig, Site, prepare

_HERE = Path(__file__).parent
_SECONDS = 90.0
_PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker("faults")


@pytest.fixture(autouse=True)
def bounded(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test hangs: `@pytest.mark.at_most(seconds)` where it may take longer."""
    marker = request.node.get_closest_marker("at_most")
    with processes.at_most(marker.args[0] if marker else _SECONDS):
        yield


@pytest.fixture(scope="session")
def whole_cluster() -> Iterator[tuple[Cluster, tuple[Site, Site]]]:
    try:
        with postgres.cluster() as cluster:
            yield cluster, prepare(cluster)
    except NoPostgres as error:
        pytest.skip(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report


@pytest.fixture
def rig(
    whole_cluster: tuple[Cluster, tuple[Site, Site]], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Rig]:
    """A database of the test's own, and what it takes to hurt it."""
    cluster, sites = whole_cluster
    cluster.heal()
    rig = Rig(cluster, sites, tmp_path)
    try:
        yield rig
        assert rig.judged or not request.node.stash.get(_PASSED, False), "the test did not ask the oracle: rig.judge()"
    finally:
        rig.close()

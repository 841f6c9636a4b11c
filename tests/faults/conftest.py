"""Fixtures of the fault suite: one cluster a session, one `Rig` a test, and a bounded time for each test."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from ..support.running import Project
from . import postgres, processes
from .book import Book
from .postgres import Cluster, NoPostgres
from .rig import KILLS, Rig, prepare

_HERE = Path(__file__).parent
_SECONDS = 90.0
_PASSED = pytest.StashKey[bool]()
_BOOKS = pytest.StashKey[dict[str, Book]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_BOOKS] = {}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What the senders of the longest tests have in their books, and those of all together."""
    books = config.stash[_BOOKS]
    if not books:
        return
    terminalreporter.section("what the senders noted")
    for name in sorted(books, key=lambda one: len(books[one].acknowledged), reverse=True)[:5]:
        terminalreporter.line(f"{name}: {books[name]}")
    acknowledged = sum(len(book.acknowledged) for book in books.values())
    terminalreporter.line(f"{acknowledged} events acknowledged in {len(books)} tests ({KILLS} kills in a crash loop)")


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
def whole_cluster() -> Iterator[tuple[Cluster, tuple[Project, Project]]]:
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
    whole_cluster: tuple[Cluster, tuple[Project, Project]], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Rig]:
    """A database of the test's own, and what it takes to hurt it."""
    cluster, sites = whole_cluster
    cluster.heal()
    rig = Rig(cluster, sites, tmp_path)
    try:
        yield rig
        assert rig.judged or not request.node.stash.get(_PASSED, False), "the test did not ask the oracle: rig.judge()"
        request.config.stash[_BOOKS][request.node.name] = rig.book
    finally:
        rig.close()

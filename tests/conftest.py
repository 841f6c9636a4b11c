"""Fixtures for all tests: PostgreSQL servers for the session, databases for a test."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from .support.database import Database, NoSystemPostgres, Server, embedded_postgres, system_postgres

# No chance in tests: each run tries the same examples. `make fuzz` looks for new ones.
hypothesis.settings.register_profile("catchment", deadline=None, derandomize=True)
hypothesis.settings.load_profile("catchment")

_BROWSER = "tests/browser/"
_ASYNC_TIMEOUT = 60.0
"""Seconds, after which an asynchronous test hangs for sure; pytest-tornado's own 5 are few on a busy machine."""


def pytest_configure(config: pytest.Config) -> None:
    # Else Tornado, which asks for the current event loop, is given one that was made for it and that nobody closes.
    asyncio.set_event_loop(None)
    config.option.async_test_timeout = max(config.option.async_test_timeout, _ASYNC_TIMEOUT)
    # A shell that runs the tests in the background, and nohup, let them ignore these signals. So would the servers.
    for number in (signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class _ByFileOrBrowser(LoadScopeScheduling):
    """Shares the tests out among processes: those of a file stay together, and those of a browser, which runs in one
    process alone."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        if not file.startswith(_BROWSER):
            return file
        return next((kind for kind in ("chromium", "firefox") if f"[{kind}" in test or f"-{kind}" in test), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _ByFileOrBrowser(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(_BROWSER))


@pytest.fixture(scope="session")
def embedded_server() -> Iterator[Server]:
    """The embedded PostgreSQL."""
    with embedded_postgres() as server:
        server.prepare()
        yield server


@pytest.fixture(scope="session")
def system_server() -> Iterator[Server]:
    """The machine's own PostgreSQL; skips where it has none."""
    try:
        with system_postgres() as server:
            server.prepare()
            yield server
    except NoSystemPostgres as error:
        pytest.skip(str(error))


@pytest.fixture(params=["embedded", "system"])
def server(request: pytest.FixtureRequest) -> Server:
    """Every PostgreSQL there is."""
    return request.getfixturevalue(f"{request.param}_server")


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """A migrated, empty database, on every PostgreSQL there is."""
    with server.copy() as database:
        yield database


@pytest.fixture
def embedded_database(embedded_server: Server) -> Iterator[Database]:
    """A migrated, empty database on the embedded PostgreSQL: where one PostgreSQL is enough."""
    with embedded_server.copy() as database:
        yield database

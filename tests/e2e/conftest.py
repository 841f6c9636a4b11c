"""Installations on every PostgreSQL there is, and servers on them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..support.database import Database, Server
from ..support.running import Installation, Project, Serving


@dataclass(frozen=True, slots=True)
class Shared:
    """What tests share that take a project of their own: a database, and a server with one worker on it."""

    database: Database
    installation: Installation
    server: Serving


@pytest.fixture(scope="session")
def shared_by_all(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Shared]]:
    """Starts what is shared on one PostgreSQL when the first test asks for it."""
    for name in ("embedded", "system"):  # started first, so that they end last
        with contextlib.suppress(pytest.skip.Exception):
            request.getfixturevalue(f"{name}_server")
    with contextlib.ExitStack() as stack:

        @functools.cache
        def start(name: str) -> Shared:
            postgres: Server = request.getfixturevalue(f"{name}_server")
            database = stack.enter_context(postgres.copy())
            installation = Installation(database.dsn, tmp_path_factory.mktemp("shared"))
            return Shared(database, installation, stack.enter_context(installation.serving()))

        yield start


@pytest.fixture(params=["embedded", "system"])
def shared_parts(request: pytest.FixtureRequest, shared_by_all: Callable[[str], Shared]) -> Shared:
    """What is shared, on every PostgreSQL there is."""
    return shared_by_all(request.param)


@pytest.fixture
def shared_database(shared_parts: Shared) -> Database:
    """The database of the shared server."""
    return shared_parts.database


@pytest.fixture
def shared(shared_parts: Shared) -> Installation:
    """The installation of the shared server."""
    return shared_parts.installation


@pytest.fixture
def shared_server(shared_parts: Shared) -> Serving:
    """A server with one worker."""
    return shared_parts.server


@pytest.fixture
def shared_project(shared: Installation) -> Project:
    """A project of one test's own, in the shared installation."""
    return shared.project()


@pytest.fixture
def installation(embedded_database: Database, tmp_path: Path) -> Installation:
    """An installation of one test's own, where one PostgreSQL is enough."""
    return Installation(embedded_database.dsn, tmp_path)


@pytest.fixture
def project(installation: Installation) -> Project:
    """The project of the test's own installation."""
    return installation.project()

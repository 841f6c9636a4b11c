"""Installations on every PostgreSQL there is, and servers on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.database import Database, Server
from .running import Installation, Project, Serving


@pytest.fixture(scope="session", params=["embedded", "system"])
def postgres(request: pytest.FixtureRequest) -> Server:
    """Every PostgreSQL there is, one after the other."""
    server: Server = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture(scope="session")
def shared_database(postgres: Server) -> Iterator[Database]:
    """A database for all tests that take a project of their own."""
    with postgres.copy() as database:
        yield database


@pytest.fixture(scope="session")
def shared(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An installation for all tests that take a project of their own."""
    return Installation(shared_database.dsn, tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def shared_server(shared: Installation) -> Iterator[Serving]:
    """A server with one worker."""
    with shared.serving() as server:
        yield server


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

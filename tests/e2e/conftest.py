"""Installations, and servers on them."""

from __future__ import annotations

from collections.abc import Iterator
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
def shared_parts(embedded_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """What is shared. On one PostgreSQL: what differs between two is tried by the tests of the adapter."""
    with embedded_server.copy() as database:
        installation = Installation(database.dsn, tmp_path_factory.mktemp("shared"))
        with installation.serving() as server:
            yield Shared(database, installation, server)


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

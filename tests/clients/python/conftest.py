"""A server with a project of the test's own, ways to reach it, and clients that are closed at the end."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from catchment.core.keys import make_key
from catchment.core.project import KeyKind
from catchment_client import Client

from ...support.database import Database, Server
from ...support.running import Collector, Installation, Serving
from .door import Door
from .stub import Stub

KEY = make_key(KeyKind.SERVER, bytes(32))


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, and nothing of the client's, from the machine's environment."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("CATCHMENT_CLIENT_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def client_database(embedded_server: Server) -> Iterator[Database]:
    """A database for all tests that take a project of their own."""
    with embedded_server.copy() as database:
        yield database


@pytest.fixture(scope="session")
def client_installation(client_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(client_database.dsn, tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="session")
def client_server(client_installation: Installation) -> Iterator[Serving]:
    """A server for all tests that let it live."""
    with client_installation.serving() as server:
        yield server


@pytest.fixture
def collector(client_database: Database, client_installation: Installation, client_server: Serving) -> Collector:
    """The server, and a project of the test's own."""
    return Collector(client_database, client_installation, client_installation.project(), client_server)


@pytest.fixture
def door(client_server: Serving) -> Iterator[Door]:
    """The way to the server."""
    with contextlib.closing(Door()) as door:
        door.target = client_server.port
        yield door


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A server that says what the test wants."""
    with contextlib.closing(Stub()) as stub:
        yield stub


@pytest.fixture
def make_client() -> Iterator[Callable[..., Client]]:
    """Makes clients that go quickly, and closes them at the end."""
    clients: list[Client] = []

    def make(endpoint: str, key: str = KEY, **options: Any) -> Client:
        client = Client(endpoint, key, **{"linger": 0.01, **options})
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close(0)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between attempts are short, where the server does not ask for longer ones."""
    monkeypatch.setattr("catchment_client._backoff.LONGEST", 0.05)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All that the client logs."""
    caplog.set_level(logging.DEBUG, "catchment_client")
    return caplog


PROGRAMS = Path(__file__).parent / "programs"

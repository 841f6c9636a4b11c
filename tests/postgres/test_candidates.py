"""Where the database is: names are looked up beside the event loop, and each address is tried."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg2.extensions import parse_dsn

from catchment.adapters.postgres.candidates import Lookups, candidates
from catchment.adapters.postgres.errors import NotConnected
from catchment.adapters.postgres.link import Link
from catchment.adapters.postgres.low_descriptors import LowDescriptors

from ..support.database import Database
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test

KNOWN = {"db.example": ["192.0.2.1", "2001:db8::1"], "standby.example": ["192.0.2.9"]}


class Told(Lookups):
    """A resolver that knows a few names."""

    async def addresses(self, name: str) -> list[str]:
        if name not in KNOWN:
            raise socket.gaierror(-2, "Name or service not known")
        return KNOWN[name]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "dbname=x",
        "postgresql:///x",
        "postgresql:///x?host=/run/postgresql",
        "host=@abstract",
        "postgresql://192.0.2.1:5432/x",
        "postgresql://[2001:db8::1]/x",
        "postgresql://db.example/x?hostaddr=192.0.2.7",
        "host=db.example service=mine",
        "host=db.example,standby.example,third port=1,2",
        "what is this",
    ],
)
async def test_what_needs_no_look_up_or_is_in_doubt_is_left_to_the_driver(dsn: str) -> None:
    assert await candidates(dsn, Told()) == [{}]


@pytest.mark.parametrize(("name", "value"), [("PGHOSTADDR", "192.0.2.7"), ("PGSERVICE", "mine"), ("PGPORT", "1,2")])
async def test_the_environment_can_make_it_doubtful(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert await candidates("postgresql://db.example/x", Told()) == [{}]


async def test_a_host_of_the_environment_is_left_to_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example")
    assert await candidates("dbname=x", Told()) == [{}]


async def test_each_address_of_a_name_is_a_place_and_the_name_stays() -> None:
    """TLS verifies the name (`sslmode=verify-full`), and the password file is read by it."""
    assert await candidates("postgresql://db.example:5433/x?sslmode=verify-full", Told()) == [
        {"host": "db.example", "port": "5433", "hostaddr": "192.0.2.1"},
        {"host": "db.example", "port": "5433", "hostaddr": "2001:db8::1"},
    ]
    assert await candidates("host=standby.example", Told()) == [{"host": "standby.example", "hostaddr": "192.0.2.9"}]


async def test_each_of_several_hosts_is_a_place() -> None:
    assert await candidates("postgresql://standby.example:1,192.0.2.2:2,[::1]:3/x", Told()) == [
        {"host": "standby.example", "port": "1", "hostaddr": "192.0.2.9"},
        {"host": "192.0.2.2", "port": "2"},
        {"host": "::1", "port": "3"},
    ]
    assert await candidates("host=/run/postgresql,standby.example", Told()) == [
        {"host": "/run/postgresql"},
        {"host": "standby.example", "hostaddr": "192.0.2.9"},
    ]


async def test_a_port_of_the_environment_counts_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "5433")
    assert [one["port"] for one in await candidates("host=db.example,192.0.2.2", Told())] == ["5433"] * 3


async def test_a_name_that_is_not_known_is_passed_over_unless_it_is_the_last_hope() -> None:
    assert await candidates("host=gone.example,192.0.2.2", Told()) == [{"host": "192.0.2.2"}]
    with pytest.raises(OSError, match="not known"):
        await candidates("host=gone.example,gone.too.example", Told())


# the resolver


@pytest.fixture
def mute(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A resolver that does not answer; the threads in which it was asked."""
    asked: list[str] = []
    answer = threading.Event()

    def getaddrinfo(host: bytes, *rest: Any, **more: Any) -> list[Any]:
        asked.append(threading.current_thread().name)
        answer.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield asked
    answer.set()


async def test_a_mute_resolver_stops_nobody_and_is_asked_once(mute: list[str]) -> None:
    link = Link("postgresql://db.example/x", name="test", timeout=0.3, descriptors=LowDescriptors(0))
    for _ in range(3):
        turning = asyncio.create_task(asyncio.sleep(0.01))
        with pytest.raises(NotConnected, match="looking up"):
            await link.run("heartbeat")
        assert turning.done()
    assert mute == ["look up db.example"]


async def test_an_answer_that_nobody_waits_for_any_more_is_taken(mute: list[str]) -> None:
    lookups = Lookups()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await lookups.addresses("db.example")
    (running,) = lookups._running.values()
    running.get_loop().call_soon(lookups._answer, "db.example", socket.gaierror(-2, "not known"))
    await eventually(lambda: not lookups._running, "it was answered")


@pytest.fixture
def unknown(monkeypatch: pytest.MonkeyPatch) -> str:
    """A name that is not known. Some resolvers take long to say so, or never do."""
    getaddrinfo = socket.getaddrinfo

    def answer(host: bytes, *rest: Any, **more: Any) -> list[Any]:
        if host == b"nothing.invalid":
            raise socket.gaierror(-2, "Name or service not known")
        return getaddrinfo(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return "nothing.invalid"


async def test_a_name_is_looked_up(unknown: str) -> None:
    assert set(await Lookups().addresses("localhost")) <= {"127.0.0.1", "::1"}
    with pytest.raises(socket.gaierror):
        await Lookups().addresses(unknown)


# the next candidate


@pytest.mark.usefixtures("unknown")
@pytest.mark.parametrize("first", ["/nowhere", "127.0.0.1", "localhost", "nothing.invalid"])
async def test_where_nobody_is_the_next_place_is_tried(database: Database, first: str) -> None:
    """Also where the refusal comes later: aiopg goes on watching a socket that is closed then."""
    parts = parse_dsn(database.dsn)
    dsn = f"host={first},{parts['host']} port=1,5432 user={parts['user']} dbname={parts['dbname']}"
    link = Link(dsn, name="test", timeout=5, descriptors=LowDescriptors(0))
    assert await link.run("heartbeat") == [(1,)]
    link.drop()


async def test_a_place_that_does_not_answer_takes_its_share_of_the_time(database: Database) -> None:
    parts = parse_dsn(database.dsn)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        dsn = f"host=127.0.0.1,{parts['host']} port={silent.getsockname()[1]},5432 user=postgres dbname=postgres"
        link = Link(dsn, name="test", timeout=2, descriptors=LowDescriptors(0))
        assert await link.run("heartbeat") == [(1,)]
        link.drop()

"""A network and a server that fail, in front of the real database: every event exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from catchment_client import AsyncClient, Client, Lost, Receipt, Unavailable

from ...support.database import Database
from ...support.running import Collector, Installation
from ...support.waiting import wait_until
from .door import Door

MakeClient = Callable[..., Client]
pytestmark = pytest.mark.usefixtures("quick_retries")


@pytest.fixture
def open_door() -> Iterator[Door]:
    """A way to no server yet."""
    with contextlib.closing(Door()) as door:
        yield door


def test_a_server_that_is_killed_and_comes_back_has_every_event_once(
    collector: Collector, open_door: Door, make_client: MakeClient, log: pytest.LogCaptureFixture
) -> None:
    # Three starts of a server may take a slow machine a minute: the queue has room for that.
    client = make_client(
        open_door.endpoint, collector.project.server_key, timeout=5, batch_events=20, queue_events=100_000
    )
    tracked: list[str] = []
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            tracked.append(client.track("Ping"))
            time.sleep(0.005)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(3):
            with collector.installation.serving() as server:
                open_door.target = server.port
                before = len(collector.ids())
                wait_until(lambda before=before: len(collector.ids()) > before, "the client gets through")
                for one in server.workers():
                    one.kill()
                server.process.kill()
                server.process.wait(30)
            so_far = len(tracked)
            wait_until(lambda so_far=so_far: len(tracked) > so_far, "more is tracked while nobody listens")
    finally:
        is_over.set()
        worker.join(30)
    with collector.installation.serving() as server:
        open_door.target = server.port
        assert client.flush(60)
    assert collector.ids() == sorted(tracked)
    assert client.losses == {}
    assert client.pending == 0
    assert "trying again, with the same ids" in log.text
    assert "the server answers again" in log.text


def test_answers_that_are_swallowed_double_nothing(collector: Collector, door: Door, make_client: MakeClient) -> None:
    receipts: list[Receipt] = []
    client = make_client(door.endpoint, collector.project.server_key, on_receipt=receipts.append)
    door.to_swallow = 3
    tracked = [client.track("Ping") for _ in range(30)]
    assert client.flush(30)
    assert door.swallowed == 3
    assert collector.ids() == sorted(tracked)
    assert sorted(receipt.event_id for receipt in receipts) == sorted(tracked)
    assert {receipt.outcome for receipt in receipts} <= {"stored", "duplicate"}
    assert "duplicate" in {receipt.outcome for receipt in receipts}


def test_send_survives_a_swallowed_answer(collector: Collector, door: Door, make_client: MakeClient) -> None:
    client = make_client(door.endpoint, collector.project.server_key)
    door.to_swallow = 1
    receipt = client.send("Ping", event_id="once", timeout=30)
    assert receipt.outcome == "duplicate"
    assert collector.ids() == ["once"]


def test_send_says_when_there_is_no_answer_and_the_same_id_makes_it_safe(
    collector: Collector, door: Door, make_client: MakeClient
) -> None:
    client = make_client(door.endpoint, collector.project.server_key)
    door.is_silent = True
    with pytest.raises(Unavailable) as caught:
        client.send("Ping", timeout=0.5)
    assert caught.value.reason == "timeout"
    wait_until(lambda: collector.ids() == [caught.value.event_id], "it is stored, however slow the disk is")
    door.is_silent = False
    door.cut()
    assert client.send("Ping", event_id=caught.value.event_id).outcome == "duplicate"
    door.target = None
    door.cut()
    with pytest.raises(Unavailable, match="network"):
        client.send("Ping", timeout=2)


def test_a_connection_that_was_closed_while_idle_costs_no_attempt(
    collector: Collector, door: Door, make_client: MakeClient, log: pytest.LogCaptureFixture
) -> None:
    client = make_client(door.endpoint, collector.project.server_key)
    tracked = []
    for _ in range(3):
        tracked.append(client.track("Ping"))
        assert client.flush(30)
        door.cut()
    assert collector.ids() == sorted(tracked)
    assert "trying again" not in log.text


def test_an_answer_that_never_comes_is_asked_for_again(
    collector: Collector, door: Door, make_client: MakeClient
) -> None:
    client = make_client(door.endpoint, collector.project.server_key, timeout=0.3)
    door.is_silent = True
    event_id = client.track("Ping")
    wait_until(lambda: door.held >= 2, "it was asked for twice")
    assert not client.flush(0.01)
    assert client.pending == 1
    door.is_silent = False
    assert client.flush(30)
    assert collector.ids() == [event_id]


def test_a_database_that_is_down_delays_and_loses_nothing(
    embedded_database: Database, tmp_path: Path, open_door: Door, make_client: MakeClient
) -> None:
    installation = Installation(embedded_database.dsn, tmp_path)
    project = installation.project()
    key = installation.json("key", "create", project.id, "--kind", "server")["key"]
    name = embedded_database.one("SELECT current_database()")
    admin = embedded_database.beside("postgres")
    with installation.serving(COLLECT__DEADLINE="1") as server:
        open_door.target = server.port
        client = make_client(open_door.endpoint, key)
        tracked = [client.track("Before")]
        assert client.flush(30)
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)
        tracked += [client.track("While") for _ in range(20)]
        with pytest.raises(Unavailable) as caught:
            client.send("Now", timeout=0.5)
        assert caught.value.reason in ("unavailable", "commit_unknown", "timeout")
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert client.flush(60)
    rows = embedded_database.execute("SELECT event_id FROM catchment.event WHERE name <> 'Now' ORDER BY event_id")
    assert [event_id for (event_id,) in rows] == sorted(tracked)


def test_closing_while_the_server_is_gone_ends_in_time_and_counts_what_is_lost(
    collector: Collector, door: Door, make_client: MakeClient, log: pytest.LogCaptureFixture
) -> None:
    errors: list[Any] = []
    client = make_client(door.endpoint, collector.project.server_key, on_error=errors.append)
    first = client.track("Ping")
    assert client.flush(30)
    door.target = None
    door.cut()
    lost = [client.track("Ping") for _ in range(5)]
    assert client.close(0.3) is False
    assert client.losses == {"gave_up": 5}
    assert client.pending == 0
    assert [(type(error), error.reason) for error in errors] == [(Lost, "gave_up")] * 5
    assert sorted(error.event_id for error in errors) == sorted(lost)
    assert "5 events lost: gave_up" in log.text
    assert collector.ids() == [first]
    client.track("Ping")
    assert client.losses == {"gave_up": 5, "closed": 1}


def test_closing_while_an_answer_is_held_back_ends_in_time(
    collector: Collector, door: Door, make_client: MakeClient
) -> None:
    client = make_client(door.endpoint, collector.project.server_key, timeout=60)
    door.is_silent = True
    event_id = client.track("Ping")
    wait_until(lambda: door.held, "the answer is held back")
    assert client.close(0.2) is False
    assert client.losses == {"gave_up": 1}
    assert collector.ids() == [event_id]


def test_closing_waits_for_a_server_that_comes_back(
    collector: Collector, door: Door, client_server: Any, make_client: MakeClient
) -> None:
    client = make_client(door.endpoint, collector.project.server_key)
    door.target = None
    tracked = [client.track("Ping") for _ in range(5)]
    wait_until(lambda: door.connections >= 2, "it was tried twice")
    closing = threading.Thread(target=client.close, args=(60,))
    closing.start()
    tried = door.connections
    wait_until(lambda: door.connections > tried, "it tries while it is being closed")
    door.target = client_server.port
    closing.join(60)
    assert collector.ids() == sorted(tracked)
    assert client.losses == {}


def test_the_asynchronous_client_bears_the_same(collector: Collector, door: Door, client_server: Any) -> None:
    async def work() -> None:
        client = AsyncClient(door.endpoint, collector.project.server_key, linger=0.01)
        door.to_swallow = 2
        assert (await client.send("Ping", event_id="a", timeout=30)).is_stored
        client.track("Ping", event_id="b")
        assert await client.flush(30)
        door.target = None
        door.cut()
        with pytest.raises(Unavailable):
            await client.send("Ping", timeout=0.2)
        client.track("Ping", event_id="c")
        assert not await client.flush(0.1)
        door.target = client_server.port
        assert await client.flush(30)
        assert await client.close(30)
        assert collector.ids() == ["a", "b", "c"]

    asyncio.run(work())


def test_cancelling_an_asynchronous_call_leaves_the_client_working(collector: Collector, door: Door) -> None:
    async def work() -> None:
        client = AsyncClient(door.endpoint, collector.project.server_key, linger=0.01)
        door.is_silent = True
        sending = asyncio.ensure_future(client.send("Ping", event_id="a", timeout=60))
        while not door.held:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        client.track("Ping", event_id="b")
        flushing = asyncio.ensure_future(client.flush(None))
        await asyncio.sleep(0)
        flushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await flushing
        door.is_silent = False
        door.cut()
        assert await client.flush(30)
        assert (await client.send("Ping", event_id="a")).outcome == "duplicate"
        assert await client.close(30)
        assert collector.ids() == ["a", "b"]

    asyncio.run(work())


def test_cancelling_an_asynchronous_close_gives_up_at_once(collector: Collector, door: Door) -> None:
    async def work() -> None:
        client = AsyncClient(door.endpoint, collector.project.server_key, linger=0.01)
        door.is_silent = True
        client.track("Ping")
        closing = asyncio.ensure_future(client.close(60))
        while not door.held:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert client.losses == {"gave_up": 1}

    asyncio.run(work())

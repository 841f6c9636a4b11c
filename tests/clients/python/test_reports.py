"""What is lost: reported to the server as far as that can be, told by `flush`, and to `on_error` without harm."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from catchment_client import AsyncClient, Client, Lost

from ...support.running import Collector
from ...support.waiting import wait_until
from .door import Door
from .stub import Asked, Says, Stub, problem, stores

MakeClient = Callable[..., Client]
LARGE = {"text": ["x" * 2000] * 40}


def reported(collector: Collector) -> dict[str, int]:
    """What the server was told of this project's losses."""
    said = collector.installation.json("losses", "--project", collector.project.id)
    return {one["reason"]: one["events"] for one in said}


@pytest.mark.parametrize("end", ["close", "flush"])
def test_what_is_lost_after_the_last_batch_is_reported(
    collector: Collector, door: Door, make_client: MakeClient, end: str
) -> None:
    client = make_client(door.endpoint, collector.project.server_key)
    event_id = client.track("Ping")
    assert client.flush(30)
    client.track("Large", LARGE)
    client.track("Large", LARGE)
    assert (client.close(30) if end == "close" else client.flush(30)) is False
    assert reported(collector) == {"too_large": 2}
    assert client.close(30)
    assert reported(collector) == {"too_large": 2}
    assert collector.ids() == [event_id]


def test_an_asynchronous_client_reports_at_its_end_what_it_lost(collector: Collector, door: Door) -> None:
    async def work() -> None:
        async with AsyncClient(door.endpoint, collector.project.server_key) as client:
            client.track("Large", LARGE)

    asyncio.run(work())
    assert reported(collector) == {"too_large": 1}


def test_more_than_one_report_holds_is_reported_by_several(
    stub: Stub, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catchment_client._losses.MOST", 2)
    stub.answer = lambda asked: stores(asked, losses="recorded")
    client = make_client(stub.endpoint, event_bytes=10)
    for _ in range(5):
        client.track("Large")
    assert client.close(30) is False
    assert [asked.body["losses"]["counts"] for asked in stub.asked] == [{"too_large": n} for n in (2, 2, 1)]
    assert [asked.ids for asked in stub.asked] == [[], [], []]


@pytest.mark.parametrize(
    "says",
    [problem(503, "unavailable", Retry_After="60"), Says(403, b"<h1>no</h1>"), problem(401, "unknown_key")],
    ids=lambda says: says.status,
)
def test_a_report_that_is_not_taken_holds_up_no_flush_and_comes_with_the_next_batch(
    stub: Stub, make_client: MakeClient, says: Says
) -> None:
    stub.answer = lambda asked: says
    client = make_client(stub.endpoint, event_bytes=100)
    client.track("Large", LARGE)
    assert client.flush(30) is False
    assert len(stub.asked) == 1
    assert client.close(30)
    ids = {asked.body["losses"]["id"] for asked in stub.asked}
    assert len(ids) == 1


def test_a_report_that_the_server_refuses_is_not_repeated(
    stub: Stub, make_client: MakeClient, log: pytest.LogCaptureFixture
) -> None:
    stub.answer = lambda asked: stores(asked, losses="refused") if "losses" in asked.body else stores(asked)
    client = make_client(stub.endpoint, event_bytes=1000)
    client.track("Large", LARGE)
    assert client.flush(30) is False
    for _ in range(2):
        client.track("Ping")
        assert client.flush(30)
    assert ["losses" in asked.body for asked in stub.asked] == [True, False, False]
    assert "will not record what was lost" in log.text


def test_a_dry_run_and_a_closed_client_report_nothing(stub: Stub, make_client: MakeClient) -> None:
    dry = make_client(stub.endpoint, dry_run=True, event_bytes=10)
    dry.track("Large")
    assert dry.close(30) is False
    client = make_client(stub.endpoint)
    assert client.close(30)
    client.track("Late")
    assert client.flush(30) is False
    assert client.close(30)
    assert client.losses == {"closed": 1}
    assert stub.asked == []


def test_closing_ends_in_time_though_nobody_takes_the_report(
    collector: Collector, door: Door, make_client: MakeClient
) -> None:
    client = make_client(door.endpoint, collector.project.server_key, event_bytes=10, timeout=60)
    door.is_silent = True
    client.track("Large")
    assert client.close(0.3) is False
    assert client.losses == {"too_large": 1}


def test_a_flush_says_that_events_were_lost_once(stub: Stub, make_client: MakeClient) -> None:
    go_on = threading.Event()

    def answer(asked: Asked) -> Says:
        go_on.wait(30)
        return stores(asked, losses="recorded")

    stub.answer = answer
    client = make_client(stub.endpoint, queue_events=3)
    for _ in range(5):
        client.track("Ping")
    go_on.set()
    assert client.flush(30) is False
    assert client.losses == {"queue_full": 2}
    client.track("Ping")
    assert client.flush(30) is True
    assert client.close(30) is True


# callbacks


def test_what_is_lost_at_once_is_told_by_track_itself(stub: Stub, make_client: MakeClient) -> None:
    told: list[tuple[str, str]] = []

    def on_error(error: Any) -> None:
        told.append((threading.current_thread().name, error.reason))

    client = make_client(stub.endpoint, event_bytes=1000, on_error=on_error)
    stub.answer = lambda asked: problem(401, "unknown_key")
    client.track("Large", LARGE)
    client.track("Ping")
    client.flush(30)
    assert told == [(threading.current_thread().name, "too_large"), ("catchment-client", "unknown_key")]


@pytest.mark.parametrize("reason", ["queue_full", "too_large", "closed"])
def test_a_callback_that_tracks_in_turn_comes_to_an_end(stub: Stub, make_client: MakeClient, reason: str) -> None:
    go_on = threading.Event()

    def answer(asked: Asked) -> Says:
        go_on.wait(30)
        return stores(asked)

    stub.answer = answer
    told: list[Any] = []

    def on_error(error: Any) -> None:
        told.append(error)
        client.track("EventLost", {"reason": error.reason, "text": "x" * 100})

    client = make_client(
        stub.endpoint, queue_events=1, event_bytes=10 if reason == "too_large" else 1000, on_error=on_error
    )
    if reason == "queue_full":
        client.track("Ping")
    if reason == "closed":
        client.close(0)
    event_id = client.track("Ping")
    assert [(type(error), error.event_id, error.reason) for error in told] == [(Lost, event_id, reason)]
    assert client.losses == {reason: 2}
    go_on.set()


def test_a_callback_that_ends_its_thread_does_not_end_the_deliveries(
    stub: Stub, make_client: MakeClient, log: pytest.LogCaptureFixture
) -> None:
    def on_receipt(receipt: Any) -> None:
        raise errors.pop() if errors else RuntimeError

    errors: list[BaseException] = [SystemExit(), asyncio.CancelledError(), GeneratorExit()]
    client = make_client(stub.endpoint, on_receipt=on_receipt)
    for _ in range(4):
        client.track("Ping")
        assert client.flush(30)
    wait_until(lambda: "a callback raised CancelledError" in log.text, "it is logged")
    assert len(stub.ids) == 4

"""What the client makes of answers that the real server is hard to bring to: asked of a stub."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from catchment_client import AsyncClient, Client, ClientClosed, Lost, Receipt, Refused, Unavailable

from ...support.waiting import wait_until
from .conftest import KEY
from .stub import Asked, Says, Stub, problem, stores

MakeClient = Callable[..., Client]


def test_requests_carry_the_key_in_their_header_alone(stub: Stub, make_client: MakeClient) -> None:
    client = make_client(f"{stub.endpoint}/stats/", linger=5)
    client.track("Small")
    assert client.flush(30)
    client.track("Large", {"text": "x" * 10_000})
    assert client.flush(30)
    client.send("Now")
    small, large, now = stub.asked
    assert [asked.path for asked in stub.asked] == ["/stats/v1/batch", "/stats/v1/batch", "/stats/v1/events"]
    assert {asked.headers["authorization"] for asked in stub.asked} == {f"Bearer {KEY}"}
    assert {asked.headers["content-type"] for asked in stub.asked} == {"application/json"}
    assert "content-encoding" not in small.headers
    assert large.headers["content-encoding"] == "gzip"
    assert KEY not in str([asked.body for asked in stub.asked])
    assert set(now.body) == {"event_name", "eventId", "timestamp"}
    assert stub.connections == 2


def test_events_wait_a_moment_for_others_and_a_flush_does_not(stub: Stub, make_client: MakeClient) -> None:
    client = make_client(stub.endpoint, linger=3600)
    tracked = [client.track("Ping") for _ in range(10)]
    assert stub.asked == []
    assert client.flush(30)
    assert [asked.ids for asked in stub.asked] == [tracked]


def test_a_full_batch_does_not_wait(stub: Stub, make_client: MakeClient) -> None:
    client = make_client(stub.endpoint, linger=3600, batch_events=5)
    tracked = [client.track("Ping") for _ in range(10)]
    wait_until(lambda: len(stub.asked) == 2, "two batches are sent")
    assert stub.ids == tracked
    many = make_client(stub.endpoint, linger=3600, batch_bytes=10_000)
    for _ in range(3):
        many.track("Ping", {"text": "x" * 3000})
    wait_until(lambda: len(stub.asked) == 3, "a batch is sent for its bytes")


def test_no_request_is_larger_than_a_batch_may_be(stub: Stub, make_client: MakeClient) -> None:
    client = make_client(stub.endpoint, linger=3600, queue_bytes=100_000_000)
    for _ in range(100):
        client.track("Large", {"text": ["x" * 2000] * 31})
    for _ in range(3000):
        client.track("Small")
    assert client.flush(60)
    assert len(stub.ids) == len(set(stub.ids)) == 3100
    assert max(asked.size for asked in stub.asked) <= 2 * 1024 * 1024
    assert max(asked.size for asked in stub.asked) > 1024 * 1024
    assert max(len(asked.ids) for asked in stub.asked) == 1000


@pytest.mark.parametrize(
    "says",
    [
        problem(503, "unavailable"),
        problem(503, "commit_unknown"),
        problem(429, "rate_limited"),
        Says(502, b"<h1>Bad Gateway</h1>"),
        Says(404, b"<h1>not here</h1>"),
        Says(403, {"code": "forbidden", "type": "about:blank"}),
        Says(408, b""),
        Says(301, b"", (("Location", "https://elsewhere.example/"),)),
        Says(200, b"<h1>Please log in</h1>"),
        Says(200, {"results": []}),
        Says(200, {"results": [{"index": 0, "outcome": "lost"}]}),
        Says(200, {"results": [{"index": 1, "outcome": "stored"}]}),
        Says(200, [1]),
        Says(200, b"[" * 100_000),
    ],
    ids=lambda says: f"{says.status}-{str(says.body)[:30]}",
)
@pytest.mark.usefixtures("quick_retries")
def test_what_is_not_a_final_answer_is_tried_again_with_the_same_id(
    stub: Stub, make_client: MakeClient, says: Says
) -> None:
    receipts: list[Receipt] = []
    client = make_client(stub.endpoint, on_receipt=receipts.append, on_error=receipts.append)
    stub.answer = lambda asked: says if len(stub.asked) < 3 else stores(asked)
    event_id = client.track("Ping")
    assert client.flush(30)
    assert [asked.ids for asked in stub.asked] == [[event_id]] * 3
    assert [(receipt.event_id, receipt.outcome) for receipt in receipts] == [(event_id, "stored")]
    stub.asked.clear()
    assert client.send("Ping", timeout=30).outcome == "stored"
    assert len(stub.asked) == 3
    assert len(set(stub.ids)) == 1


@pytest.mark.parametrize("code", ["unknown_key", "project_disabled", "unsupported_media_type", "not_found", "new_one"])
def test_a_problem_in_catchment_s_words_is_final_for_all_its_events(
    stub: Stub, make_client: MakeClient, log: pytest.LogCaptureFixture, code: str
) -> None:
    errors: list[Any] = []
    client = make_client(stub.endpoint, linger=5, on_error=errors.append)
    stub.answer = lambda asked: problem(403, code)
    tracked = [client.track("Ping") for _ in range(3)]
    assert client.flush(30)
    assert len(stub.asked) == 1
    assert [(type(error), error.event_id, error.reason) for error in errors] == [
        (Refused, one, code) for one in tracked
    ]
    assert f"3 events refused: {code}" in log.text
    with pytest.raises(Refused, match=f"{code}: D"):
        client.send("Ping")


def test_some_events_of_a_batch_are_tried_again_alone(stub: Stub, make_client: MakeClient, quick_retries: None) -> None:
    def answer(asked: Asked) -> Says:
        says = stores(asked)
        if len(stub.asked) == 1 and isinstance(says.body, dict):
            says.body["results"][1].update(outcome="refused", reason="unavailable")
        return says

    stub.answer = answer
    client = make_client(stub.endpoint, linger=5)
    tracked = [client.track("Ping") for _ in range(3)]
    assert client.flush(30)
    assert [asked.ids for asked in stub.asked] == [tracked, tracked[1:2]]


def test_retry_after_is_respected(stub: Stub, make_client: MakeClient, quick_retries: None) -> None:
    """By the time between the requests: not less than what was asked for. It may be any more."""
    times: list[float] = []
    seconds = "1"

    def answer(asked: Asked) -> Says:
        times.append(time.monotonic())
        return problem(503, "unavailable", Retry_After=seconds) if len(times) == 1 else stores(asked)

    stub.answer = answer
    client = make_client(stub.endpoint)
    client.track("Ping")
    assert client.flush(30)
    assert times[1] - times[0] >= 1
    times.clear()
    assert client.send("Ping", timeout=30).outcome == "stored"
    assert times[1] - times[0] >= 1
    times.clear()
    seconds = "60"  # longer than the call may take
    with pytest.raises(Unavailable, match="unavailable"):
        client.send("Ping", timeout=30)
    assert len(times) == 1


@pytest.mark.parametrize("says", [problem(413, "too_large"), Says(413, b"<h1>too large</h1>")], ids=["house", "proxy"])
def test_what_is_too_large_is_sent_in_parts_and_the_next_batches_are_as_large_as_what_passed(
    stub: Stub, make_client: MakeClient, says: Says
) -> None:
    client = make_client(stub.endpoint, linger=3600)
    stub.answer = lambda asked: says if len(asked.ids) > 10 else stores(asked)
    tracked = [client.track("Ping") for _ in range(80)]
    assert client.flush(30)
    assert sorted(one for asked in stub.asked for one in asked.ids if len(asked.ids) <= 10) == sorted(tracked)
    assert len(stub.asked) == 15
    stub.asked.clear()
    for _ in range(10):
        client.track("Ping")
    assert client.flush(30)
    assert [len(asked.ids) for asked in stub.asked] == [10]
    # and grow when larger ones pass again
    stub.answer = stores
    for _ in range(1000):
        client.track("Ping")
    assert client.flush(30)
    stub.asked.clear()
    for _ in range(1000):
        client.track("Ping")
    assert client.flush(30)
    assert max(len(asked.ids) for asked in stub.asked) > 250


def test_one_event_that_is_too_large_is_refused_alone_and_makes_no_batch_smaller(
    stub: Stub, make_client: MakeClient
) -> None:
    errors: list[Any] = []
    client = make_client(stub.endpoint, linger=3600, on_error=errors.append)
    stub.answer = lambda asked: problem(413, "too_large") if "Giant" in str(asked.body) else stores(asked)
    for _ in range(250):
        client.track("Ping")
    giant = client.track("Giant")
    for _ in range(250):
        client.track("Ping")
    assert client.flush(30)
    assert [(type(error), error.event_id, error.reason) for error in errors] == [(Refused, giant, "too_large")]
    assert len(stub.asked) <= 1 + 2 * 9
    stub.asked.clear()
    tracked = [client.track("Ping") for _ in range(500)]
    assert client.flush(30)
    assert [asked.ids for asked in stub.asked] == [tracked]


def test_one_event_that_spoils_a_batch_is_refused_alone_and_makes_no_batch_smaller(
    stub: Stub, make_client: MakeClient
) -> None:
    errors: list[Any] = []
    client = make_client(stub.endpoint, linger=3600, on_error=errors.append)
    stub.answer = lambda asked: problem(400, "invalid_json") if "Poison" in str(asked.body) else stores(asked)
    for _ in range(20):
        client.track("Ping")
    poison = client.track("Poison")
    for _ in range(20):
        client.track("Ping")
    assert client.flush(30)
    assert [(error.event_id, error.reason) for error in errors] == [(poison, "invalid_json")]
    assert len(stub.asked) <= 1 + 2 * 6
    stub.asked.clear()
    tracked = [client.track("Ping") for _ in range(100)]
    assert client.flush(30)
    assert [asked.ids for asked in stub.asked] == [tracked]


def test_a_full_queue_counts_what_it_can_t_take_and_says_so_with_the_next_batch(
    stub: Stub, make_client: MakeClient, log: pytest.LogCaptureFixture
) -> None:
    errors: list[Any] = []
    go_on = threading.Event()

    def answer(asked: Asked) -> Says:
        go_on.wait(30)
        return stores(asked, losses="recorded") if "losses" in asked.body else stores(asked)

    stub.answer = answer
    client = make_client(stub.endpoint, queue_events=10, on_error=errors.append, linger=60)  # a flush sends them
    tracked = [client.track("Ping") for _ in range(25)]
    assert client.losses == {"queue_full": 15}
    assert client.pending == 10
    assert [(type(error), error.event_id, error.reason) for error in errors] == [
        (Lost, one, "queue_full") for one in tracked[10:]
    ]
    go_on.set()
    assert client.flush(30) is False
    assert sorted(set(stub.ids)) == sorted(tracked[:10])
    client.track("Ping")
    assert client.flush(30)
    (reported,) = [asked.body["losses"] for asked in stub.asked if "losses" in asked.body]
    assert reported["counts"] == {"queue_full": 15}
    assert isinstance(reported["id"], str)
    assert client.losses == {"queue_full": 15}
    assert "lost: queue_full" in log.text


@pytest.mark.usefixtures("quick_retries")
def test_losses_are_repeated_under_their_id_until_they_are_recorded(stub: Stub, make_client: MakeClient) -> None:
    """A server that does not know the member answers without it: that does no harm."""
    client = make_client(stub.endpoint, event_bytes=1000, linger=3600)
    client.track("Large", {"text": "x" * 1000})
    for is_answered in (False, True):
        client.track("Ping")
        assert client.flush(30) is is_answered
    client.track("Large", {"text": "x" * 1000})
    answers = iter([problem(503, "unavailable"), None])
    stub.answer = lambda asked: next(answers, None) or stores(asked, losses="recorded")
    for is_answered in (False, True, True):
        client.track("Ping")
        assert client.flush(30) is is_answered
    said = [asked.body.get("losses") for asked in stub.asked]
    assert client.losses == {"too_large": 2}
    first, second = said[0], said[4]
    assert said == [first, first, first, first, second, None, None]
    assert [len(asked.ids) for asked in stub.asked] == [1, 1, 1, 1, 0, 1, 1]
    assert first["counts"] == second["counts"] == {"too_large": 1}
    assert first["id"] != second["id"]


def test_memory_is_bounded_by_bytes_too(stub: Stub, make_client: MakeClient) -> None:
    go_on = threading.Event()

    def answer(asked: Asked) -> Says:
        go_on.wait(30)
        return stores(asked)

    stub.answer = answer
    client = make_client(stub.endpoint, queue_bytes=100_000)
    for _ in range(1000):
        client.track("Large", {"text": "x" * 1000})
    assert 50 < client.pending < 100
    assert client.losses["queue_full"] == 1000 - client.pending
    kept = client.pending
    go_on.set()
    assert client.flush(30) is False
    assert len(stub.ids) == kept


def test_send_tries_for_as_long_as_it_may(stub: Stub, make_client: MakeClient) -> None:
    client = make_client(stub.endpoint)
    stub.answer = lambda asked: problem(503, "unavailable")
    for _ in range(5):  # it was chance that decided how early it gave up
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            client.send("Ping", timeout=0.6)
        assert time.monotonic() - begun > 0.5


def test_a_last_try_that_the_time_cuts_off_does_not_hide_what_is_wrong(stub: Stub, make_client: MakeClient) -> None:
    go_on = threading.Event()
    client = make_client(stub.endpoint)

    def answer(asked: Asked) -> Says:
        if len(stub.asked) > 1:
            go_on.wait(30)
        return problem(503, "unavailable")

    stub.answer = answer
    with pytest.raises(Unavailable) as caught:
        client.send("Ping", timeout=3)
    go_on.set()
    assert caught.value.reason == "unavailable"
    assert len(stub.asked) > 1


@pytest.mark.usefixtures("quick_retries")
def test_what_is_too_old_is_dropped_and_counted(stub: Stub, make_client: MakeClient) -> None:
    errors: list[Any] = []
    client = make_client(stub.endpoint, max_age=0.2, on_error=errors.append)
    stub.answer = lambda asked: problem(503, "unavailable")
    event_id = client.track("Ping")
    assert client.flush(30) is False
    assert client.losses == {"expired": 1}
    assert [(error.event_id, error.reason) for error in errors] == [(event_id, "expired")]
    assert set(stub.ids) == {event_id}


def test_callbacks_that_raise_or_wait_hurt_nobody(
    stub: Stub, make_client: MakeClient, log: pytest.LogCaptureFixture
) -> None:
    flushed: list[bool] = []

    def callback(receipt: Receipt) -> None:
        flushed.append(client.flush(None))
        raise RuntimeError(f"hush {receipt}")

    client = make_client(stub.endpoint, on_receipt=callback)
    for _ in range(3):
        client.track("Ping")
        assert client.flush(30)
    assert flushed == [False] * 3
    assert "a callback raised RuntimeError" in log.text
    assert "hush" not in log.text


def test_a_callback_may_close_the_client(stub: Stub, make_client: MakeClient) -> None:
    closed: list[bool] = []
    client = make_client(stub.endpoint, on_receipt=lambda receipt: closed.append(client.close()))
    client.track("Ping")
    wait_until(lambda: closed, "the callback is through")
    with pytest.raises(ClientClosed):
        wait_until(lambda: client.close() and client.send("Ping"), "the client is closed")


def test_a_fault_of_our_own_delays_and_loses_nothing(
    stub: Stub, make_client: MakeClient, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from catchment_client import _answers

    real, faults = _answers.read_batch, iter([KeyError("hush"), MemoryError("hush")])

    def read_batch(*arguments: Any) -> Any:
        for fault in faults:
            raise fault
        return real(*arguments)

    monkeypatch.setattr(_answers, "read_batch", read_batch)
    client = make_client(stub.endpoint)
    event_id = client.track("Ping")
    assert client.flush(30)
    assert stub.ids == [event_id] * 3
    assert "KeyError" in log.text
    assert "hush" not in log.text


def test_closing_twice_and_using_a_closed_client(stub: Stub, make_client: MakeClient) -> None:
    with make_client(stub.endpoint) as client:
        client.track("Ping")
    assert len(stub.ids) == 1
    assert client.close()
    assert client.flush()
    event_id = client.track("Late")
    assert event_id not in stub.ids
    assert client.losses == {"closed": 1}
    with pytest.raises(ClientClosed):
        client.send("Late")


def test_closing_does_not_sit_out_a_long_wait(
    stub: Stub, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catchment_client._backoff.FIRST", 1e9)
    monkeypatch.setattr("catchment_client._backoff.LONGEST", 1e9)
    stub.answer = lambda asked: problem(503, "unavailable") if len(stub.asked) < 3 else stores(asked)
    client = make_client(stub.endpoint)
    event_id = client.track("Ping")
    wait_until(lambda: stub.asked, "it was tried once")
    assert client.close(30)
    assert stub.ids == [event_id] * 3


def test_an_answer_that_comes_after_the_end_changes_nothing(stub: Stub, make_client: MakeClient) -> None:
    go_on = threading.Event()

    def answer(asked: Asked) -> Says:
        go_on.wait(30)
        return stores(asked)

    stub.answer = answer
    told: list[Any] = []
    client = make_client(stub.endpoint, on_receipt=told.append, on_error=told.append)
    before = named("catchment-client")
    event_id = client.track("Ping")
    (sender,) = named("catchment-client") - before
    wait_until(lambda: stub.asked, "it is being sent")
    assert client.close(0.1) is False
    go_on.set()
    sender.join(30)
    assert [(type(one), one.event_id, one.reason) for one in told] == [(Lost, event_id, "gave_up")]
    assert (client.pending, client.losses) == (0, {"gave_up": 1})


def test_a_cancelled_task_makes_no_further_attempt(stub: Stub) -> None:
    stub.answer = lambda asked: problem(503, "unavailable", Retry_After="60")
    before = named("catchment-client-send_0")

    async def work() -> None:
        async with AsyncClient(stub.endpoint, KEY) as client:
            sending = asyncio.ensure_future(client.send("Ping", timeout=3600))
            while not stub.asked:  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.01)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending

    asyncio.run(work())
    wait_until(lambda: named("catchment-client-send_0") <= before, "the thread that sent has ended")
    assert len(stub.asked) == 1


def test_an_asynchronous_send_that_waited_for_its_turn_too_long_says_so(stub: Stub) -> None:
    go_on = threading.Event()

    def answer(asked: Asked) -> Says:
        go_on.wait(30)
        return stores(asked)

    stub.answer = answer

    async def work() -> None:
        async with AsyncClient(stub.endpoint, KEY) as client:
            first = [asyncio.ensure_future(client.send("Ping", timeout=30)) for _ in range(8)]
            while len(stub.asked) < 8:  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.01)
            late = asyncio.ensure_future(client.send("Late", timeout=0.001))
            await asyncio.sleep(0)
            over = time.monotonic() + 0.001
            while time.monotonic() <= over:  # noqa: ASYNC110 - a time, not an event
                await asyncio.sleep(0)
            go_on.set()
            assert {(await one).outcome for one in first} == {"stored"}
            with pytest.raises(Unavailable, match="timeout"):
                await late

    asyncio.run(work())
    assert [asked.body["event_name"] for asked in stub.asked] == ["Ping"] * 8


def named(name: str) -> set[threading.Thread]:
    """The living threads of this name."""
    return {thread for thread in threading.enumerate() if thread.name == name}

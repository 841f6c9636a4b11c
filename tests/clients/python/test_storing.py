"""What a client says is stored is stored: against the real server, asserting on rows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from catchment.core.keys import fingerprint, make_key, sign_id
from catchment.core.project import KeyKind
from catchment_client import AsyncClient, Client, Receipt, Refused, Unavailable, sign_event_id

from ...support.running import Collector
from .door import Door

MakeClient = Callable[..., Client]


def test_a_tracked_event_is_stored_with_all_its_fields(
    collector: Collector, door: Door, make_client: MakeClient
) -> None:
    client = make_client(door.endpoint, collector.project.server_key)
    happened = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=timezone(timedelta(hours=2)))
    event_id = client.track(
        "Invoice",
        {"value": Decimal("12.50"), "category": "paid", "due": date(2026, 2, 1), "lines": ["ä", {"n": 2**70}]},
        user_id=42,
        session_id="s-1",
        url="https://anywhere.example/invoices/17",
        ip="8.8.8.8",
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        language="de-CH",
        timestamp=happened,
        event_id="invoice-17",
        page_title="Invoice",
        referrer="https://referrer.example/",
    )
    assert event_id == "invoice-17"
    assert client.flush(30)
    expected = {
        "name": "Invoice",
        "value": 12.5,
        "category": "paid",
        "data": {"due": "2026-02-01", "lines": ["ä", {"n": 2**70}]},
        "user_id": "42",
        "session_id": "s-1",
        "url": "https://anywhere.example/invoices/17",
        "page_path": "/invoices/17",
        "page_title": "Invoice",
        "ip": "8.8.8.0",
        "country": "US",
        "browser": "Firefox",
        "referrer_host": "referrer.example",
        "occurred_at": happened,
        "language": "de-CH",
    }
    row = collector.row("invoice-17")
    assert {column: row[column] for column in expected} == expected


def test_an_event_without_anything_has_an_id_that_sorts_and_the_time_of_its_call(
    collector: Collector, door: Door, make_client: MakeClient
) -> None:
    client = make_client(door.endpoint, collector.project.server_key)
    before = datetime.now(UTC)
    first = client.track("Ping")
    after = datetime.now(UTC)
    assert client.flush(30)
    assert UUID(first).version == 7
    assert before <= collector.row(first)["occurred_at"] <= after


def test_data_changed_after_the_call_is_stored_as_it_was(
    collector: Collector, door: Door, make_client: MakeClient
) -> None:
    client = make_client(door.endpoint, collector.project.server_key, linger=5)
    data = {"state": "before"}
    event_id = client.track("Change", data)
    data["state"] = "after"
    assert client.flush(30)
    assert collector.row(event_id)["data"] == {"state": "before"}


def test_send_returns_the_receipt_of_a_row_that_is_there(
    collector: Collector, door: Door, make_client: MakeClient
) -> None:
    client = make_client(door.endpoint, collector.project.server_key)
    receipt = client.send("SignUp", {"text": "x" * 3000}, event_id="a", session_id="s")
    assert collector.ids() == ["a"]
    assert (receipt.outcome, receipt.event_id, receipt.session_id, receipt.reason) == ("stored", "a", "s", None)
    (warning,) = receipt.warnings
    assert (warning.code, warning.field) == ("cut", "event_data.text")
    again = client.send("SignUp", event_id="a")
    assert (again.outcome, again.is_stored) == ("duplicate", True)
    assert collector.ids() == ["a"]


def test_send_raises_what_the_server_refuses_with_its_reason(
    collector: Collector, door: Door, make_client: MakeClient
) -> None:
    client = make_client(door.endpoint, collector.project.server_key)
    with pytest.raises(Refused) as caught:
        client.send("Bad", url="javascript:alert(1)", event_id="b")
    refused = caught.value
    assert (refused.reason, refused.event_id, list(refused.receipt.errors)) == ("invalid_event", "b", ["url"])
    assert collector.ids() == []


def test_one_refused_event_hurts_no_other_and_every_one_has_its_receipt(
    collector: Collector, door: Door, make_client: MakeClient, log: pytest.LogCaptureFixture
) -> None:
    receipts: list[Receipt] = []
    errors: list[Any] = []
    client = make_client(
        door.endpoint, collector.project.server_key, linger=5, on_receipt=receipts.append, on_error=errors.append
    )
    client.track("Good", event_id="1")
    client.track("Bad", {"secret": "hush"}, event_id="2", url="not an address", user_id="hush")
    client.track("Good", event_id="3")
    client.track("Good", event_id="3")
    deep: dict[str, Any] = {}
    for _ in range(70):
        deep = {"deeper": deep}
    client.track("TooDeep", deep, event_id="4")
    assert client.flush(30)
    outcomes = sorted((receipt.event_id, receipt.outcome, receipt.reason) for receipt in receipts)
    assert outcomes == [
        ("1", "stored", None),
        ("2", "refused", "invalid_event"),
        ("3", "duplicate", None),
        ("3", "stored", None),
        ("4", "refused", "invalid_json"),
    ]
    assert {(type(error), error.event_id, error.reason) for error in errors} == {
        (Refused, "2", "invalid_event"),
        (Refused, "4", "invalid_json"),
    }
    assert collector.ids() == ["1", "3"]
    assert client.losses == {}
    assert "1 event refused: invalid_event (url)" in log.text
    assert "hush" not in log.text
    assert collector.project.server_key not in log.text


@pytest.mark.parametrize("key", ["nobody's", "a browser's letters"])
def test_a_wrong_key_is_said_and_ends_in_no_endless_retrying(
    collector: Collector, door: Door, make_client: MakeClient, key: str
) -> None:
    wrong = make_key(KeyKind.SERVER, key.ljust(32).encode())
    errors: list[Any] = []
    client = make_client(door.endpoint, wrong, on_error=errors.append)
    client.track("Ping")
    client.track("Ping")
    assert client.flush(30)
    assert [(type(error), error.reason) for error in errors] == [(Refused, "unknown_key")] * 2
    with pytest.raises(Refused, match="unknown_key"):
        client.send("Ping")
    assert collector.ids() == []


def test_a_check_says_whether_events_would_be_stored_and_stores_nothing(
    collector: Collector, door: Door, make_client: MakeClient
) -> None:
    assert (receipt := make_client(door.endpoint, collector.project.server_key).check()).outcome == "dry_run"
    assert receipt.would_be == "stored"

    async def check() -> Receipt:
        async with AsyncClient(door.endpoint, make_key(KeyKind.SERVER, bytes(32))) as client:
            return await client.check()

    with pytest.raises(Refused, match="unknown_key"):
        asyncio.run(check())
    with pytest.raises(Unavailable, match="connection refused"):
        make_client("http://127.0.0.1:9", collector.project.server_key).check(timeout=2)
    assert collector.ids() == []


def test_an_id_is_signed_as_the_server_checks_it(collector: Collector) -> None:
    assert sign_event_id("mail-17-alice", collector.project.server_key) == sign_id(
        "mail-17-alice", fingerprint(collector.project.server_key)
    )


def test_thirty_threads_lose_and_double_nothing(collector: Collector, door: Door, make_client: MakeClient) -> None:
    client = make_client(door.endpoint, collector.project.server_key, batch_events=97)
    ids: list[list[str]] = [[] for _ in range(30)]

    def work(mine: list[str]) -> None:
        mine.extend(client.track("Ping", {"n": n}) for n in range(100))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert client.flush(60)
    assert client.pending == 0
    assert collector.ids() == sorted(event_id for mine in ids for event_id in mine)
    assert door.connections == 1


def test_large_batches_are_packed_and_cut_at_the_server_s_limits(
    collector: Collector, door: Door, make_client: MakeClient
) -> None:
    client = make_client(door.endpoint, collector.project.server_key, linger=30)
    text = [chr(0x4E00 + n % 500) * 2000 for n in range(9)]
    ids = [client.track("Large", {"text": text, "n": n}) for n in range(60)]
    ids += [client.track("Small", {"n": n}) for n in range(2500)]
    assert client.flush(60)
    assert collector.ids() == sorted(ids)
    assert client.losses == {}
    assert collector.row(ids[7])["data"] == {"text": text, "n": 7}


def test_a_dry_run_stores_nothing_and_shows_the_row(collector: Collector, door: Door, make_client: MakeClient) -> None:
    receipts: list[Receipt] = []
    client = make_client(door.endpoint, collector.project.server_key, dry_run=True, on_receipt=receipts.append)
    receipt = client.send("SignUp", {"n": 1})
    assert (receipt.outcome, receipt.would_be) == ("dry_run", "stored")
    assert receipt.row is not None
    assert receipt.row["data"] == {"n": 1}
    refused = client.send("SignUp", url="nonsense")
    assert (refused.outcome, refused.would_be, refused.reason) == ("dry_run", "refused", "invalid_event")
    client.track("SignUp")
    assert client.flush(30)
    assert [one.would_be for one in receipts] == ["stored"]
    assert collector.ids() == []


def test_half_a_surrogate_pair_is_stored_as_the_server_mends_it(
    collector: Collector, door: Door, make_client: MakeClient
) -> None:
    client = make_client(door.endpoint, collector.project.server_key)
    receipt = client.send("Odd", {"text": "a\ud800b\x00c", "good": "\U0001f4a7"})
    assert [warning.code for warning in receipt.warnings] == ["characters_replaced"]
    assert collector.row(receipt.event_id)["data"] == {"text": "a\ufffdb\ufffdc", "good": "\U0001f4a7"}


def test_the_asynchronous_client_stores_and_answers_the_same(collector: Collector, door: Door) -> None:
    async def work() -> None:
        async with AsyncClient(door.endpoint, collector.project.server_key, linger=0.01) as client:
            tracked = [client.track("Ping", event_id=f"t-{n}") for n in range(50)]
            receipts = await asyncio.gather(*(client.send("Ping", event_id=f"s-{n}") for n in range(40)))
            assert {receipt.outcome for receipt in receipts} == {"stored"}
            assert await client.flush(30)
            assert client.pending == 0
            assert collector.ids() == sorted([*tracked, *(f"s-{n}" for n in range(40))])
            with pytest.raises(Refused, match="invalid_event"):
                await client.send("Bad", url="nonsense")
            client.track("Last", event_id="z")
        assert collector.ids()[-1] == "z"

    asyncio.run(work())


def test_an_asynchronous_client_outlives_its_loop(collector: Collector, door: Door) -> None:
    client = AsyncClient(door.endpoint, collector.project.server_key, linger=0.01)

    async def one(event_id: str) -> None:
        client.track("Ping", event_id=f"t-{event_id}")
        await client.send("Ping", event_id=event_id)

    asyncio.run(one("1"))
    asyncio.run(one("2"))
    asyncio.run(client.close())
    assert collector.ids() == ["1", "2", "t-1", "t-2"]

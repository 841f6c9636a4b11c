"""The pure parts: ids, events, waits, losses, settings. Without a server, a thread or a clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import given

import catchment_client
from catchment_client import Client, ConfigurationError, InvalidEvent, Receipt, Refused, Unavailable
from catchment_client._backoff import FIRST, LONGEST, delay, read_retry_after
from catchment_client._events import build
from catchment_client._ids import new_id
from catchment_client._logs import KINDS, Tally
from catchment_client._losses import MOST, Losses
from catchment_client._settings import Settings, read_endpoint, read_key
from catchment_client.testing import RecordingClient

from .conftest import KEY

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def test_the_public_names_are_these() -> None:
    assert sorted(catchment_client.__all__) == [
        "AsyncClient",
        "CatchmentError",
        "Client",
        "ClientClosed",
        "ConfigurationError",
        "EventWarning",
        "Fields",
        "InvalidEvent",
        "Lost",
        "Options",
        "Receipt",
        "Refused",
        "Unavailable",
        "sign_event_id",
    ]
    assert all(hasattr(catchment_client, name) for name in catchment_client.__all__)


def test_the_options_are_the_settings() -> None:
    assert set(catchment_client.Options.__annotations__) == set(Settings.__dataclass_fields__)


# ids


def test_ids_are_version_7_and_tell_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 0x0123_4567_89AB * 1_000_000 + 999_999)
    monkeypatch.setattr("os.urandom", lambda count: b"\xff" * count)
    assert new_id() == "01234567-89ab-7fff-bfff-ffffffffffff"
    monkeypatch.setattr("os.urandom", lambda count: b"\x00" * count)
    assert new_id() == "01234567-89ab-7000-8000-000000000000"


def test_ids_differ() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000


# events


def built(name: object = "Ping", data: object = None, **fields: object) -> Any:
    item = build(name, data, fields)
    event = json.loads(item.body)
    assert event["eventId"] == item.event_id
    return event


def test_arguments_become_the_fields_of_the_wire() -> None:
    event = built(
        "SignUp",
        MappingProxyType({"a": 1}),
        event_id=UUID(int=1),
        user_id=7,
        session_id="s",
        timestamp=NOON.astimezone(timezone(timedelta(hours=-3))),
        url="https://example.com/",
        page_title="T",
        page_path="/p",
        referrer="https://r.example/",
        ip=ip_address("2001:db8::1"),
        user_agent="UA",
        language="de-CH",
    )
    assert event == {
        "event_name": "SignUp",
        "event_data": {"a": 1},
        "eventId": "00000000-0000-0000-0000-000000000001",
        "userId": "7",
        "sessionId": "s",
        "timestamp": "2026-11-02T12:00:00.000000Z",
        "url": "https://example.com/",
        "page_title": "T",
        "page_path": "/p",
        "referrer": "https://r.example/",
        "ip": "2001:db8::1",
        "userAgent": "UA",
        "language": "de-CH",
    }


def test_an_enum_is_its_value() -> None:
    class Kind(str, Enum):  # noqa: UP042 - its str() is not its value
        PAID = "paid"

    class Number(IntEnum):
        ONE = 1

    event = built(Kind.PAID, {"kind": Kind.PAID, "number": Number.ONE}, event_id=Kind.PAID, user_id=Number.ONE)
    assert (event["event_name"], event["eventId"], event["userId"]) == ("paid", "paid", "1")
    assert event["event_data"] == {"kind": "paid", "number": 1}


def test_none_is_left_out() -> None:
    fields = dict.fromkeys(["event_id", "user_id", "session_id", "timestamp", "url", "ip", "user_agent"])
    assert set(built(**fields)) == {"event_name", "eventId", "timestamp"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("12.50"), 12.5),
        (Decimal("3.00"), 3),
        (Decimal("-0.1"), -0.1),
        (2**70, 2**70),
        (NOON, "2026-11-02T12:00:00+00:00"),
        (NOON.date(), "2026-11-02"),
        (NOON.time(), "12:00:00"),
        (UUID(int=2), "00000000-0000-0000-0000-000000000002"),
        ((1, 2), [1, 2]),
        (MappingProxyType({"b": 2}), {"b": 2}),
        ("ä\U0001f4a7", "ä\U0001f4a7"),
        ("\ud800", "\ud800"),
    ],
)
def test_data_becomes_json(value: object, expected: object) -> None:
    data = built(data={"v": value})["event_data"]
    assert data == {"v": expected}
    assert type(data["v"]) is type(expected)


def circle() -> dict[str, Any]:
    data: dict[str, Any] = {}
    data["self"] = data
    return data


def deep() -> dict[str, Any]:
    data: dict[str, Any] = {}
    for _ in range(100_000):
        data = {"d": data}
    return data


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("name", {"name": ""}),
        ("name", {"name": " \t"}),
        ("name", {"name": None}),
        ("name", {"name": 7}),
        ("data", {"data": [1]}),
        ("data", {"data": "text"}),
        ("data", {"data": {"v": {1, 2}}}),
        ("data", {"data": {"v": object()}}),
        ("data", {"data": {"v": b"bytes"}}),
        ("data", {"data": {"v": float("nan")}}),
        ("data", {"data": {"v": float("inf")}}),
        ("data", {"data": {"v": Decimal("NaN")}}),
        ("data", {"data": {"v": Decimal("1e1000")}}),
        ("data", {"data": {(1, 2): 3}}),
        ("data", {"data": circle()}),
        ("data", {"data": deep()}),
        ("event_id", {"event_id": 7}),
        ("event_id", {"event_id": " "}),
        ("event_id", {"event_id": "a\x00"}),
        ("event_id", {"event_id": "a\ud800"}),
        ("user_id", {"user_id": 1.5}),
        ("user_id", {"user_id": True}),
        ("session_id", {"session_id": 7}),
        ("url", {"url": 7}),
        ("ip", {"ip": 7}),
        ("timestamp", {"timestamp": 7}),
        ("timestamp", {"timestamp": datetime(2026, 1, 1)}),
        ("timestamp", {"timestamp": datetime.max.replace(tzinfo=timezone(timedelta(hours=-14)))}),
        ("userId", {"userId": "7"}),
    ],
)
def test_a_wrong_argument_is_said_at_once_without_its_value(field: str, arguments: dict[str, Any]) -> None:
    arguments = dict(arguments)
    with pytest.raises(InvalidEvent) as caught:
        build(arguments.pop("name", "Ping"), arguments.pop("data", None), arguments)
    assert caught.value.field == field
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith(f"{field}: ")
    assert "bytes'" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_whatever_json_holds_goes_round(data: dict[str, Any]) -> None:
    assert built(data=data)["event_data"] == data


# waits


@pytest.mark.parametrize(
    ("attempt", "longest"), [(1, FIRST), (2, 2 * FIRST), (3, 4 * FIRST), (10, LONGEST), (100_000, LONGEST)]
)
def test_waits_double_with_full_jitter_up_to_a_limit(attempt: int, longest: float) -> None:
    assert delay(attempt, None, lambda: 0.0) == 0.0
    assert delay(attempt, None, lambda: 1.0) == longest


def test_no_wait_is_shorter_than_the_server_asks_for() -> None:
    assert delay(1, 5.0, lambda: 0.0) == 5.0
    assert delay(1, 5.0, lambda: 1.0) == 5.0 + FIRST
    assert delay(1, 3600.0, lambda: 0.0) == 3600.0
    assert delay(1, 1e9, lambda: 0.0) == 3600.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("9" * 5000, 1e8),
        ("Mon, 02 Nov 2026 12:00:30 GMT", 30.0),
        ("Mon, 02 Nov 2026 11:00:00 GMT", 0.0),
        ("Mon, 99 Nov 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str | None, seconds: float | None) -> None:
    assert read_retry_after(text, NOON) == seconds


# losses


def test_losses_are_reported_under_one_id_until_they_are_recorded() -> None:
    losses = Losses()
    assert losses.report() is None
    losses.add("queue_full", 3)
    first = losses.report()
    losses.add("queue_full", 2)
    losses.add("expired", 1)
    assert losses.report() == first
    assert first is not None
    assert first["counts"] == {"queue_full": 3}
    losses.settled()
    second = losses.report()
    assert second is not None
    assert second["counts"] == {"queue_full": 2, "expired": 1}
    assert second["id"] != first["id"]
    losses.settled()
    assert losses.report() is None
    assert losses.total == {"queue_full": 5, "expired": 1}


def test_a_report_s_numbers_are_those_that_the_server_takes() -> None:
    losses = Losses()
    losses.add("queue_full", 2 * MOST + 1)
    counts = []
    while (report := losses.report()) is not None:
        counts.append(report["counts"])
        losses.settled()
    assert counts == [{"queue_full": MOST}, {"queue_full": MOST}, {"queue_full": 1}]


# settings


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://events.example.com", (True, "events.example.com", 443, "")),
        ("https://events.example.com/", (True, "events.example.com", 443, "")),
        ("http://localhost:8080", (False, "localhost", 8080, "")),
        ("https://example.com:8443/stats/", (True, "example.com", 8443, "/stats")),
        ("http://[::1]:8080", (False, "::1", 8080, "")),
    ],
)
def test_an_endpoint_is_the_server_s_address(endpoint: str, expected: tuple[object, ...]) -> None:
    assert read_endpoint(endpoint) == expected


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        None,
        7,
        "events.example.com",
        "ftp://events.example.com",
        "https://",
        "https://user:password@events.example.com",
        "https://events.example.com/?a=1",
        "https://events.example.com/#a",
        "https://events.example.com/v1",
        "https://events.example.com/v1/events",
        "https://events.example.com/stats/v1/batch/",
        "https://events.example.com:99999",
        "https://events.example.com\\@evil.example",
        "https://events.example.com/\r\nHost: evil",
        "https://bücher.example",
    ],
)
def test_a_wrong_endpoint_is_said_where_the_client_is_made(endpoint: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^endpoint: "):
        Client(endpoint, KEY)


@pytest.mark.parametrize(
    "key",
    [
        "",
        None,
        "pk_abcdef",
        "secret",
        "sk_",
        "sk_a b",
        "sk_a\r\nX: y",
        "sk_ä",
        "sk_nope",
        KEY[:-1],
        KEY + "0",
        KEY.swapcase(),
        f"sk_{'0' * 500}",
    ],
)
def test_a_wrong_key_is_said_without_showing_it(key: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^key: ") as caught:
        Client("https://events.example.com", key)
    assert not key or key in ("sk_", "secret") or key not in str(caught.value)
    assert read_key(KEY) == KEY


@pytest.mark.parametrize(
    "options",
    [{"timeout": 0}, {"timeout": -1}, {"linger": -1}, {"queue_events": "7"}, {"batch_events": 0}, {"max_age": True}],
)
def test_a_wrong_option_is_named(options: Mapping[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ConfigurationError, match=f"^{name}: "):
        Client("https://events.example.com", KEY, **options)


def test_a_client_that_is_not_strict_loses_what_is_wrong_and_says_so() -> None:
    errors: list[Any] = []
    client = RecordingClient(strict=False, on_error=errors.append)
    assert client.track("Ping", {"a": {1, 2}}, event_id="a") == "a"
    assert UUID(client.track("", None)).version == 7
    assert (client.losses, [error.reason for error in errors]) == ({"invalid": 2}, ["invalid", "invalid"])
    assert repr(client) == "<RecordingClient https://events.example.com, 0 pending, 2 lost>"
    with pytest.raises(InvalidEvent):
        client.send("")


def test_a_field_in_another_spelling_is_said_to_be_meant() -> None:
    for wrong, right in (("userId", "user_id"), ("event_data", "data"), ("sessionid", "session_id")):
        with pytest.raises(InvalidEvent, match=f"did you mean {right}"):
            build("Ping", None, {wrong: "x"})


def test_a_receipt_shows_what_there_is_to_say() -> None:
    assert repr(Receipt("stored", "a", session_id="s")) == "Receipt(outcome='stored', event_id='a', session_id='s')"


def test_a_tally_tells_only_so_many_kinds_apart(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally()
    for number in range(2 * KINDS):
        tally.warn("refused", f"reason {number}", 1)
    tally.finish()
    assert len(caplog.records) == KINDS + 2
    assert caplog.records[-1].getMessage() == f"{KINDS - 1} events refused: other reasons"


def test_an_unknown_option_is_a_type_error() -> None:
    options: Any = {"lingre": 1}
    with pytest.raises(TypeError, match="lingre"):
        Client("https://events.example.com", KEY, **options)


def test_neither_client_nor_error_shows_the_key() -> None:
    client = Client("https://events.example.com", KEY)
    assert repr(client) == "<Client https://events.example.com, 0 pending>"
    assert client.close()


@pytest.mark.parametrize(("said", "is_disabled"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_the_environment_can_disable(monkeypatch: pytest.MonkeyPatch, said: str, is_disabled: bool) -> None:
    monkeypatch.setenv("CATCHMENT_CLIENT_DISABLED", said)
    assert Settings().is_disabled is is_disabled
    assert Settings(disabled=False).is_disabled is False


def test_a_disabled_client_needs_no_configuration_and_still_checks_arguments() -> None:
    client = Client("", "", disabled=True)
    assert UUID(client.track("Ping")).version == 7
    receipt = client.send("Ping", event_id="a")
    assert (receipt.outcome, receipt.event_id, receipt.is_stored) == ("disabled", "a", False)
    with pytest.raises(InvalidEvent):
        client.track("")
    assert client.flush()
    assert client.close()
    assert (client.pending, client.losses) == (0, {})


# the test double


def test_a_recording_client_records() -> None:
    from catchment_client.testing import RecordingClient

    receipts: list[Any] = []
    errors: list[Any] = []
    client = RecordingClient(on_receipt=receipts.append, on_error=errors.append)
    assert isinstance(client, Client)
    client.track("Invoice", {"value": Decimal("12.5")}, user_id=42, event_id="a")
    assert client.send("SignUp").outcome == "stored"
    assert client.send("Invoice", event_id="a").outcome == "duplicate"
    (invoice,) = client.named("Invoice")
    assert (invoice.name, invoice.event_id, invoice.data, invoice.fields["userId"]) == (
        "Invoice",
        "a",
        {"value": 12.5},
        "42",
    )
    assert [event.name for event in client.events] == ["Invoice", "SignUp"]
    with pytest.raises(InvalidEvent):
        client.track("Invoice", {"v": object()})
    client.refusals["Bad"] = "quota_exceeded"
    client.track("Bad")
    with pytest.raises(Refused, match="quota_exceeded"):
        client.send("Bad")
    client.is_unavailable = True
    client.track("Lost")
    with pytest.raises(Unavailable):
        client.send("Lost")
    assert not client.flush()
    assert [error.reason for error in errors] == ["quota_exceeded", "gave_up"]
    assert [receipt.outcome for receipt in receipts] == ["stored"]
    client.clear()
    assert client.events == []
    client.close()


def test_an_asynchronous_recording_client_records() -> None:
    import asyncio

    from catchment_client.testing import AsyncRecordingClient

    async def work() -> None:
        async with AsyncRecordingClient() as client:
            client.track("Ping")
            assert (await client.send("Pong")).outcome == "stored"
            assert await client.flush()
            assert [event.name for event in client.events] == ["Ping", "Pong"]

    asyncio.run(work())

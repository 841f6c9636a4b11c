"""Fields of a wrong type, names too long or blank, times that are none, and urls that are no page's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .rows import Row, check_common, check_problem, check_refused, event, store, table
from .serving import CANARY, ORIGIN, PAGE, AuditedCollector

TEXTS = ("event_name", "eventId", "sessionId", "userId", "url", "page_title", "page_path", "referrer", "userAgent")
WRONG: dict[str, bytes] = {
    "a number": b"7",
    "a float": b"7.5",
    "a huge number": b"7" * 100,
    "true": b"true",
    "false": b"false",
    "an array": b"[]",
    "an array of a text": b'["' + CANARY.encode() + b'"]',
    "an object": b'{"' + CANARY.encode() + b'": 1}',
}


def refused(name: str, field: str, body: bytes, *, server: bool = False) -> Row:
    return Row(name=name, body=body, code="invalid_event", fields=frozenset({field}), server=server)


@table(
    refused(f"{field} is {name}", field, event(**{field: value}))
    for field in TEXTS
    for name, value in WRONG.items()
    if field not in ("sessionId", "userId") or "number" not in name  # which may be whole numbers
)
def test_a_text_of_a_wrong_type_is_refused(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


@table(
    refused(f"{field} is {name}", field, event(**{field: value}))
    for field, values in {
        "event_data": {"a text": b'"text"', "a number": b"7", "true": b"true", "an array": b"[0]"},
        "timestamp": {name: value for name, value in WRONG.items() if name != "a text"},
    }.items()
    for name, value in values.items()
)
def test_other_fields_of_a_wrong_type_are_refused(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


def test_all_that_is_wrong_is_said_at_once(site: AuditedCollector) -> None:
    fields: dict[str, Any] = {**dict.fromkeys(TEXTS, True), "event_data": [0], "timestamp": "soon"}
    with site.wire() as wire:
        problem = check_problem(site.ask(wire, json.dumps(fields).encode()), 400, "invalid_event")
        assert set(problem["errors"]) == set(fields)
        site.check_after(wire)


@pytest.mark.parametrize("field", [*TEXTS[1:4], *TEXTS[5:], "event_data", "timestamp", "ip"])
def test_null_is_the_same_as_nothing(site: AuditedCollector, field: str) -> None:
    store(site, event(**{field: None}))


@pytest.mark.parametrize("value", [b"7", b"true", b"[]", b"{}", b"null", b'""'])
def test_a_key_of_a_wrong_type_is_no_key(site: AuditedCollector, value: bytes) -> None:
    with site.wire() as wire:
        answer = site.ask(wire, event(projectKey=value), ("Authorization", None))
        check_problem(answer, 401, "missing_key")
        site.check_after(wire)


KEYS = {
    "blank": "   ",
    "a word": CANARY,
    "a prefix": "pk_",
    "too long": "pk_" + "x" * 5000,
    "NUL": "pk_\x00",
    "surrogate": "pk_\ud800",
    "beyond ASCII": "pk_" + "é" * 25,
    "SQL": "pk_' OR '1'='1",
}


@pytest.mark.parametrize("key", KEYS.values(), ids=list(KEYS))
def test_a_text_that_can_be_no_key_is_unknown(site: AuditedCollector, key: str) -> None:
    with site.wire() as wire:
        answer = site.ask(wire, event(projectKey=key), ("Authorization", None))
        check_problem(answer, 401, "unknown_key")
        site.check_after(wire)


@pytest.mark.parametrize("value", [b"7", b"true", b"[]", b"{}", b'"pk_another"', b'""'])
def test_an_event_that_names_another_key_is_refused(site: AuditedCollector, value: bytes) -> None:
    check_refused(site, refused("another key", "projectKey", event(projectKey=value)))


# Names and ids

BLANK = ["", " ", "\t", " \n ", "\u00a0", "\u2003", "\u3000"]
LONG = {"one too many": "x" * 121, "9 KB": CANARY * 900, "emoji": "\U0001f4a7" * 121, "60 KB": "x" * 60_000}


@table(
    [refused(f"blank {name.encode('unicode_escape')!r}", "event_name", event(event_name=name)) for name in BLANK]
    + [refused(name, "event_name", event(event_name=text)) for name, text in LONG.items()]
    + [refused("missing", "event_name", b'{"url": "' + PAGE.encode() + b'"}')]
    + [refused("null", "event_name", event(event_name=None))]
)
def test_a_name_that_is_blank_missing_or_too_long_is_refused(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


@table(
    [refused(f"blank {name.encode('unicode_escape')!r}", "eventId", event(eventId=name)) for name in BLANK if name]
    + [refused(name, "eventId", event(eventId=text)) for name, text in {"one too many": "x" * 65, **LONG}.items()]
)
def test_an_id_that_is_blank_or_too_long_is_refused(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


def test_the_longest_name_there_may_be_is_stored_in_four_bytes_a_letter(site: AuditedCollector) -> None:
    name, event_id = "\U0001f4a7" * 120, "\U0001f4a7" * 64
    row = store(site, event(event_name=name, eventId=event_id))
    assert (row["name"], row["event_id"]) == (name, event_id)


@pytest.mark.parametrize("bad", ["", "x" * 201, "x" * 20_000])
def test_ids_of_sessions_and_persons_that_are_too_long_are_left_out(site: AuditedCollector, bad: str) -> None:
    warnings = ("dropped",) if bad else ()
    row = store(site, event(sessionId=bad, userId=bad), *warnings)
    assert row["user_id"] is None
    assert row["session_id"]
    assert row["session_id"] != bad


def test_texts_that_are_too_long_are_cut(site: AuditedCollector) -> None:
    lengths = {"page_title": 512, "page_path": 2048, "referrer": 2048, "userAgent": 1024}
    row = store(site, event(**dict.fromkeys(lengths, "é" * 2100)), "cut")
    assert [len(row[name]) for name in ("page_title", "page_path", "referrer", "user_agent")] == [*lengths.values()]


def test_data_that_is_too_much_is_left_out_or_cut(site: AuditedCollector) -> None:
    data = {
        **{f"{n}": n for n in range(48)},
        "x" * 101: 1,
        "long": "\U0001f4a7" * 2001,
        "list": [*range(101)],
        "one more": 1,
    }
    row = store(site, event(event_data=data), "dropped", "cut")
    assert set(row["data"]) == {*map(str, range(48)), "long", "list"}
    assert row["data"]["long"] == "\U0001f4a7" * 2000
    assert row["data"]["list"] == [*range(100)]


def test_a_thousand_unknown_fields_have_no_more_than_fifty_warnings(site: AuditedCollector) -> None:
    with site.wire() as wire:
        answer = check_common(site.ask(wire, event(**{f"{CANARY}{n}": n for n in range(1000)})))
        assert answer.status == 200
        assert len(answer.json["warnings"]) == 50
        site.check_after(wire)


@table(
    refused(repr(value), "ip", event(ip=value), server=True)
    for value in (7, True, [], {}, " ", CANARY, "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4/8", "::g")
)
def test_an_address_that_is_none_is_refused(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


def test_a_browser_key_may_not_set_an_address(site: AuditedCollector) -> None:
    assert store(site, event(ip="8.8.8.8"), "not_allowed")["ip"] == "127.0.0.1"
    assert store(site, event(ip={"not": "one"}), "not_allowed")["ip"] == "127.0.0.1"


# Times

NO_TIMES = [
    " ",
    "infinity",
    "-infinity",
    "Infinity",
    "now",
    "today",
    "tomorrow",
    "epoch",
    "allballs",
    "noon",
    "0",
    "2026-02-30T00:00:00Z",
    "2025-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-10T00:00:00Z",
    "2026-11-00T00:00:00Z",
    "2026-11-02T25:00:00Z",
    "2026-11-02T14:60:00Z",
    "2026-11-02T14:00:61Z",
    "2026-11-02T14:00:00+25:00",
    "2026-11-02T14:00:00+99:99",
    "2026-11-02",
    "14:00:00",
    "2026-11-02T14:00:00 Europe/Berlin",
    "2026-11-02T14:00:00Z; DROP TABLE catchment.event",
    "2026-11-02T14:00:00Z\n",
    " 2026-11-02T14:00:00Z",
    "2026-11-02T14:00:00Z\x00",
    "2026-11-02T14:00:00.1234567890Z",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "-0044-03-15T00:00:00Z",
    "44-03-15 00:00:00 BC",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "\u0662\u0660\u0662\u0666-11-02T14:00:00Z",
    "Mon, 02 Nov 2026 14:00:00 GMT",
    CANARY,
    "9" * 5000,
]


@table(
    refused(f"{text.encode('unicode_escape').decode()[:60]!r} by a {'server' if server else 'browser'} key",
            "timestamp", event(timestamp=text), server=server)
    for text in NO_TIMES
    for server in (False, True)
)  # fmt: skip
def test_a_time_that_is_none_is_refused(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


@pytest.mark.parametrize("server", [False, True], ids=["browser", "server"])
@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999999999Z", "2199-01-01 00:00"]
)
def test_a_time_that_cannot_be_meant_becomes_the_arrival(site: AuditedCollector, text: str, server: bool) -> None:
    row = store(site, event(timestamp=text), "timestamp_replaced", server=server)
    assert row["occurred_at"] == row["received_at"]


@pytest.mark.parametrize("sent", [*NO_TIMES, 7, True, [], {}, 10**400], ids=lambda sent: ascii(sent)[:60])
def test_a_batch_whose_own_time_is_none_is_stored_without_a_correction(site: AuditedCollector, sent: object) -> None:
    body = json.dumps({"sentAt": sent, "events": [json.loads(event(timestamp="2026-11-02T14:00:00Z"))]}).encode()
    with site.wire() as wire:
        answer = check_common(site.ask(wire, body, path="/v1/batch", key=site.server_key))
        (result,) = answer.json["results"]
        assert result["outcome"] == "stored"
        assert [warning["field"] for warning in result["warnings"]] == ["sentAt"]
        site.check_after(wire)
    assert site.row_as_json(result["event_id"])["occurred_at"] == "2026-11-02T14:00:00+00:00"


@pytest.mark.parametrize("sent", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("happened", ["0001-01-01T00:00:00Z", "2026-11-02T14:00:00Z", "9999-12-31T23:59:59Z"])
def test_no_correction_of_the_clock_leaves_the_calendar(site: AuditedCollector, sent: str, happened: str) -> None:
    body = json.dumps({"sentAt": sent, "events": [json.loads(event(timestamp=happened))]}).encode()
    with site.wire() as wire:
        answer = check_common(site.ask(wire, body, path="/v1/batch", key=site.server_key))
        assert answer.json["stored"] == 1
        site.check_after(wire)


# Urls

NO_URLS = [
    "",
    " ",
    "/page",
    "page",
    "?q=1",
    "#top",
    "//good.com/page",
    "good.com",
    "good.com/page",
    "javascript:alert(1)",
    "JavaScript://good.com/%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "about:blank",
    "about:srcdoc",
    f"blob:{ORIGIN}/2c4d",
    f"view-source:{PAGE}",
    f"filesystem:{PAGE}",
    "file:///etc/passwd",
    "ftp://good.com/page",
    "ws://good.com/page",
    "https:/good.com/page",
    "https:good.com/page",
    "https:\\\\good.com\\page",
    "https;//good.com/page",
    "http s://good.com/page",
    f"{PAGE}\t",
    f"{PAGE}\r\nX-Injected: 1",
    "https://go\nod.com/page",
    "htt\tps://good.com/page",
    f"{PAGE}\x00",
    f"{PAGE}\x7f",
    f"{PAGE}\u0085",
    f"{PAGE}\ud800",
    f"{PAGE}?" + "x" * 2048,
    f"{PAGE}?" + CANARY * 3000,
]


@table(refused(f"{text.encode('unicode_escape').decode()[:60]}", "url", event(url=text)) for text in NO_URLS)
def test_a_url_that_is_no_pages_is_refused(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


@table([refused("missing", "url", event()[:-1].split(b", ")[0] + b"}"), refused("null", "url", event(url=None))])
def test_with_a_browser_key_a_url_is_required(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


@table(refused(f"{text.encode('unicode_escape').decode()[:60]}", "url", event(url=text), server=True)
       for text in NO_URLS if text)  # fmt: skip
def test_a_server_key_may_not_send_a_bad_one_either(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


@pytest.mark.parametrize("url", [b"null", b'""'])
def test_a_server_key_may_leave_the_url_out(site: AuditedCollector, url: bytes) -> None:
    assert store(site, event(url=url), server=True)["url"] is None

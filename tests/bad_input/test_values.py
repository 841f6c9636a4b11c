"""Values that JSON has and PostgreSQL has not, numbers of every size, and texts that are harmful where they are shown
carelessly: mended with a warning, refused at their field, or stored as they were sent."""

from __future__ import annotations

from typing import Any

import pytest

from .rows import Row, check_common, check_refused, event, store, table
from .serving import CANARY, AuditedCollector

GONE = "\ufffd"


# What breaks jsonb


BROKEN = {
    "NUL": (r"\u0000", GONE),
    "several NULs": (r"\u0000\u0000", GONE * 2),
    "a high surrogate": (r"\ud83d", GONE),
    "a low surrogate": (r"\udca7", GONE),
    "the first surrogate": (r"\uD800", GONE),
    "the last surrogate": (r"\uDFFF", GONE),
    "a pair reversed": (r"\udca7\ud83d", GONE * 2),
    "a high surrogate before a pair": (r"\ud83d\ud83d\udca7", GONE + "\U0001f4a7"),
    "a high surrogate and an escaped letter": (r"\ud83d\u0041", GONE + "A"),
}
VALID = {
    "a pair": (r"\ud83d\udca7", "\U0001f4a7"),
    "a pair in UTF-8": ("\U0001f4a7", "\U0001f4a7"),
    "the last character there is": (r"\udbff\udfff", "\U0010ffff"),
    "an escaped backslash before u0000": (r"\\u0000", r"\u0000"),
    "an escaped backslash before ud800": (r"\\ud800", r"\ud800"),
    "U+FFFD itself": (r"\ufffd", GONE),
    "noncharacters": (r"\ufffe\uffff", "\ufffe\uffff"),
    "control characters, escaped": (r"\u0001\b\f\u001f\u007f", "\x01\b\f\x1f\x7f"),
}
ALL = [(sent, kept, ("characters_replaced",)) for sent, kept in BROKEN.values()]
ALL += [(sent, kept, ()) for sent, kept in VALID.values()]


@pytest.mark.parametrize(("sent", "kept", "warnings"), ALL, ids=[*BROKEN, *VALID])
@pytest.mark.parametrize("where", ["value", "key", "array", "deep", "category", "every field"])
def test_what_breaks_jsonb_is_replaced(
    site: AuditedCollector, where: str, sent: str, kept: str, warnings: tuple[str, ...]
) -> None:
    text = f'"<{sent}>"'.encode()
    kept = f"<{kept}>"
    if where == "every field":
        names = ("event_name", "sessionId", "userId", "page_title", "page_path", "referrer", "userAgent")
        row = store(site, event(**dict.fromkeys(names, text)), *warnings)
        columns = ("name", "session_id", "user_id", "page_title", "page_path", "referrer", "user_agent")
        assert [row[column] for column in columns] == [kept] * len(columns)
        return
    data = {
        "value": b'{"v": ' + text + b"}",
        "key": b"{" + text + b": 1}",
        "array": b'{"v": [1, ' + text + b"]}",
        "deep": b'{"v": {"v": [{' + text + b": " + text + b"}]}}",
        "category": b'{"category": ' + text + b', "label": ' + text + b"}",
    }[where]
    stored: dict[str, Any] = {
        "value": {"v": kept},
        "key": {kept: 1},
        "array": {"v": [1, kept]},
        "deep": {"v": {"v": [{kept: kept}]}},
        "category": {},
    }[where]
    row = store(site, event(event_data=data), *warnings)
    assert row["data"] == stored
    if where == "category":
        assert (row["category"], row["label"]) == (kept, kept)


@pytest.mark.parametrize("sent", [sent for sent, _ in BROKEN.values()], ids=list(BROKEN))
def test_an_id_is_never_changed(site: AuditedCollector, sent: str) -> None:
    row = Row(
        name="id",
        body=event(eventId=f'"{CANARY}{sent}"'.encode()),
        code="invalid_event",
        fields=frozenset({"eventId"}),
    )
    check_refused(site, row)


@pytest.mark.parametrize("sent", [sent for sent, _ in BROKEN.values()], ids=list(BROKEN))
def test_a_name_of_an_unknown_field_can_be_said(site: AuditedCollector, sent: str) -> None:
    body = event()[:-1] + f', "{CANARY}{sent}": 1}}'.encode()
    assert store(site, body, "unknown_field")["data"] == {}


# Numbers


OUT_OF_RANGE = {
    "1e400": "1e400",
    "-1e400": "-1e400",
    "1e131071": "1e131071",
    "1e999999999999": "1e999999999999",
    "2e308": "2e308",
    "400 digits and a fraction": "9" * 400 + ".5",
    "4,301 digits": "7" * 4301,
    "4,301 digits below zero": "-" + "7" * 4301,
    "60,000 digits": "7" * 60_000,
}
NUMBERS = [
    Row(name=f"{name} {where}", body=body, code="invalid_event", fields=frozenset({field}))
    for name, number in OUT_OF_RANGE.items()
    for where, field, body in (
        ("in a value", "event_data.v", event(event_data=f'{{"v": {number}}}'.encode())),
        ("in an array", "event_data.v[1]", event(event_data=f'{{"v": [1, {number}]}}'.encode())),
        ("in the number's own place", "event_data.value", event(event_data=f'{{"value": {number}}}'.encode())),
        ("for a text", "page_title", event(page_title=number.encode())),
        ("for a time", "timestamp", event(timestamp=number.encode())),
    )
]


@table(NUMBERS)
def test_a_number_out_of_range_is_refused_at_its_field(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


def test_a_number_out_of_range_costs_its_event_alone(site: AuditedCollector) -> None:
    events = [event(event_data=f'{{"v": {number}}}'.encode()) for number in OUT_OF_RANGE.values()][:-1]
    with site.wire() as wire:
        body = b"[" + b",".join([event(), *events, event()]) + b"]"
        answer = check_common(site.ask(wire, body, path="/v1/batch"))
        told = [(result["outcome"], result.get("reason")) for result in answer.json["results"]]
        assert told == [("stored", None), *[("refused", "invalid_event")] * len(events), ("stored", None)]
        site.check_after(wire)


INTEGERS = [
    0,
    -1,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    2**64,
    12345678901234567890123,
    -(10**40),
    10**400 + 1,
    int("7" * 4300),
]


@pytest.mark.parametrize("number", INTEGERS, ids=lambda number: f"{len(str(number))} digits from {str(number)[:6]}")
def test_integers_of_any_size_stay_exact(site: AuditedCollector, number: int) -> None:
    row = store(site, event(event_data={"v": number, "list": [number, {"n": number}]}))
    assert row["data"] == {"v": number, "list": [number, {"n": number}]}
    assert all(type(kept) is int for kept in (row["data"]["v"], row["data"]["list"][0]))


FLOATS = {
    "0.1": 0.1,
    "-0.0": 0.0,
    "1e308": 1e308,
    "5e-324": 5e-324,
    "1e-400": 0.0,
    "123456789.123456789": 123456789.12345679,
    "1E5": 1e5,
    "0.1e1": 1.0,
    "9007199254740993.0": 9007199254740992.0,
}


@pytest.mark.parametrize(("text", "number"), FLOATS.items(), ids=list(FLOATS))
def test_a_float_is_the_double_that_it_is_nearest_to(site: AuditedCollector, text: str, number: float) -> None:
    row = store(site, event(event_data=f'{{"v": {text}, "value": {text}}}'.encode()))
    assert (float(row["data"]["v"]), float(row["value"])) == (number, number)


@pytest.mark.parametrize("number", [10**400, True, False, "7", [7], {"n": 7}], ids=repr)
def test_a_value_that_is_no_double_stays_in_the_data(site: AuditedCollector, number: object) -> None:
    row = store(site, event(event_data={"value": number}), "wrong_type")
    assert (row["data"], row["value"]) == ({"value": number}, None)


# Stored, and harmless everywhere they are shown


HARMFUL = {
    "img onerror": "<img src=x onerror=alert(1)>",
    "script": "</script><script>alert(1)</script>",
    "formula": "=cmd|' /C calc'!A0",
    "formula by plus": "+1+cmd|' /C calc'!A0",
    "formula by minus": "-2+3+cmd|' /C calc'!A0",
    "formula by at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "CR LF": "one\r\nX-Injected: yes\r\n\r\n<html>",
    "tab and return first": "\t\r=1",
    "ANSI": "\x1b[2J\x1b[31mred\x1b]0;title\x07",
    "C1 controls": "\x9b31m\x85",
    "right-to-left override": "\u202egnp.exe",
    "isolates": "\u2066\u2069\u200b\ufeff",
    "__proto__": "__proto__",
    "constructor": "constructor.prototype",
    "SQL": "'; DROP TABLE catchment.event; --",
    "format": "%s%n%(x)s {0.__class__} ${jndi:ldap://x} {{7*7}}",
    "path": "../../../../etc/passwd",
    "rich markup": "[bold red]x[/] [link=http://x]y[/link]",
    "zalgo": "z\u0335\u0322\u0328\u031b" * 20,
    "PostgreSQL escapes": r"\N \x00 \' \\ $$ E'\047'",
}


@pytest.mark.parametrize("text", HARMFUL.values(), ids=list(HARMFUL))
def test_harmful_texts_are_stored_as_they_were_sent(site: AuditedCollector, text: str) -> None:
    data = {text: text, "nested": {text: [text]}, "__proto__": {"polluted": True}, "category": text, "label": text}
    body = event(
        event_name=text,
        event_data=data,
        page_title=text,
        page_path=text,
        referrer=text,
        userAgent=text,
        sessionId=text[:64],
        userId=text,
        eventId=f"{text[:40]} {hash(text)}"[:64],
    )
    row = store(site, body)
    assert row["data"] == {text: text, "nested": {text: [text]}, "__proto__": {"polluted": True}}
    columns = ("name", "category", "label", "page_title", "page_path", "referrer", "user_agent", "user_id")
    assert [row[column] for column in columns] == [text] * len(columns)
    assert row["session_id"] == text[:64]


@pytest.mark.parametrize("text", HARMFUL.values(), ids=list(HARMFUL))
def test_harmful_texts_are_harmless_in_warnings_and_errors(site: AuditedCollector, text: str) -> None:
    """They come back within JSON, which says what it is and may not be taken for a page."""
    with site.wire() as wire:
        body = event(event_data={"v": {text: 1e300}}, **{text: 1})
        body = body.replace(b"1e+300", b"1e400")
        answer = check_common(site.ask(wire, body))
        assert answer.status == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert list(answer.json["errors"]) == [f"event_data.v.{text}"]
        assert "x-injected" not in answer.headers
        site.check_after(wire)

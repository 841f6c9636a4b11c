"""The table of limits, field by field."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from catchment.core.collecting.check import Sender, check_event
from catchment.core.collecting.findings import Findings
from catchment.core.event import Event
from catchment.core.fields import Over
from catchment.core.limits import Limits
from catchment.core.outcomes import WarningCode
from catchment.core.project import KeyKind
from catchment.core.refusals import Reason, Refusal

from ..support.house import a_payload

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
BROWSER = Sender(
    kind=KeyKind.BROWSER,
    received_at=NOW,
    clock_offset=timedelta(),
    address="81.2.69.142",
    headers={"user_agent": "Mozilla/5.0"},
)
SERVER = replace(BROWSER, kind=KeyKind.SERVER, address=None, headers={})
LIMITS = Limits()
NOT_TEXT = [0, 1.5, True, [], {}, ["a"]]


@dataclass
class Found:
    kept: Event | None
    errors: dict[str, list[str]]
    warnings: list[tuple[str, str]]
    details: list[str]

    @property
    def event(self) -> Event:
        assert self.kept is not None, self.errors
        return self.kept


def check(payload: object, sender: Sender = BROWSER, limits: Limits = LIMITS) -> Found:
    findings = Findings(limits)
    numbers = count(1)
    checked = check_event(payload, sender, limits, lambda: f"made-{next(numbers)}", "made", findings)
    if isinstance(checked, Refusal):
        assert checked.reason is Reason.INVALID_EVENT
        assert checked.errors == findings.errors != {}
    return Found(
        None if isinstance(checked, Refusal) else Event.of(checked.columns),
        findings.errors,
        [(warning.code, warning.field) for warning in findings.warnings],
        [warning.detail for warning in findings.warnings],
    )


def long_text(wire: str, over: int) -> str:
    text = "https://example.com/" if wire in ("url", "referrer") else ""
    return text + "x" * (LIMITS.rules[wire].longest + over - len(text))


def texts(*overs: Over) -> list[str]:
    """The texts of the payload that are treated in one of these ways, by name."""
    return [wire for wire, rule in LIMITS.rules.items() if rule.over in overs]


def read(event: Event, wire: str) -> Any:
    return getattr(event, LIMITS.rules[wire].attribute)


@pytest.mark.parametrize("payload", [None, True, 7, 1.5, "text", [], [{}]])
def test_an_event_is_an_object(payload: object) -> None:
    assert list(check(payload).errors) == ["event"]


@pytest.mark.parametrize("value", NOT_TEXT)
@pytest.mark.parametrize("wire", texts(*Over))
def test_a_text_field_of_another_type_is_refused(wire: str, value: object) -> None:
    found = check(a_payload(**{wire: value}))
    if type(value) is int and wire in ("userId", "sessionId"):  # databases keep those as numbers
        assert read(found.event, wire) == str(value)
        assert found.warnings == [(WarningCode.WRONG_TYPE, wire)]
        return
    assert wire in found.errors
    assert found.kept is None


@pytest.mark.parametrize("wire", texts(*Over))
def test_a_text_field_as_long_as_its_limit_is_kept(wire: str) -> None:
    text = long_text(wire, 0)
    found = check(a_payload(**{wire: text}))
    assert read(found.event, wire) == text
    assert found.warnings == []


@pytest.mark.parametrize("wire", texts(Over.REFUSE))
def test_what_can_not_be_cut_is_refused_when_it_is_too_long(wire: str) -> None:
    assert list(check(a_payload(**{wire: long_text(wire, 1)})).errors) == [wire]


@pytest.mark.parametrize("wire", texts(Over.CUT))
def test_what_can_be_cut_is_cut_and_said(wire: str) -> None:
    found = check(a_payload(**{wire: long_text(wire, 1)}))
    assert read(found.event, wire) == long_text(wire, 0)
    assert found.warnings == [(WarningCode.CUT, wire)]


@pytest.mark.parametrize("wire", texts(Over.DROP))
def test_what_can_be_missing_is_dropped_when_it_is_too_long(wire: str) -> None:
    found = check(a_payload(**{wire: long_text(wire, 1)}))
    assert found.event.user_id is None
    assert found.event.session_id.startswith("made-")
    assert found.warnings == [(WarningCode.DROPPED, wire)]


def test_the_fields_are_treated_as_the_contract_says() -> None:
    by_over = {over: set(texts(over)) for over in Over}
    assert by_over == {
        Over.REFUSE: {"event_name", "eventId", "url"},
        Over.CUT: {"page_title", "page_path", "referrer", "userAgent"},
        Over.DROP: {"sessionId", "userId", "language"},
    }


@pytest.mark.parametrize("wire", texts(*Over))
def test_a_field_that_is_null_is_a_field_that_is_missing(wire: str) -> None:
    payload = {**a_payload(), wire: None}
    assert list(check(payload).errors) == ([wire] if wire in ("event_name", "url") else [])


@pytest.mark.parametrize("name", [None, "", " ", "\t\n", "\u2003"])
def test_a_name_is_needed(name: str | None) -> None:
    assert list(check(a_payload(event_name=name)).errors) == ["event_name"]


@pytest.mark.parametrize("event_id", ["  ", "a\x00b", "a\ud800b"])
def test_an_id_that_can_not_be_stored_is_refused_and_never_changed(event_id: str) -> None:
    found = check(a_payload(eventId=event_id))
    assert list(found.errors) == ["eventId"]
    assert found.warnings == []


@pytest.mark.parametrize("field", ["event_name", "sessionId", "userId", "page_title", "page_path", "userAgent"])
@pytest.mark.parametrize("bad", ["\x00", "\ud83d", "\udc00\ud800"])
def test_characters_that_can_not_be_stored_are_replaced_and_said(field: str, bad: str) -> None:
    found = check(a_payload(**{field: f"a{bad}b"}))
    assert read(found.event, field) == f"a{chr(0xFFFD) * len(bad)}b"
    assert found.warnings == [(WarningCode.CHARACTERS_REPLACED, field)]


def test_a_whole_character_beyond_16_bits_is_kept() -> None:
    assert check(a_payload(page_title="\U0001f600")).warnings == []


@pytest.mark.parametrize("text", ["<img onerror>", "=cmd|' /C'!A0", "a\r\nb", "\x1b[31m", "\u202egnp.exe", "__proto__"])
def test_what_is_harmless_here_is_stored_as_it_came(text: str) -> None:
    found = check(a_payload(event_name=text, page_title=text, event_data={text: text}))
    assert (found.event.name, found.event.page_title, found.event.data) == (text, text, {text: text})


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "/page",
        "example.com/page",
        "//example.com/",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://example.com/",
        "https:/example.com/",
        "https://example.com/a\tb",
        "https://example.com/a\nb",
        "\thttps://example.com/",
        "https://example.com/\\evil",
        "https://exam ple.com/",
        "https://example.com/\ufffd",
    ],
)
def test_a_browsers_url_is_an_absolute_web_address(url: str | None) -> None:
    assert list(check(a_payload(url=url)).errors) == ["url"]


@pytest.mark.parametrize("sender", [BROWSER, SERVER], ids=["browser", "server"])
@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("https://example.com/café au lait?q=ü&r=100%#ö", "https://example.com/caf%C3%A9%20au%20lait?q=%C3%BC&r=100%#%C3%B6"),
        (" https://example.com/ ", "https://example.com/"),
        ("https://example.com/%C3%A9/é?a=b c", "https://example.com/%C3%A9/%C3%A9?a=b%20c"),
        ("https://example.com/\u202egnp.exe", "https://example.com/%E2%80%AEgnp.exe"),
    ],
)  # fmt: skip
def test_a_url_is_percent_encoded_for_a_sender_who_did_not(sent: str, stored: str, sender: Sender) -> None:
    found = check(a_payload(url=sent), sender)
    assert found.event.url == stored
    assert found.warnings == [(WarningCode.CHARACTERS_REPLACED, "url")]


def test_a_url_that_is_too_long_once_encoded_is_refused() -> None:
    assert list(check(a_payload(url="https://example.com/" + "é" * 1_000)).errors) == ["url"]


def test_a_server_may_leave_the_url_out() -> None:
    for url in (None, ""):
        found = check(a_payload(url=url), SERVER)
        assert (found.event.url, found.event.page_path) == (None, None)


@pytest.mark.parametrize("url", ["javascript:x", "/page", "https://a@example.com/", "https://ex%61mple.com/"])
def test_a_url_that_a_server_does_send_is_checked_all_the_same(url: str) -> None:
    assert list(check(a_payload(url=url), SERVER).errors) == ["url"]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://example.com", "/"),
        ("https://example.com?a=1", "/"),
        ("https://example.com/a/b?c=/d#e", "/a/b"),
    ],
)
def test_the_path_falls_back_to_the_urls(url: str, path: str) -> None:
    assert check(a_payload(url=url)).event.page_path == path


def test_the_path_that_was_sent_wins() -> None:
    assert check(a_payload(page_path="/virtual")).event.page_path == "/virtual"


def test_a_header_that_is_too_long_is_treated_as_its_field() -> None:
    long = {"user_agent": long_text("userAgent", 1), "language": long_text("language", 1)}
    found = check(a_payload(), replace(BROWSER, headers=long))
    assert (found.event.user_agent, found.event.language) == (long_text("userAgent", 0), None)
    assert sorted(found.warnings) == [(WarningCode.CUT, "userAgent"), (WarningCode.DROPPED, "language")]


def test_the_browsers_header_stands_in_for_a_missing_user_agent() -> None:
    assert check(a_payload()).event.user_agent == "Mozilla/5.0"
    assert check(a_payload(userAgent="")).event.user_agent == "Mozilla/5.0"
    assert check(a_payload(userAgent="mine")).event.user_agent == "mine"
    assert check(a_payload(), SERVER).event.user_agent is None


def test_texts_that_are_empty_are_missing() -> None:
    event = check(a_payload(sessionId="", userId="", referrer="")).event
    assert (event.user_id, event.referrer) == (None, None)
    assert event.session_id.startswith("made-")
    found = check(a_payload(eventId="", timestamp="", ip=""), SERVER)
    assert (found.event.event_id, found.event.occurred_at, found.event.ip) == ("made", NOW, None)
    assert found.warnings == [(WarningCode.DROPPED, "eventId")]  # sent again it would be another event


@pytest.mark.parametrize(
    ("wire", "meant"),
    [("user_id", "userId"), ("EventData", "event_data"), ("pageTitle", "page_title"), ("referer", "referrer")],
)
def test_a_field_in_another_spelling_is_said_to_be_meant(wire: str, meant: str) -> None:
    assert check(a_payload(**{wire: "x"})).details == [f"did you mean {meant}?"]


def test_fields_that_nobody_knows_are_dropped_and_said() -> None:
    found = check(a_payload(colour="red", Event_Name="x"))
    assert sorted(found.warnings) == [(WarningCode.UNKNOWN_FIELD, "Event_Name"), (WarningCode.UNKNOWN_FIELD, "colour")]


def test_a_warning_never_holds_what_can_not_be_shown() -> None:
    found = check(a_payload(**{"\ud800" * 300: 1}))
    assert found.warnings == [(WarningCode.UNKNOWN_FIELD, "\ufffd" * 100)]


def test_no_more_warnings_are_said_than_the_limit() -> None:
    assert len(check(a_payload(**{f"field{n}": 1 for n in range(500)})).warnings) == LIMITS.warnings


# the address


def test_a_browser_may_not_set_its_address() -> None:
    found = check(a_payload(ip="1.2.3.4"))
    assert found.event.ip == "81.2.69.142"
    assert found.warnings == [(WarningCode.NOT_ALLOWED, "ip")]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("1.2.3.4", "1.2.3.4"),
        (" 1.2.3.4 ", "1.2.3.4"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("fe80::1%eth0", "fe80::1"),
        (None, None),
    ],
)
def test_a_server_sets_its_visitors_address(sent: str | None, read: str | None) -> None:
    assert check(a_payload(ip=sent), SERVER).event.ip == read


@pytest.mark.parametrize(
    ("sent", "read"), [("1.2.3.4:443", "1.2.3.4"), ("[2001:db8::1]:443", "2001:db8::1"), ("[::1]", "::1")]
)
def test_an_address_as_proxies_write_it_is_taken_with_a_warning(sent: str, read: str) -> None:
    found = check(a_payload(ip=sent), SERVER)
    assert (found.event.ip, found.warnings) == (read, [(WarningCode.CHARACTERS_REPLACED, "ip")])


@pytest.mark.parametrize(
    "sent", [" ", "localhost", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4/24", 7, 1.5, True, [], {}, "1\x00", "\ud800"]
)
def test_a_servers_address_that_is_none_is_refused(sent: object) -> None:
    assert list(check(a_payload(ip=sent), SERVER).errors) == ["ip"]


# the time


@pytest.mark.parametrize("sender", [BROWSER, SERVER], ids=["browser", "server"])
@pytest.mark.parametrize(
    "sent",
    [
        "yesterday", "infinity", "-infinity", "now", " ", "2026-11-02", "12:00", "2026-13-02T12:00:00Z",
        "2026-02-30T12:00:00Z", "2026-11-02T25:00:00Z", "20261102T120000Z", "2026-11-02T12:00:00+99:99", 7,
        -1_762_000_000, float("inf"), 1e300, True, [], {}, "2026-11-02T12:00:00Z\n", "\u0662026-11-02T12:00:00Z",
        "2026-11-02T12:00:00Z" + " " * 99,
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(sent: object, sender: Sender) -> None:
    assert list(check(a_payload(timestamp=sent), sender).errors) == ["timestamp"]


@pytest.mark.parametrize("sender", [BROWSER, SERVER], ids=["browser", "server"])
@pytest.mark.parametrize("scale", [1, 1000], ids=["seconds", "milliseconds"])
def test_a_time_in_seconds_or_milliseconds_is_understood(sender: Sender, scale: int) -> None:
    moment = NOW - timedelta(minutes=1)
    number = moment.timestamp() * scale
    for sent in (round(number), number, str(round(number)), f"{number:.3f}"):
        found = check(a_payload(timestamp=sent), sender)
        assert abs(found.event.occurred_at - moment) < timedelta(seconds=1)
        assert found.warnings == [(WarningCode.WRONG_TYPE, "timestamp")]


def test_a_missing_time_is_the_arrival() -> None:
    assert check(a_payload()).event.occurred_at == NOW


@pytest.mark.parametrize(
    ("sender", "age", "kept"),
    [
        (BROWSER, timedelta(hours=72), True),
        (BROWSER, timedelta(hours=72, microseconds=1), False),
        (BROWSER, timedelta(minutes=-5), True),
        (BROWSER, timedelta(minutes=-5, microseconds=-1), False),
        (SERVER, NOW - datetime(1970, 1, 1, tzinfo=UTC), True),
        (SERVER, NOW - datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), False),
        (SERVER, timedelta(minutes=-5), True),
        (SERVER, timedelta(minutes=-6), False),
    ],
)
def test_how_old_and_how_far_ahead_a_time_may_be(sender: Sender, age: timedelta, kept: bool) -> None:
    found = check(a_payload(timestamp=(NOW - age).isoformat()), sender)
    assert found.event.occurred_at == (NOW - age if kept else NOW)
    assert found.warnings == ([] if kept else [(WarningCode.TIMESTAMP_REPLACED, "timestamp")])


@pytest.mark.parametrize("offset", [timedelta(days=3_000_000), timedelta(days=-3_000_000)])
@pytest.mark.parametrize("sent", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_corrected_time_that_no_calendar_holds_is_replaced(sent: str, offset: timedelta) -> None:
    found = check(a_payload(timestamp=sent), replace(SERVER, clock_offset=offset))
    assert found.event.occurred_at == NOW
    assert found.warnings == [(WarningCode.TIMESTAMP_REPLACED, "timestamp")]


def test_the_age_counts_after_the_correction() -> None:
    late = replace(BROWSER, clock_offset=timedelta(days=30))
    found = check(a_payload(timestamp=(NOW - timedelta(days=31)).isoformat()), late)
    assert found.event.occurred_at == NOW - timedelta(days=1)


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = check({"eventId": " ", "url": "x", "timestamp": "x", "event_data": 1, "page_title": 1, "ip": "x"}, SERVER)
    assert set(found.errors) == {"event_name", "eventId", "url", "timestamp", "event_data", "page_title"}

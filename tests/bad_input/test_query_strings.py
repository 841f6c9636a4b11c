"""Bad query strings, bad reports of losses: always an answer, no word in a log, and the next event is stored."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..support.answers import Answer
from .rows import check_common
from .serving import CANARY, PAGE, AuditedCollector

KIB = 1024


def pixel(site: AuditedCollector, query: str) -> Answer:
    """The answer to a query, after which the next good event is stored and the log has no word of it."""
    with site.wire() as wire:
        wire.send(f"GET /v1/pixel.gif?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("latin-1"))
        answer = wire.answer()
        assert answer is not None
        site.check_after(wire)
    return answer


def outcome(answer: Answer) -> tuple[str, str | None]:
    check_common(answer, None)
    assert (answer.status, answer.headers["content-type"], len(answer.body)) == (200, "image/gif", 43)
    return answer.headers["x-catchment-outcome"], answer.headers.get("x-catchment-reason")


def good(site: AuditedCollector, event_id: str) -> str:
    """The beginning of a query of an event that is stored."""
    site.acknowledged[event_id] = 1
    return f"k={site.browser_key}&n={CANARY}&u={quote(PAGE)}&e={event_id}"


STORED = {
    "nothing odd": "",
    "an escape that ends": f"&t={CANARY}%",
    "an escape that is none": f"&t={CANARY}%zz%4",
    "NUL": f"&t={CANARY}%00",
    "latin-1": f"&t={CANARY}%E9%FF",
    "overlong UTF-8": f"&t={CANARY}%C0%80%E0%80%AF",
    "half a surrogate": f"&t={CANARY}%ED%A0%80",
    "UTF-16": f"&t=%FF%FEa%00{CANARY}",
    "CR LF and a header": f"&t={CANARY}%0D%0ASet-Cookie%3A%20a%3D1",
    "ESC": f"&t=%1B%5B31m{CANARY}",
    "right to left": f"&t=%E2%80%AE{CANARY}",
    "a formula": f"&t=%3Dcmd%7C{CANARY}",
    "markup": f"&t=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E{CANARY}",
    "a parameter twice": f"&t=a&t={CANARY}",
    "a parameter a thousand times": "&t=a" * 1000,
    "a thousand parameters": "".join(f"&x{n}={CANARY}" for n in range(500)),
    "a thousand data": "".join(f"&d.x{n}=y" for n in range(1000)),
    "a long title": f"&t={CANARY * 1000}",
    "a long data": f"&d.x={CANARY * 1000}",
    "a long key of data": f"&d.{CANARY * 1000}=1",
    "a key of data that is odd": f"&d.%00%FF={CANARY}&d.__proto__={CANARY}&d.constructor=1&d..=1&d.a.b=1",
    "a value that is no number": "&d.value=NaN",
    "a value of 4,000 digits": f"&d.value={'9' * 4000}",
    "another field's name": f"&projectKey=x&event_name=y&ip=1.2.3.4&timestamp={CANARY}",
    "a semicolon": f"&t=a;u={CANARY}",
    "a question mark": f"&t={CANARY}?a=b?c",
    "only signs": "&&&===&=&",
}


@pytest.mark.parametrize("name", STORED)
def test_what_is_odd_is_stored_and_harmless(site: AuditedCollector, name: str) -> None:
    event_id = f"pixel-{list(STORED).index(name)}"
    assert outcome(pixel(site, good(site, event_id) + STORED[name])) == ("stored", None)
    row = site.row_as_json(event_id)
    assert row["name"] == CANARY
    assert row["url"] == PAGE
    assert len(row["page_title"] or "") <= 512


REFUSED = {
    "nothing": ("", "missing_key"),
    "a key of bytes": (f"k=%FF%00{CANARY}", "unknown_key"),
    "a key of 10 KB": (f"k=pk_{CANARY * 1000}", "unknown_key"),
    "no name": ("k={key}&u={page}", "invalid_event"),
    "an id with NUL": (f"k={{key}}&n={CANARY}&u={{page}}&e=%00", "invalid_event"),
    "an id of bytes": (f"k={{key}}&n={CANARY}&u={{page}}&e=%ED%A0%80", "invalid_event"),
    "a number beyond all": (f"k={{key}}&n={CANARY}&u={{page}}&d.value=1e{'9' * 5000}", "invalid_event"),
    "no url": (f"k={{key}}&n={CANARY}", "invalid_event"),
    "a script": (f"k={{key}}&n={CANARY}&u=javascript:alert(1)", "invalid_event"),
    "a foreign url": (f"k={{key}}&n={CANARY}&u=https://evil.example/", "origin_not_allowed"),
    "a backslash": (f"k={{key}}&n={CANARY}&u=https://evil.io%5C@good.com/", "origin_not_allowed"),
    "a tab in the host": (f"k={{key}}&n={CANARY}&u=https://good.com%09.evil.io/", "origin_not_allowed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_t_be_is_refused_behind_the_picture(site: AuditedCollector, name: str) -> None:
    query, reason = REFUSED[name]
    said = outcome(pixel(site, query.format(key=site.browser_key, page=quote(PAGE))))
    assert said in (("refused", reason), ("refused", "invalid_event"))
    assert said[0] == "refused"


def test_a_query_that_is_longer_than_headers_may_be_is_cut_off(site: AuditedCollector) -> None:
    """Tornado's limit on the request line and the headers together: there is no answer to it."""
    with site.wire() as wire:
        wire.send(f"GET /v1/pixel.gif?t={CANARY}{'x' * 20 * KIB} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert wire.answer() is None
        site.check_after(wire)


@given(query=st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="#"), max_size=200))
@settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
def test_any_query_is_answered(site: AuditedCollector, query: str) -> None:
    """Without a key, so that nothing is stored. What is no printable ASCII may be Tornado's to refuse."""
    with site.wire() as wire:
        wire.send(b"GET /v1/pixel.gif?x=" + query.encode("latin-1") + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = wire.answer()
        assert answer is not None
        assert answer.status in ((200,) if query.isascii() and query.isprintable() else (200, 400))
    site.check_log()


LOSSES: dict[str, Any] = {
    "text": CANARY,
    "a list": [{CANARY: 1}],
    "deep": [[[[[[[[CANARY]]]]]]]],
    "no id": {"counts": {"expired": 1}},
    "an id that is odd": {"id": f"\x00{CANARY}", "counts": {"expired": 1}},
    "an id of 10 KB": {"id": CANARY * 1000, "counts": {"expired": 1}},
    "half a surrogate": {"id": "\ud800", "counts": {"expired": 1}},
    "counts that are none": {"id": CANARY, "counts": {"expired": "1", "too_large": 1.5, "x": None, "y": [1]}},
    "counts out of range": {"id": CANARY, "counts": {"expired": 0, "too_large": -1}},
    "reasons that are none": {"id": CANARY, "counts": {CANARY: 1, "": 1, "\x00": 1, "a b": 1, "'; DROP": 1, "é": 1}},
    "ten thousand bad reasons": {"id": CANARY, "counts": {f"{CANARY}{n}": 1 for n in range(10_000)}},
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_bad_report_of_losses_costs_no_event(site: AuditedCollector, name: str) -> None:
    before = site.database.one("SELECT count(*) FROM catchment.loss_report")  # a fuzzer may have found a good one
    event = {"event_name": CANARY, "url": PAGE, "eventId": f"beside-{list(LOSSES).index(name)}"}
    body = json.dumps({"events": [event], "losses": LOSSES[name]}).encode()
    with site.wire() as wire:
        answer = check_common(site.ask(wire, body, path="/v1/batch"))
        assert (answer.status, answer.json["stored"], answer.json["losses"]) == (200, 1, "refused")
        assert 0 < len(answer.json["warnings"]) <= 50
        site.check_after(wire)
    assert site.database.one("SELECT count(*) FROM catchment.loss_report") == before


def test_a_number_out_of_range_is_no_count(site: AuditedCollector) -> None:
    body = b'{"events": [], "losses": {"id": "huge", "counts": {"expired": 1e400, "too_large": ' + b"9" * 5000 + b"}}}"
    with site.wire() as wire:
        answer = check_common(site.ask(wire, body, path="/v1/batch"))
        assert (answer.status, answer.json["losses"]) == (200, "refused")

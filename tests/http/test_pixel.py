"""`GET /v1/pixel.gif`: an event in a query string. Always the picture; what became of the event is in the headers."""

from __future__ import annotations

import hmac
import logging
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from catchment.core.errors import Unavailable
from catchment.core.event import Event
from catchment.core.outcomes import StoreOutcome

from .serving import ORIGIN, PAGE, SECRET, Answer, Site, check_problem, request

pytestmark = pytest.mark.gen_test

PIXEL = "/v1/pixel.gif"


def query(site: Site, **fields: str | None) -> str:
    """A good event's query; `fields` change it, and None takes one out. `__` stands for a dot."""
    given = {"k": site.browser_key, "n": "MailOpened", "u": PAGE, **fields}
    return urlencode({name.replace("__", "."): value for name, value in given.items() if value is not None})


async def get(site: Site, text: str, headers: dict[str, str] | None = None, method: str = "GET") -> Answer:
    """As a mail client asks: without an Origin."""
    answer = await site.ask(method, f"{PIXEL}?{text}", b"", headers or {}, origin=None)
    assert answer.status == 200
    said = answer.headers
    assert (said["Content-Type"], said["Cache-Control"]) == ("image/gif", "no-store")
    assert said["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert said["X-Content-Type-Options"] == "nosniff"
    assert int(said["Content-Length"]) == 43
    assert "Set-Cookie" not in said
    if method == "GET":
        assert answer.body[:6] == b"GIF89a"
        assert answer.body[-1:] == b";"
        assert len(answer.body) == 43
    return answer


def outcome(answer: Answer) -> tuple[str, str | None]:
    return answer.headers["X-Catchment-Outcome"], answer.headers.get("X-Catchment-Reason")


async def stored(site: Site, text: str, headers: dict[str, str] | None = None) -> Event:
    """The event that is stored for this query."""
    before = len(site.storage.events)
    assert outcome(await get(site, text, headers)) == ("stored", None)
    assert len(site.storage.events) == before + 1
    return site.storage.events[-1]


async def refused(site: Site, text: str, reason: str, headers: dict[str, str] | None = None) -> None:
    assert outcome(await get(site, text, headers)) == ("refused", reason)
    assert site.storage.events == []


async def test_an_event_is_stored(site: Site) -> None:
    event = await stored(site, query(site), {"User-Agent": "Mail/1.0", "Accept-Language": "de-CH, en;q=0.5"})
    assert (event.name, event.url, event.page_path, event.user_agent) == ("MailOpened", PAGE, "/beans", "Mail/1.0")
    assert event.language == "de-CH"
    assert (event.project_id, event.ip) == (site.project.id, "127.0.0.0")
    assert event.received_at == event.occurred_at == site.clock.now()
    assert event.data == {}


async def test_every_parameter_has_its_field(site: Site) -> None:
    text = query(site, t="Tïtle & more", r="https://a.example/?q=1", e="e-1", sid="s-1", uid="u-1")
    event = await stored(site, text)
    assert (event.page_title, event.referrer, event.referrer_host) == (
        "Tïtle & more",
        "https://a.example/?q=1",
        "a.example",
    )
    assert (event.event_id, event.session_id, event.user_id) == ("e-1", "s-1", "u-1")


async def test_data_goes_where_event_data_goes(site: Site) -> None:
    text = query(site, d__category="mail", d__label="Héllo wörld", d__value="12.5", d__campaign="autumn", d__n="7")
    event = await stored(site, text)
    assert (event.category, event.label, event.value) == ("mail", "Héllo wörld", 12.5)
    assert event.data == {"campaign": "autumn", "n": "7"}


@pytest.mark.parametrize(
    ("value", "number"), [("0", 0.0), ("-1", -1.0), ("1e3", 1000.0), ("0.5", 0.5), ("9007199254740992", 2.0**53)]
)
async def test_a_value_that_is_a_number_is_one(site: Site, value: str, number: float) -> None:
    event = await stored(site, query(site, d__value=value))
    assert (event.value, event.data) == (number, {})


@pytest.mark.parametrize("value", ["abc", "+1", "01", "1.", ".5", "0x1", "1_0", "NaN", "Infinity", " 1", "٣", "1\n"])
async def test_a_value_that_is_no_number_stays_in_the_data(site: Site, value: str) -> None:
    event = await stored(site, query(site, d__value=value))
    assert (event.value, event.data) == (None, {"value": value})


async def test_a_number_out_of_range_is_refused_as_it_is_elsewhere(site: Site) -> None:
    await refused(site, query(site, d__value="1e400"), "invalid_event")


async def test_an_id_makes_an_event_one(site: Site) -> None:
    for expected in (("stored", None), ("duplicate", None)):
        assert outcome(await get(site, query(site, e="mail-17"))) == expected
    assert len(site.storage.events) == 1


async def test_a_signed_id_can_be_taken_or_asked_for_by_nobody_else(site: Site) -> None:
    signature = hmac.digest(sha256(site.server_key.encode()).digest(), b"mail-18-bob", "sha256").hex()
    await get(site, query(site, e="mail-18-bob", d__who="a stranger"))  # takes the id among those that are not signed
    assert outcome(await get(site, query(site, e="mail-18-bob", s=signature))) == ("stored", None)
    assert outcome(await get(site, query(site, e="mail-18-bob", s=signature.upper()))) == ("duplicate", None)
    answer = await site.post(site.event(eventId="mail-18-bob", projectKey=site.server_key))
    assert answer.json["outcome"] == "duplicate"  # it is the back end's own
    assert len(site.storage.events) == 2


async def test_a_signature_that_no_live_key_made_is_refused(site: Site) -> None:
    signature = hmac.digest(sha256(site.server_key.encode()).digest(), b"mail-18-bob", "sha256").hex()
    for asked in ({"e": "mail-17-alice", "s": signature}, {"e": "mail-18-bob", "s": "é"}, {"s": signature}):
        await refused(site, query(site, **asked), "invalid_event")
    await refused(site, query(site, e="mail-18-bob") + "&s=%FF", "invalid_event")
    await site.administer.revoke_key(site.server_key)
    await refused(site, query(site, e="mail-18-bob", s=signature), "invalid_event")


async def test_where_no_url_is_given_the_referer_stands_in(site: Site) -> None:
    event = await stored(site, query(site, u=None), {"Referer": f"{ORIGIN}/page"})
    assert (event.url, event.referrer) == (f"{ORIGIN}/page", None)
    event = await stored(site, query(site, u=""), {"Referer": f"{ORIGIN}/"})
    assert event.url == f"{ORIGIN}/"
    event = await stored(site, query(site), {"Referer": "https://elsewhere.example/"})
    assert event.url == PAGE


async def test_without_either_it_is_refused(site: Site) -> None:
    await refused(site, query(site, u=None), "invalid_event")
    await refused(site, query(site, u=None), "origin_not_allowed", {"Referer": "https://evil.example/"})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"k": None}, "missing_key"),
        ({"k": ""}, "missing_key"),
        ({"k": "pk_nobodys"}, "unknown_key"),
        ({"n": None}, "invalid_event"),
        ({"n": "  "}, "invalid_event"),
        ({"n": "x" * 121}, "invalid_event"),
        ({"e": "x" * 65}, "invalid_event"),
        ({"u": "https://evil.example/"}, "origin_not_allowed"),
        ({"u": "https://shop.example.evil.example/"}, "origin_not_allowed"),
        ({"u": "https://evil.example\\@shop.example/"}, "origin_not_allowed"),
        ({"u": "javascript:alert(1)"}, "invalid_event"),
        ({"u": "/beans"}, "invalid_event"),
        ({"n": "Forbidden"}, "refused_by_plugin"),
        ({"n": "Fault"}, "commit_unknown"),
    ],
    ids=str,
)
async def test_every_refusal_is_the_picture_and_its_reason(
    site: Site, fields: dict[str, str | None], reason: str
) -> None:
    await refused(site, query(site, **fields), reason)


async def test_what_is_filtered_says_so(site: Site) -> None:
    assert outcome(await get(site, query(site, n="Noise"))) == ("filtered", "plugin:example:noise")


async def test_an_origin_header_must_match_where_there_is_one(site: Site) -> None:
    await refused(site, query(site), "origin_not_allowed", {"Origin": "https://evil.example"})
    await refused(site, query(site), "origin_not_allowed", {"Origin": "null"})
    await stored(site, query(site), {"Origin": ORIGIN})


async def test_a_secret_key_opens_nothing_here(site: Site) -> None:
    asked = site.projects.asked
    await refused(site, query(site, k=site.server_key), "unknown_key")
    await refused(site, query(site, k=None), "missing_key", {"Authorization": f"Bearer {site.server_key}"})
    assert site.projects.asked == asked


async def test_what_the_project_says_of_visitors_holds_here(site: Site) -> None:
    from catchment.core.project import Bots, DoNotTrack

    await site.change(bots=Bots.FILTER, do_not_track=DoNotTrack.FILTER)
    assert outcome(await get(site, query(site), {"User-Agent": "a bot"})) == ("filtered", "bot")
    assert outcome(await get(site, query(site), {"Sec-GPC": "1"})) == ("filtered", "do_not_track")
    await site.change(enabled=False)
    await refused(site, query(site), "project_disabled")


async def test_limits_and_the_database_say_so_behind_the_picture(site: Site) -> None:
    await site.limit(0)
    await refused(site, query(site), "quota_exceeded")
    site.rate_limiter.wait = 3
    await refused(site, query(site), "rate_limited")
    site.rate_limiter.wait = None
    site.storage.failing = Unavailable("away")
    await refused(site, query(site), "unavailable")


async def test_head_stores_nothing(site: Site) -> None:
    answer = await get(site, query(site), method="HEAD")
    assert answer.body == b""
    assert "X-Catchment-Outcome" not in answer.headers
    assert site.storage.events == []


async def test_it_is_not_posted_to(site: Site) -> None:
    answer = await site.ask("POST", PIXEL, b"{}")
    check_problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


# odd queries


async def test_of_a_parameter_that_comes_twice_the_last_one_counts(site: Site) -> None:
    event = await stored(site, f"n=A&d.x=1&{query(site, d__x='2')}&n=B")
    assert (event.name, event.data) == ("B", {"x": "2"})


async def test_an_empty_parameter_is_a_missing_one(site: Site) -> None:
    event = await stored(site, query(site, t="", r="", e="", sid="", uid="", d__x="", d__value=""))
    assert (event.page_title, event.referrer, event.user_id, event.data, event.value) == (None, None, None, {}, None)
    assert event.event_id
    assert event.session_id


@pytest.mark.parametrize(
    "extra", ["&", "&&&", "&=", "&=x", "&x", "&d.=1", "&d=1", "&utm_source=mail&fbclid=1", "&K=1&N=2", "&ip=1.2.3.4"]
)
async def test_what_is_no_parameter_of_its_own_is_not_looked_at(site: Site, extra: str) -> None:
    event = await stored(site, query(site) + extra)
    assert (event.data, event.ip) == ({}, "127.0.0.0")


@pytest.mark.parametrize(
    ("sent", "title"),
    [
        ("a+b%20c", "a b c"),
        ("%C3%A9", "é"),
        ("%E9", "\ufffd"),
        ("a%FFb%C0%80", "a\ufffdb\ufffd\ufffd"),
        ("%ED%A0%80", "\ufffd\ufffd\ufffd"),
        ("%00", "\ufffd"),
        ("%", "%"),
        ("%zz%4", "%zz%4"),
        ("%0D%0AX-Evil%3A%201", "\r\nX-Evil: 1"),
        ("%1B%5B31m", "\x1b[31m"),
        ("%F0%9F%98%80", "\U0001f600"),
        ("%u00e9", "%u00e9"),
        ("a;b=c", "a;b=c"),
        ("a=b=c", "a=b=c"),
        ("%3Cimg onerror%3D1%3E".replace(" ", "+"), "<img onerror=1>"),
        ("__proto__", "__proto__"),
    ],
)
async def test_odd_encodings_are_read_as_texts_of_a_body_are(site: Site, sent: str, title: str) -> None:
    event = await stored(site, f"{query(site)}&t={sent}")
    assert event.page_title == title


@pytest.mark.parametrize("raw", [b"\xc3\xa9", b"\xe9", b"\xff\xfe"])
async def test_bytes_that_are_not_escaped_are_read_as_utf_8(site: Site, raw: bytes) -> None:
    line = f"{PIXEL}?{query(site)}&t=".encode() + raw
    wire = await site.connect()
    await wire.send(b"GET " + line + b" HTTP/1.1\r\nHost: collect.example\r\n\r\n")
    answer = await wire.answer("GET")
    if answer.status == 200:
        assert outcome(answer) == ("stored", None)
        assert site.storage.events[-1].page_title == raw.decode("utf-8", "replace")
    else:  # Tornado's own refusal of a request line
        assert (answer.status, site.storage.events) == (400, [])


async def test_an_id_is_never_changed(site: Site) -> None:
    for sent in ("%00", "%FF", "a%ED%A0%80"):
        await refused(site, f"{query(site)}&e={sent}", "invalid_event")


async def test_a_key_of_odd_bytes_is_an_unknown_one(site: Site) -> None:
    for sent in ("%FF", "%00", "pk_%ED%A0%80", "%F0%9F%98%80"):
        await refused(site, f"n=A&u={quote(PAGE)}&k={sent}", "unknown_key")


async def test_a_huge_query_is_within_the_limits_of_a_body(site: Site) -> None:
    many = "&".join(f"d.k{n}=v" for n in range(1500))
    event = await stored(site, f"{query(site)}&{many}")
    assert len(event.data) == 50
    long = await stored(site, f"{query(site)}&t={'x' * 5000}&d.y={'z' * 5000}")
    assert (len(long.page_title or ""), len(long.data["y"])) == (512, 2000)
    keyed = await stored(site, f"{query(site)}&d.{'k' * 101}=1")
    assert keyed.data == {}


async def test_no_query_at_all_is_the_picture_too(site: Site) -> None:
    for path in (PIXEL, f"{PIXEL}?", f"{PIXEL}?&&"):
        answer = await site.ask("GET", path, origin=None)
        assert (answer.status, outcome(answer)) == (200, ("refused", "missing_key"))


async def test_a_body_is_not_looked_at(site: Site) -> None:
    wire = await site.connect()
    await wire.send(request("GET", f"{PIXEL}?{query(site)}", b"x" * 5000, [("Content-Length", "5000")]))
    assert outcome(await wire.answer("GET")) == ("stored", None)
    await wire.send(request("GET", f"{PIXEL}?{query(site)}"))
    assert outcome(await wire.answer("GET")) == ("stored", None)


async def test_nothing_of_a_query_gets_into_a_log_or_a_metric(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    word = quote(SECRET)
    with caplog.at_level(logging.DEBUG):
        await get(site, query(site, t=SECRET, n="Fault"))
        await get(site, query(site, t=SECRET))
        await get(site, f"{query(site)}&e={word}%FF")
    text = (await site.ask("GET", "/metrics")).body.decode()
    for kept in (caplog.text, text):
        for secret in (SECRET, word, word.replace("%20", "+"), site.browser_key, "127.0.0.1"):
            assert secret not in kept
    assert 'route="/v1/pixel.gif",status="200"} 3.0' in text


async def test_it_is_told_to_who_looks_on_as_other_events_are(site: Site) -> None:
    seen: list[tuple[str, bool]] = []

    def watch(answer: Any, dry_run: bool) -> None:
        seen.append((answer.receipts[0].outcome, dry_run))

    site.protocol_runner._watch = watch
    await get(site, query(site) + "&dry_run=1")
    assert seen == [(StoreOutcome.STORED, False)]

"""Addresses that look like an allowed origin and are none: 403, in the event's url and in the Origin header alike."""

from __future__ import annotations

import pytest

from .rows import Row, check_common, check_problem, check_refused, event, store, table
from .serving import CANARY, ORIGIN, PAGE, RULES, AuditedCollector
from .wire import request

CYRILLIC = "\u0430"
FOREIGN = {
    # the rule https://good.com
    "another site": "https://evil.com",
    "the name as a subdomain": "https://good.com.evil.com",
    "the name as an ending": "https://evilgood.com",
    "the name as an ending after a dash": "https://evil-good.com",
    "a subdomain": "https://www.good.com",
    "the name as userinfo": "https://good.com@evil.com",
    "the name as userinfo with a password": "https://good.com:443@evil.com",
    "the name behind userinfo": "https://evil.com@good.com",
    "a backslash": "https://evil.com\\@good.com",
    "a backslash after the name": "https://good.com\\@evil.com",
    "a backslash and nothing": "https://good.com\\",
    "a backslash for the slash": "https://good.com\\page",
    "another port": "https://good.com:8443",
    "another scheme's port": "https://good.com:80",
    "another scheme": "http://good.com",
    "another scheme on its port": "http://good.com:443",
    "port 0": "https://good.com:0",
    "a port too large": "https://good.com:65979",
    "a port that is none": "https://good.com:44x",
    "a port without digits": "https://good.com:",
    "a port in another script": "https://good.com:\uff14\uff14\uff13",
    "two ports": "https://good.com:443:443",
    "another top-level domain": "https://good.co",
    "a longer top-level domain": "https://good.community",
    "a trailing dot": "https://good.com.",
    "two trailing dots": "https://good.com..",
    "a leading dot": "https://.good.com",
    "two dots": "https://good..com",
    "percent": "https://good%2ecom",
    "percent and NUL": "https://good.com%00.evil.com",
    "percent and a slash": "https://evil.com%2f.good.com",
    "a Cyrillic look-alike": f"https://g{CYRILLIC}od.com",
    "its Punycode": "https://xn--god-7cd.com",
    "Punycode of nothing": "https://xn--.com",
    "full-width letters": "https://\uff47ood.com",
    "an ideographic full stop": "https://good\u3002com",
    "a soft hyphen": "https://go\u00adod.com",
    "a zero-width joiner": "https://good\u200d.com",
    "a long s": "https://good.com\u017f",
    "no host": "https://",
    "a port and no host": "https://:443",
    "brackets": "https://[good.com]",
    "an address": "https://93.184.216.34",
    "an IPv6 address": "https://[::1]",
    "an asterisk": "https://*.wild.example",
    # the rule https://*.wild.example
    "the bare domain": "https://wild.example",
    "the ending of a label": "https://evilwild.example",
    "the wildcard as a subdomain": "https://a.wild.example.evil.com",
    "the wildcard behind userinfo": "https://evil.com@a.wild.example",
    "the wildcard on another port": "https://a.wild.example:8443",
    "the wildcard's empty label": "https://.wild.example",
    "the wildcard with an underscore for a dot": "https://a_wild.example",
    # the rule https://port.example:8443
    "without its port": "https://port.example",
    "another port than its own": "https://port.example:8444",
    "its port with more digits": "https://port.example:84430",
    # the rule http://localhost:*
    "localhost by https": "https://localhost:3000",
    "localhost with a domain": "http://localhost.evil.com:3000",
    "a subdomain of localhost": "http://evil.localhost:3000",
    "the loopback by its number": "http://127.0.0.1:3000",
}
BEYOND_A_BROWSER = {
    "a tab": "https://good.com\t.evil.com",
    "a newline": "https://good\n.com",
    "a blank": "https://good.com .evil.com",
    "DEL": "https://good.com\x7f.evil.com",
}


@table(
    Row(
        name=name,
        body=event(url=f"{origin}/page?q={CANARY}"),
        code="origin_not_allowed",
        status=403,
    )
    for name, origin in FOREIGN.items()
)
def test_an_event_from_a_foreign_page_is_refused(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


@table(
    Row(
        name=name,
        body=event(url=f"{origin}/page"),
        code="invalid_event",
        fields=frozenset({"url"}),
    )
    for name, origin in BEYOND_A_BROWSER.items()
)
def test_what_no_browser_takes_for_a_url_is_none(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


NO_ORIGINS = {
    "null": b"null",
    "NULL": b"NULL",
    "two nulls": b"null, null",
    "empty": b"",
    "a word": b"good.com",
    "no scheme": b"//good.com",
    "a path": b"https://good.com/",
    "a longer path": b"https://good.com/page",
    "a query": b"https://good.com?q",
    "a fragment": b"https://good.com#top",
    "a blank before the port": b"https://good.com :443",
    "two origins": b"https://good.com https://good.com",
    "two origins with a comma": b"https://good.com, https://evil.com",
    "a scheme that is no page's": b"chrome-extension://good.com",
    "file": b"file://",
    "beyond ASCII in Latin-1": b"https://g\xf6od.com",
    "8 KB": b"https://good.com." + b"a." * 4000 + b"com",
}


@table(
    [
        Row(
            name=name,
            body=event(),
            headers=(("Origin", origin.encode()),),
            code="origin_not_allowed",
            status=403,
        )
        for name, origin in FOREIGN.items()
    ]
    + [
        Row(name=name, body=event(), headers=(("Origin", origin),), code="origin_not_allowed", status=403)
        for name, origin in NO_ORIGINS.items()
    ]
)
def test_a_request_from_a_foreign_origin_is_refused(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


@table(
    Row(
        name=name,
        body=b"[" + event() + b"]",
        path="/v1/batch",
        headers=(("Origin", origin),),
        code="origin_not_allowed",
        status=403,
    )
    for name, origin in NO_ORIGINS.items()
)
def test_a_batch_from_a_foreign_origin_is_refused_as_a_whole(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


def test_a_nul_in_the_host_is_replaced_and_makes_it_foreign(site: AuditedCollector) -> None:
    body = event(url="https://good.com\x00.evil.com/page")
    check_refused(site, Row(name="NUL", body=body, code="origin_not_allowed", status=403))


def test_an_origin_twice_is_refused(site: AuditedCollector) -> None:
    with site.wire() as wire:
        sent = request("/v1/events", event(), site.headers()).replace(
            b"\r\nOrigin:", b"\r\nOrigin: https://evil.com\r\nOrigin:"
        )
        wire.send(sent)
        check_problem(wire.answer(), 403, "origin_not_allowed", f"https://evil.com,{ORIGIN}")
        site.check_after(wire)


def test_foreign_pages_in_a_batch_are_refused_one_by_one(site: AuditedCollector) -> None:
    pages = [f"{origin}/page" for origin in FOREIGN.values()]
    with site.wire() as wire:
        body = b"[" + b",".join([event(), *(event(url=page) for page in pages), event()]) + b"]"
        answer = check_common(site.ask(wire, body, path="/v1/batch"))
        told = [(result["outcome"], result.get("reason")) for result in answer.json["results"]]
        assert told == [("stored", None), *[("refused", "origin_not_allowed")] * len(pages), ("stored", None)]
        site.check_after(wire)


ALLOWED = {
    "upper case": "HTTPS://GOOD.COM",
    "the default port": "https://good.com:443",
    "a subdomain of the wildcard": "https://a.wild.example",
    "a deep one": "https://a.b.c.wild.example",
    "a Punycode one": "https://xn--bcher-kva.wild.example",
    "its own port": "https://port.example:8443",
    "any port": "http://localhost:3000",
    "no port": "http://localhost",
}


@pytest.mark.parametrize("origin", ALLOWED.values(), ids=list(ALLOWED))
def test_what_only_looks_foreign_is_stored(site: AuditedCollector, origin: str) -> None:
    """Each has to match a rule, not the other: frames and subdomains differ."""
    assert store(site, event(url=f"{origin}/page"))["url"] == f"{origin}/page"
    with site.wire() as wire:
        answer = site.ask(wire, event(), ("Origin", origin))
        assert answer is not None
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, origin)
        site.check_after(wire)


def test_without_an_origin_the_url_alone_counts(site: AuditedCollector) -> None:
    with site.wire() as wire:
        answer = site.ask(wire, event(), ("Origin", None))
        assert answer is not None
        assert answer.status == 200
        check_problem(site.ask(wire, event(url="https://evil.com/"), ("Origin", None)), 403, "origin_not_allowed", None)
        site.check_after(wire)


@pytest.mark.parametrize(
    "path", ["user:pass@", "@good.com", "//good.com", "https://good.com/", "..//", "%00", "%0d%0a"]
)
def test_what_stands_after_the_host_does_not_make_it_another(site: AuditedCollector, path: str) -> None:
    """In the path, the query and the fragment everything may stand that may stand there."""
    url = f"{PAGE}/{path}?next=https://evil.com/&q={path}#@evil.com"
    assert store(site, event(url=url))["url"] == url


def test_a_server_key_needs_no_origin_but_a_plain_host(site: AuditedCollector) -> None:
    for origin in ("https://evil.com", *[rule for rule in RULES if "*" not in rule]):
        assert store(site, event(url=f"{origin}/"), server=True)["url"] == f"{origin}/"
    for name in ("the name as userinfo", "a backslash", "percent", "a Cyrillic look-alike", "no host"):
        row = Row(
            name=name,
            body=event(url=f"{FOREIGN[name]}/"),
            code="invalid_event",
            fields=frozenset({"url"}),
            server=True,
        )
        check_refused(site, row)


def test_with_a_server_key_the_connections_origin_counts_for_nothing(site: AuditedCollector) -> None:
    with site.wire() as wire:
        answer = site.ask(wire, event(), ("Origin", "https://evil.com"), key=site.server_key)
        assert check_common(answer, "https://evil.com").status == 200
        site.check_after(wire)

"""Origins: what a rule is, what it matches, and what is read from urls and headers that mean harm."""

from __future__ import annotations

import pytest

from catchment.core.errors import Invalid
from catchment.core.origins import Origin, OriginRule, OriginRules, host_of, read_origin_header, read_url

GOOD = "https://good.com"
RULES = OriginRules.parse(
    [
        GOOD,
        "https://app.good.com:8443",
        "https://*.wild.com",
        "http://localhost:*",
        "http://[::1]:3000",
        "https://xn--mller-kva.example",
        "http://192.0.2.1",
    ]
)

ALLOWED = [
    "https://good.com",
    "https://good.com:443",
    "HTTPS://GOOD.COM",
    "https://app.good.com:8443",
    "https://a.wild.com",
    "https://a.b.wild.com",
    "http://localhost",
    "http://localhost:80",
    "http://localhost:5173",
    "http://[::1]:3000",
    "https://xn--mller-kva.example",
    "https://XN--MLLER-KVA.example",
    "http://192.0.2.1",
]

REFUSED = [
    "https://good.com.evil.com",
    "https://evilgood.com",
    "https://good.com@evil.com",
    "https://good.com:x@evil.com",
    "https://evil.com@good.com",
    "https://evil.com\\@good.com",
    "https://good.com\\.evil.com",
    "https://evil.com\\good.com",
    "https://good.com%2eevil.com",
    "https://good%2ecom",
    "https://good.com%00.evil.com",
    "https://good.com:8443",
    "https://good.com:80",
    "https://good.com:0",
    "https://good.com:65536",
    "https://good.com:443443",
    "https://good.com:",
    "https://good.com:+443",
    "https://good.com:4 43",
    "https://good.com:\uff14\uff14\uff13",
    "https://good.com:443:443",
    "http://good.com",
    "ftp://good.com",
    "wss://good.com",
    "https://good.com.",
    "https://.good.com",
    "https://good..com",
    "https://www.good.com",
    "https://g\u043eod.com",
    "https://good\u3002com",
    "https://good.com\u200b",
    "https://g\xadood.com",
    "https://\uff47ood.com",
    "https://m\xfcller.example",
    "https://good.com\t",
    "https://go\tod.com",
    "https://go\nod.com",
    "https://good.com\r\n",
    "https:// good.com",
    "https://good.com\x00",
    "https://good.com\x7f",
    "https://*.wild.com",
    "https://wild.com",
    "https://evilwild.com",
    "https://a.wild.com.evil.com",
    "https://a.wild.com:8443",
    "http://a.wild.com",
    "https://a@b.wild.com",
    "http://localhost.evil.com",
    "http://localhost.",
    "https://localhost",
    "http://evil.localhost",
    "http://[::1]",
    "http://[::2]:3000",
    "http://[::1",
    "http://::1:3000",
    "http://[::1].evil.com",
    "http://[::1%25lo]:3000",
    "http://192.0.2.1.evil.com",
    "http://192.0.2.10",
    "https://",
    "https://:443",
    "https:///good.com",
    "https:good.com",
    "//good.com",
    "good.com",
    "null",
    "",
    "*",
]


@pytest.mark.parametrize("origin", ALLOWED)
def test_what_a_rule_says_is_allowed(origin: str) -> None:
    assert RULES.allow(read_origin_header(origin))
    url = read_url(f"{origin}/page?a=/b#c")
    assert url is not None
    assert RULES.allow(url.origin)


@pytest.mark.parametrize("origin", REFUSED, ids=ascii)
def test_what_no_rule_says_is_refused_as_a_header(origin: str) -> None:
    assert not RULES.allow(read_origin_header(origin))


@pytest.mark.parametrize("origin", REFUSED, ids=ascii)
@pytest.mark.parametrize("after", ["", "/", "/page?a=b#c", "?a", "#a"])
def test_what_no_rule_says_is_refused_as_a_url(origin: str, after: str) -> None:
    url = read_url(origin + after)
    assert url is None or not RULES.allow(url.origin)


@pytest.mark.parametrize(
    "after", ["/", "/good.com", "?good.com", "#good.com", "#@good.com", "/@good.com", "?@good.com"]
)
def test_only_the_authority_is_looked_at(after: str) -> None:
    url = read_url(f"https://evil.com{after}")
    assert url is not None
    assert url.origin == Origin("https", "evil.com", 443)


@pytest.mark.parametrize("after", ["/", "/a", "?a", "#a"])
def test_an_origin_header_is_an_origin_and_no_more(after: str) -> None:
    assert read_origin_header(f"https://good.com{after}") is None


@pytest.mark.parametrize(
    ("text", "path", "query"),
    [
        ("https://good.com", "", ""),
        ("https://good.com/a/b;c=1", "/a/b;c=1", ""),
        ("https://good.com/a?b=1&c=/d#e?f", "/a", "b=1&c=/d"),
        ("https://good.com?b", "", "b"),
        ("https://good.com/#\u2028", "/", ""),
        ("https://good.com/%20%00", "/%20%00", ""),
    ],
)
def test_a_url_is_split(text: str, path: str, query: str) -> None:
    url = read_url(text)
    assert url is not None
    assert (url.path, url.query) == (path, query)


def test_no_origin_is_never_allowed() -> None:
    assert not RULES.allow(None)
    assert not OriginRules().allow(Origin("https", "good.com", 443))


# rules


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("https://good.com", "https://good.com"),
        ("  HTTPS://Good.COM/ ", "https://good.com"),
        ("https://good.com:443", "https://good.com"),
        ("http://good.com:80", "http://good.com"),
        ("http://good.com:443", "http://good.com:443"),
        ("https://good.com:08443", "https://good.com:8443"),
        ("https://*.good.com", "https://*.good.com"),
        ("https://*.good.com:8443", "https://*.good.com:8443"),
        ("https://*.good.com:*", "https://*.good.com:*"),
        ("http://localhost:*", "http://localhost:*"),
        ("http://localhost:*/", "http://localhost:*"),
        ("http://*.localhost:*", "http://*.localhost:*"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[::1]:*", "http://[::1]:*"),
        ("http://192.0.2.1:8080", "http://192.0.2.1:8080"),
        ("https://my_host.good.com", "https://my_host.good.com"),
    ],
)
def test_a_rule_has_a_canonical_form(text: str, canonical: str) -> None:
    assert str(OriginRule.parse(text)) == canonical
    assert OriginRule.parse(canonical) == OriginRule.parse(text)


@pytest.mark.parametrize("text", ["http://[0:0:0:0:0:0:0:1]:3000", "http://[0::1]:3000", "http://[::0001]:3000"])
def test_an_address_in_a_rule_is_written_as_browsers_write_it(text: str) -> None:
    assert str(OriginRule.parse(text)) == "http://[::1]:3000"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "good.com",
        "*",
        "https://",
        "https://*",
        "https://*.",
        "https://*.com",
        "https://*.*.good.com",
        "https://*good.com",
        "https://app.*.good.com",
        "https://*.192.0.2.1",
        "https://*.[::1]",
        "https://*.[::ffff:192.0.2.1]",
        "https://[::1",
        "https://[...]",
        "https://[:::::]",
        "https://good.com/path",
        "https://good.com?x",
        "https://good.com#x",
        "https://good.com//",
        "https://user@good.com",
        "https://good.com.",
        "https://good..com",
        "https://-good.com",
        "https://good.com:0",
        "https://good.com:65536",
        "https://good.com:x",
        "https://good.com:",
        "https://good.com:*:*",
        "https://good.com:8443:*",
        "https://go od.com",
        "https://good\n.com",
        "https://m\xfcller.example",
        "https://good.com\\",
        "https://good%2ecom",
        "ftp://good.com",
        "javascript://good.com",
        "null",
        f"https://{'a.' * 127}com",
    ],
    ids=ascii,
)
def test_what_is_no_rule_is_said(text: str) -> None:
    with pytest.raises(Invalid, match=r"^origin "):
        OriginRule.parse(text)


@pytest.mark.parametrize(
    ("rule", "canonical", "allowed", "others"),
    [
        ("capacitor://localhost", "capacitor://localhost", "capacitor://localhost", "capacitor://localhost:1"),
        ("APP://-", "app://-", "app://-", "app://."),
        ("tauri://localhost/", "tauri://localhost", "tauri://LOCALHOST", "tauri://localhost.evil.com"),
        ("ionic://my-app:8100", "ionic://my-app:8100", "ionic://my-app:8100", "ionic://my-app"),
        ("moz-extension://*", "moz-extension://*", "moz-extension://0f4f-11", "chrome-extension://0f4f-11"),
        ("chrome-extension://abcd", "chrome-extension://abcd", "chrome-extension://abcd", "moz-extension://abcd"),
    ],
)
def test_an_app_is_an_origin_that_an_owner_can_allow(rule: str, canonical: str, allowed: str, others: str) -> None:
    parsed = OriginRule.parse(rule)
    assert str(parsed) == str(OriginRule.parse(str(parsed))) == canonical
    rules = OriginRules((parsed,))
    for read in (read_origin_header, lambda text: getattr(read_url(f"{text}/index.html?q#h"), "origin", None)):
        assert rules.allow(read(allowed))
        for other in (others, "https://localhost", "http://-", f"{allowed.partition(':')[0]}x://localhost", "null"):
            assert not rules.allow(read(other))


@pytest.mark.parametrize(
    "text",
    [
        "javascript://localhost", "data://x", "blob://x", "file://x", "file://*", "javascript://*", "https://*", "*://x",
        "app://*.example", "app://", "app:///", "app://a@b", "app://a%20b", "app://*:*", "ws://x", "1app://x", "app:x",
    ],
)  # fmt: skip
def test_what_is_no_app_is_no_rule(text: str) -> None:
    with pytest.raises(Invalid):
        OriginRule.parse(text)


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        ("https://Example.com:8443/x", "example.com"),
        ("android-app://com.google.android.gm/", "com.google.android.gm"),
        ("https://example.com./ü b", "example.com"),
        ("https://user:secret@example.com/", "example.com"),
        ("https://müller.example/", "xn--mller-kva.example"),
        ("https://evil.io\\@example.com/", "evil.io"),
        ("http://[2001:DB8::1]:80/", "[2001:db8::1]"),
        ("https://exam ple.com/", None),
        ("https://ex%61mple.com/", None),
        ("javascript://example.com/%0aalert(1)", None),
        ("about:client", None),
        ("example.com/page", None),
        ("https://" + "a." * 200 + "com/", None),
        ("https://" + "ü." * 100 + "com/", None),
        ("", None),
    ],
)
def test_the_host_of_a_referrer(referrer: str, host: str | None) -> None:
    assert host_of(referrer) == host

"""Origins under fire: what holds of every rule, every origin and every url."""

from __future__ import annotations

import re
from ipaddress import IPv6Address

from hypothesis import example, given
from hypothesis import strategies as st

from catchment.core.errors import Invalid
from catchment.core.origins import Origin, OriginRule, OriginRules, read_origin_header, read_url

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=2, max_size=4).map(".".join).filter(lambda name: not name[-1].isdigit())


def in_brackets(address: IPv6Address) -> str:
    """As browsers write it; Python 3.13 and later write an IPv4-mapped one with dots."""
    if address.ipv4_mapped is None:
        return f"[{address.compressed}]"
    number = int(address.ipv4_mapped)
    return f"[::ffff:{number >> 16:x}:{number & 0xFFFF:x}]"


hosts = names | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(in_brackets)
schemes = st.sampled_from(["http", "https"])
ports = st.just("") | st.integers(1, 65535).map(":{}".format) | st.just(":*")
rules = st.builds("{}://{}{}".format, schemes, hosts, ports) | st.builds("{}://*.{}{}".format, schemes, names, ports)
origins = st.builds(Origin, schemes, hosts, st.integers(1, 65535))

# pieces of which a hostile address is made
pieces = st.sampled_from(
    [
        *("https:", "http:", "HTTPS:", "/", "//", "\\", "@", ":", "?", "#", ".", "%", "%2e", "%40", "*", "[", "]"),
        *("good.com", "evil.com", "GOOD.com", "xn--a", "443", "80", "-", "_", " ", "\t", "\n", "\r", "\x00", "\xa0"),
        *("\u3002", "\uff0e", "\u0430", "\xad", "\u2028", "\ud800", "javascript:", "a", "0x7f.1", "[::1]"),
    ]
)
addresses = st.lists(pieces, max_size=10).map("".join)
after_scheme = addresses.map("https://{}".format)


def browsers_reading(text: str) -> tuple[str, str] | None:
    """Scheme and host of an http url as the WHATWG URL standard's parser finds them, host as it stands there:
    it strips blanks at the ends, removes tabs and newlines, takes ``\\`` for ``/``, and what is before the last
    ``@`` of the authority for a user. None where it is another kind of url."""
    text = re.sub(r"^[\x00-\x20]+|[\x00-\x20]+$", "", text)
    text = re.sub(r"[\t\n\r]", "", text)
    match = re.match(r"(https?):[/\\]*([^/\\?#]*)", text, re.IGNORECASE)
    if match is None:
        return None
    host = match[2].rpartition("@")[2]
    host = re.sub(r":[0-9]*$", "", host)
    return match[1].lower(), host.lower()


@given(after_scheme | addresses)
@example("https://evil.io\\@yourdomain.com/")
@example("https://good.com\\.evil.com/")
@example("https://good.com:443\\@evil.com/")
@example("https://evil.com#@good.com/")
@example("https://\tgood.com/")
def test_a_url_is_never_read_as_another_host_than_a_browser_reads(text: str) -> None:
    url = read_url(text)
    if url is not None and url.origin is not None:
        assert browsers_reading(text) == (url.origin.scheme, url.origin.host)


@given(after_scheme | addresses | st.text(max_size=30))
def test_what_is_read_is_plain(text: str) -> None:
    for origin in (read_origin_header(text), getattr(read_url(text), "origin", None)):
        if origin is not None:
            assert re.fullmatch(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]", origin.host)
            assert 0 < origin.port < 65536
            assert origin.scheme in ("http", "https")


@given(origins)
def test_an_origin_is_read_as_it_is_written(origin: Origin) -> None:
    assert read_origin_header(str(origin)) == origin
    url = read_url(f"{origin}/page")
    assert url is not None
    assert url.origin == origin


@given(rules)
def test_a_rule_survives_being_written(text: str) -> None:
    rule = OriginRule.parse(text)
    assert OriginRule.parse(str(rule)) == rule
    assert OriginRule.parse(f" {text.upper()}/ ") == rule


@given(addresses | after_scheme | st.text(max_size=30))
def test_a_rule_is_read_or_said_to_be_none(text: str) -> None:
    try:
        rule = OriginRule.parse(text)
    except Invalid:
        return
    assert OriginRule.parse(str(rule)) == rule


@given(origins)
def test_a_rule_matches_what_it_was_made_of(origin: Origin) -> None:
    assert OriginRules.parse([str(origin)]).allow(origin)


@given(schemes, names, labels, st.integers(1, 65535))
def test_a_wildcard_matches_every_subdomain_and_not_the_domain(scheme: str, name: str, label: str, port: int) -> None:
    allowed = OriginRules.parse([f"{scheme}://*.{name}:*"])
    assert allowed.allow(Origin(scheme, f"{label}.{name}", port))
    assert allowed.allow(Origin(scheme, f"{label}.{label}.{name}", port))
    assert not allowed.allow(Origin(scheme, name, port))
    assert not allowed.allow(Origin(scheme, f"{label}{name}", port))


@given(st.lists(rules, max_size=4), origins | rules.map(lambda rule: OriginRule.parse(rule)).map(
    lambda rule: Origin(rule.scheme, rule.host, max(rule.port, 1))
))  # fmt: skip
def test_nothing_matches_but_a_rules_host_or_what_is_under_it(texts: list[str], origin: Origin) -> None:
    allowed = OriginRules.parse(texts)
    if allowed.allow(origin):
        assert any(
            rule.scheme == origin.scheme
            and rule.port in (-1, origin.port)
            and (origin.host.endswith("." + rule.host) if rule.subdomains else origin.host == rule.host)
            for rule in allowed.rules
        )


@given(names, addresses)
def test_no_url_gets_in_whose_host_is_not_the_rules(name: str, hostile: str) -> None:
    allowed = OriginRules.parse([f"https://{name}", f"https://*.{name}"])
    for text in (f"https://{hostile}{name}/", f"https://{name}{hostile}/", f"https://{hostile}/{name}"):
        url = read_url(text)
        if url is not None and allowed.allow(url.origin):
            read = browsers_reading(text)
            assert read is not None
            assert read[1] == name or read[1].endswith("." + name)

"""Scrubs a text, a url or a path: cuts it, and takes personal data and secrets out.

`catchment.core.metering.personal_data` has the table of what is taken out.
"""

from __future__ import annotations

import re
from ipaddress import ip_network

from ..privacy import read_address
from .personal_data import Found, Kind, Within, detect

LONGEST_TEXT = 512
"""In characters. A longer text is cut."""
ELLIPSIS = "…"
_OVERLAP = 128
"""Characters after the cut that the detectors still see. They are left out: half of a card number is not found."""
_LONGEST_PLACEHOLDER = 12
_ROUNDS = 6
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def scrub_text(text: str, found: Found, *, longest: int = LONGEST_TEXT, within: Within = Within.TEXT) -> str:
    """Return the text without personal data, and add the kinds that were in it to `found`.

    The result has at most `longest` characters. Scrubbing it again changes nothing.
    """
    for _ in range(_ROUNDS):
        scrubbed = _scrub_once(text, found, longest, within)
        if scrubbed == text:
            return text
        text = scrubbed
    found.add(Kind.TEXT)
    return Kind.TEXT.placeholder


def scrub_address(text: str, found: Found, *, longest: int = LONGEST_TEXT) -> str:
    """Return a url or a path as `scrub_text` does. All after the first ``?`` or ``#`` is taken out, blanks or not."""
    room = longest - len("?[fragment]")
    head, tail = _split_address(text[: longest + _OVERLAP])
    if tail:
        kind = Kind.QUERY if tail[0] == "?" else Kind.FRAGMENT
        tail = tail[0] + _placed(tail[1:], kind, found)
    return scrub_text(head, found, longest=room, within=Within.PATH) + tail


def _scrub_once(text: str, found: Found, longest: int, within: Within) -> str:
    is_cut = len(text) > longest
    text = _UNSTORABLE.sub("\ufffd", text[: longest + _OVERLAP])
    parts, at = [], 0
    if "://" in text:
        for match in _URL.finditer(text):
            parts += [detect(text[at : match.start()], found, within), _scrub_url(match, found)]
            at = match.end()
    parts.append(detect(text[at:], found, within))
    text = "".join(parts)
    if is_cut:
        text = text[:-_OVERLAP]
    if is_cut or len(text) > longest:
        found.add(Kind.CUT)
        text = _cut(text, longest)
    return text


def _cut(text: str, longest: int) -> str:
    text = text[: longest - len(ELLIPSIS)]
    opened = text.rfind("[")
    if opened > text.rfind("]") and opened > len(text) - _LONGEST_PLACEHOLDER:
        text = text[:opened]
    return text + ELLIPSIS


def _placed(text: str, kind: Kind, found: Found) -> str:
    """Return the placeholder for a text. None is found if the text is empty or the placeholder itself."""
    if not text or text == kind.placeholder:
        return text
    found.add(kind)
    return kind.placeholder


# Urls

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://(\S*)")
_END_OF_AUTHORITY = re.compile(r"[/\\?#]")
_PORT = re.compile(r":[0-9]{1,5}\Z", re.ASCII)
_QUERY_OR_FRAGMENT = re.compile("[?#]")


def _scrub_url(match: re.Match[str], found: Found) -> str:
    scheme, rest = match.groups()
    end = _END_OF_AUTHORITY.search(rest)
    authority, tail = (rest, "") if end is None else (rest[: end.start()], rest[end.start() :])
    user, at, host = authority.rpartition("@")
    path, query = _split_address(tail)
    if query:
        query = query[0] + _placed(query[1:], Kind.QUERY if query[0] == "?" else Kind.FRAGMENT, found)
    login = _placed(user, Kind.USER, found) + at
    return (
        f"{detect(scheme, found, Within.TEXT)}://{login}{_host(host, found)}{detect(path, found, Within.PATH)}{query}"
    )


def _split_address(text: str) -> tuple[str, str]:
    match = _QUERY_OR_FRAGMENT.search(text)
    return (text, "") if match is None else (text[: match.start()], text[match.start() :])


_IN_HOUSE = tuple(
    ip_network(network)
    for network in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)
"""Networks in which the host of a url is a website of one's own, and not a visitor."""


def _host(host: str, found: Found) -> str:
    """Return the host of a url. An address in `_IN_HOUSE` is kept."""
    port = _PORT.search(host)
    name = host if port is None else host[: port.start()]
    address = read_address(name.removeprefix("[").removesuffix("]"))
    if address is not None and "%" not in name and any(address in network for network in _IN_HOUSE):
        return host
    return detect(name, found, Within.PATH) + (port[0] if port else "")

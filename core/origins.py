"""Origins: which websites and apps may send events with a project's browser key.

A rule is ``https://app.example.com``, ``https://app.example.com:8443``, ``https://*.example.com`` (any
subdomain, not the bare domain) or ``http://localhost:*``. Apps have schemes of their own: ``capacitor://localhost``,
``app://-``, ``tauri://localhost``, ``moz-extension://*`` (any host). Scheme, host and port all count.

Urls and headers are read strictly. A lenient parser that differs from the browsers is a security hole: `urllib.parse`
finds ``yourdomain.com`` in ``https://evil.io\\@yourdomain.com/``, and strips tabs and newlines.

Hosts are ASCII here. An adapter converts international names to ASCII (IDNA) once, when a rule is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import quote

from .errors import Invalid
from .remembering import remember_short

DEFAULT_PORTS = {"http": 80, "https": 443}
ANY_PORT = -1
_LONGEST_IDN = 100
"""Characters of a host that is not ASCII. Converting a long one to ASCII costs as much as many events."""
_LONGEST_AUTHORITY = 253 + len(":65535")
NO_PORT = 0
"""The port of an app's origin without a port: its scheme has no default."""
ANY_HOST = "*"

NO_PAGES = frozenset(
    {"about", "blob", "chrome", "data", "edge", "file", "filesystem", "ftp", "ftps", "intent", "jar", "javascript"}
    | {"mailto", "resource", "tel", "vbscript", "view-source", "ws", "wss"}
)
"""Schemes that are no pages, or are scripts."""

_SCHEME = "[a-z][a-z0-9+.-]{0,31}"
_URL = re.compile(rf"({_SCHEME})://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.IGNORECASE | re.DOTALL)
_RULE = re.compile(rf"({_SCHEME})://(\*\.)?([^/]*?)(:\*)?/?", re.IGNORECASE)
_ENDS_IN_PORT = re.compile(r":[0-9]+$")
_CONTROL_OR_BLANK = re.compile(r"[\x00-\x20\x7f-\xa0]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")
_AS_IT_IS = "".join(map(chr, range(0x21, 0x7F)))
"""Characters that are not percent-encoded: all that a url may hold, with `%`."""
_LABEL = "[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_AUTHORITY = re.compile(rf"({_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::([0-9]{{1,5}}))?")
_APP_AUTHORITY = re.compile(r"([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?::([0-9]{1,5}))?")
_BEGINNING = re.compile(rf"\s*({_SCHEME})://([^/?#\\]{{1,300}})", re.IGNORECASE)


class Origin(NamedTuple):
    """The scheme, host (lower case, ASCII) and port (a number; `NO_PORT` if the scheme has no default) of a url."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        port = "" if self.port == _default_port(self.scheme) else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def _default_port(scheme: str) -> int:
    return DEFAULT_PORTS.get(scheme, NO_PORT)


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of an absolute url. `origin` is None if a browser would not send such an authority."""

    origin: Origin | None
    path: str
    query: str
    """Without its question mark."""


def _ipv6(host: str) -> str | None:
    """Return an address in brackets as browsers write it (RFC 5952, without dots); None if it is no address."""
    try:
        address = IPv6Address(host[1:-1])
    except ValueError:
        return None
    plain = str(IPv6Address(int(address)))
    if "." in plain:  # Python 3.13 and later write an IPv4-mapped one with dots
        plain = f"::ffff:{int(address) >> 16 & 0xFFFF:x}:{int(address) & 0xFFFF:x}"
    return f"[{plain}]"


def read_origin(scheme: str, authority: str) -> Origin | None:
    """Return the origin of a scheme and an authority (``host[:port]``). Return None if the authority has a user, ``%``,
    a backslash, a blank, a control character, a host that is not ASCII, or a bad port."""
    scheme = scheme.lower()
    if scheme in NO_PAGES or len(scheme) > 32 or len(authority) > _LONGEST_AUTHORITY or not authority.isascii():
        return None  # checked before the text gets into a cache
    return _read_origin(scheme, authority)


@lru_cache(maxsize=4096)
def _read_origin(scheme: str, authority: str) -> Origin | None:
    authority = authority.lower()
    match = (_AUTHORITY if scheme in DEFAULT_PORTS else _APP_AUTHORITY).fullmatch(authority)
    if match is None or len(match[1]) > 253 or re.fullmatch(_SCHEME, scheme) is None:
        return None
    host = _ipv6(match[1]) if match[1].startswith("[") else match[1]
    if match[2] is None:
        return Origin(scheme, host, _default_port(scheme)) if host is not None else None
    return Origin(scheme, host, int(match[2])) if host is not None and 0 < int(match[2]) < 65536 else None


def read_url(text: str) -> Url | None:
    """Return the parts of a page's absolute url. Return None for any other text: relative, ``javascript:``, with a
    control character or a blank, with a backslash in its path."""
    return _short_url(text)


def _read_url(text: str) -> Url | None:
    match = _URL.fullmatch(text)
    if match is None or _CONTROL_OR_BLANK.search(text):
        return None
    scheme, authority, path, query, _ = match.groups()
    if "\\" in path or not (path + (query or "")).isascii() or scheme.lower() in NO_PAGES:
        return None
    return Url(read_origin(scheme, authority), path, query[1:] if query else "")


_short_url = remember_short(_read_url, entries=4096)


def percent_encoded(text: str) -> str | None:
    """Return the url as a browser would send it: without blanks around it; blanks and letters beyond ASCII after its
    host are percent-encoded (as UTF-8). Return None if it is still no url: it has a control character, U+FFFD, or a
    host that is not ASCII."""
    match = _URL.fullmatch(text.strip(" "))
    if match is None or _CONTROL.search(text):
        return None
    scheme, authority, *rest = match.groups()
    return f"{scheme}://{authority}{quote(''.join(part or '' for part in rest), safe=_AS_IT_IS)}"


def host_of(text: str) -> str | None:
    """Return the host of an address with any scheme (``android-app://…``) and any path: in lower case, in ASCII (IDNA),
    without user, port or trailing dot. Return None if there is none."""
    match = _BEGINNING.match(text)
    return None if match is None or match[1].lower() in NO_PAGES else _host(match[2])


def _read_host(authority: str) -> str | None:
    host = authority.rpartition("@")[2].lower()
    if host.startswith("["):
        return _ipv6(host.partition("]")[0] + "]")
    host = host.partition(":")[0].rstrip(".")
    if not host.isascii():
        if len(host) > _LONGEST_IDN:
            return None
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            return None
    return host if _APP_AUTHORITY.fullmatch(host) and len(host) <= 253 else None


_host = remember_short(_read_host, entries=4096, letters=_LONGEST_AUTHORITY)


def read_origin_header(text: str) -> Origin | None:
    """Return the origin in an ``Origin`` header (nothing after the port), or None if it is none, such as ``null``."""
    scheme, separator, authority = text.partition("://")
    return read_origin(scheme, authority) if separator else None


def _may_have_subdomains(host: str) -> bool:
    if host == "localhost":
        return True
    return "." in host and not host.startswith("[") and not host.rpartition(".")[2].isdigit()


_EXPECTED = (
    "expected scheme://host or scheme://host:port, such as https://app.example.com, https://*.example.com, "
    "http://localhost:*, or an app's capacitor://localhost, without a path or a user"
)


@dataclass(frozen=True, slots=True)
class OriginRule:
    """One allowed origin. `subdomains`: any subdomain of `host`, not the host itself. `host` is `ANY_HOST` in a rule
    for all installations of an app, such as ``moz-extension://*``."""

    scheme: str
    host: str
    port: int
    subdomains: bool = False

    @classmethod
    def parse(cls, text: str) -> OriginRule:
        """Return the rule of a text, in canonical form. Raise `Invalid`, with the mistake."""
        match = _RULE.fullmatch(text.strip())
        if match is None:
            raise Invalid(f"origin {text!r}: {_EXPECTED}")
        scheme, subdomains, authority, any_port = match.groups()
        is_app = scheme.lower() not in DEFAULT_PORTS
        if is_app and (authority, subdomains, any_port) == (ANY_HOST, None, None) and scheme.lower() not in NO_PAGES:
            return cls(scheme.lower(), ANY_HOST, NO_PORT)
        origin = read_origin(scheme, authority)
        if origin is None or (any_port and _ENDS_IN_PORT.search(authority)):
            raise Invalid(f"origin {text!r}: {_EXPECTED}")
        if subdomains and (is_app or not _may_have_subdomains(origin.host)):
            raise Invalid(f"origin {text!r}: a wildcard needs a domain of its own, such as https://*.example.com")
        return cls(origin.scheme, origin.host, ANY_PORT if any_port else origin.port, bool(subdomains))

    def matches(self, origin: Origin) -> bool:
        if origin.scheme != self.scheme or self.port not in (ANY_PORT, origin.port):
            return False
        if self.subdomains:
            return origin.host.endswith("." + self.host)
        return self.host in (origin.host, ANY_HOST)

    def __str__(self) -> str:
        port = {ANY_PORT: ":*", _default_port(self.scheme): ""}.get(self.port, f":{self.port}")
        return f"{self.scheme}://{'*.' if self.subdomains else ''}{self.host}{port}"


@dataclass(frozen=True, slots=True)
class OriginRules:
    """All origin rules of a project, prepared for fast look-ups."""

    rules: tuple[OriginRule, ...] = ()
    _exact: frozenset[Origin] = field(init=False, repr=False, compare=False)
    _patterns: tuple[OriginRule, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        patterns = tuple(
            rule for rule in self.rules if rule.subdomains or rule.port == ANY_PORT or rule.host == ANY_HOST
        )
        exact = frozenset(Origin(r.scheme, r.host, r.port) for r in self.rules if r not in patterns)
        object.__setattr__(self, "_patterns", patterns)
        object.__setattr__(self, "_exact", exact)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> OriginRules:
        return cls(tuple(OriginRule.parse(text) for text in texts))

    def allow(self, origin: Origin | None) -> bool:
        """Return True if an event may come from this origin. None is never allowed."""
        if origin is None:
            return False
        return origin in self._exact or any(rule.matches(origin) for rule in self._patterns)

"""The headers that tell how to read a request: key, media type, charset and encoding."""

from __future__ import annotations

from collections.abc import Collection

from tornado.httputil import HTTPHeaders

from catchment.core.keys import PREFIXES

from .not_readable import NotSupported

_GZIP = ("gzip", "x-gzip")
"""Two names of one encoding (RFC 9110, 8.4.1.3)."""
_ENCODINGS = (*_GZIP, "identity")
_CHARSETS = ("", "utf-8", "utf8", "us-ascii", "ascii")
"""UTF-8 and its subset."""


def bearer(headers: HTTPHeaders) -> str | None:
    """Return the key in `Authorization`, with or without the scheme `Bearer`."""
    header = headers.get("Authorization")
    if header is None:
        return None
    if header.startswith(tuple(PREFIXES)):  # nothing else looks like a key
        return header.strip()
    scheme, _, token = header.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def is_gzip(headers: HTTPHeaders) -> bool:
    """Return True if the body is said to be gzip."""
    return headers.get("Content-Encoding", "").strip().lower() in _GZIP


def media_type(headers: HTTPHeaders) -> str:
    """Return the media type of the body, without parameters and in lower case; empty if there is none."""
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def check_media(headers: HTTPHeaders, media_types: Collection[str]) -> None:
    """Raise `NotSupported` if the body has another media type (none given: any will do), charset or encoding."""
    media, _, parameters = headers.get("Content-Type", "").partition(";")
    if media_types and media.strip().lower() not in media_types:
        raise NotSupported(f"send one of {', '.join(media_types)}, not {_shown(media)}")
    charset = _charset(parameters)
    if charset not in _CHARSETS:
        raise NotSupported(f"send UTF-8, not {_shown(charset)}")
    encoding = headers.get("Content-Encoding", "").strip().lower() or "identity"
    if encoding not in _ENCODINGS:
        raise NotSupported(f"send it plain or as gzip, not {_shown(encoding)}")


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""


def _shown(text: str) -> str:
    return repr(text.strip()[:50]) if text.strip() else "nothing"

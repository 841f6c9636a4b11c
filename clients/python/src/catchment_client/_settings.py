"""The options of a client, with their defaults and checks."""

from __future__ import annotations

import os
import re
import ssl
import string
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict
from urllib.parse import urlsplit

from .errors import ConfigurationError, Lost, Refused
from .receipts import Receipt

KIB = 1024
MIB = 1024 * KIB
_KEY = re.compile(r"sk_[0-9A-Za-z]{7,77}")
CHECKSUM = 6
"""Characters of the checksum at the end of a key."""
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


class Options(TypedDict, total=False):
    """The options of a client."""

    on_receipt: Callable[[Receipt], object] | None
    """Called by the sending thread with the receipt of every event of `track` that the server answered."""
    on_error: Callable[[Refused | Lost], object] | None
    """Called for every event of `track` that is not stored: refused by the server, or lost. The sending thread calls
    it; `track` calls it for an event that is lost at once, and `close` for the events that it gives up."""
    linger: float
    """Seconds that an event waits for others, to be sent with them. Default 0.2."""
    timeout: float
    """Seconds that each step of an attempt may take, such as connecting. Default 10."""
    queue_events: int
    """The most events that may wait. Default 10,000."""
    queue_bytes: int
    """The most memory that waiting events may take, in bytes. Default 16 MiB."""
    batch_events: int
    """The most events of one request. Default 1,000, as the server's."""
    batch_bytes: int
    """The most bytes of one request before compression. Default 2 MiB, as the server's."""
    event_bytes: int
    """The most bytes of one event. Default 64 KiB, as the server's."""
    max_age: float
    """Seconds after which an event that could not be sent is given up. Default a day."""
    close_timeout: float
    """Seconds that `close`, and the end of the process, may wait for answers. Default 5."""
    ssl_context: ssl.SSLContext | None
    """For the verification of the server. Default: the system's certificates."""
    strict: bool
    """If True, the default, `track` raises `InvalidEvent` for a wrong argument. If False, the event is lost with the
    reason ``invalid``: counted, logged and passed to `on_error`."""
    dry_run: bool
    """The server checks everything, and stores nothing."""
    disabled: bool | None
    """Nothing is sent. Default: the environment variable CATCHMENT_CLIENT_DISABLED."""
    log: str | None
    """``debug``, ``info``, ``warning``, …: writes the log to standard error. Default: the environment variable
    CATCHMENT_CLIENT_LOG, else warnings if nobody else listens to the logger ``catchment_client``."""


class Address(NamedTuple):
    """The address of the server."""

    secure: bool
    host: str
    port: int
    path: str
    """The path before ``/v1/…``."""


@dataclass(frozen=True)
class Settings:
    """`Options`, with the defaults filled in and checked. Raises `ConfigurationError`."""

    on_receipt: Callable[[Receipt], object] | None = None
    on_error: Callable[[Refused | Lost], object] | None = None
    linger: float = 0.2
    timeout: float = 10.0
    queue_events: int = 10_000
    queue_bytes: int = 16 * MIB
    batch_events: int = 1_000
    batch_bytes: int = 2 * MIB
    event_bytes: int = 64 * KIB
    max_age: float = 24 * 3600.0
    close_timeout: float = 5.0
    ssl_context: ssl.SSLContext | None = None
    strict: bool = True
    dry_run: bool = False
    disabled: bool | None = None
    log: str | None = None

    def __post_init__(self) -> None:
        for name in ("linger", "close_timeout"):
            _check_number(name, getattr(self, name), zero=True)
        for name in ("timeout", "queue_events", "queue_bytes", "batch_events", "batch_bytes", "event_bytes", "max_age"):
            _check_number(name, getattr(self, name), zero=False)

    @property
    def is_disabled(self) -> bool:
        if self.disabled is not None:
            return self.disabled
        return os.environ.get("CATCHMENT_CLIENT_DISABLED", "").strip().lower() not in ("", "0", "false", "no", "off")


def _check_number(name: str, value: Any, *, zero: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (value >= 0 if zero else value > 0):
        raise ConfigurationError(f"{name}: expected a number {'from 0 on' if zero else 'above 0'}")


def read_endpoint(endpoint: object) -> Address:
    """Return the parts of an address such as ``https://events.example.com``. Raise `ConfigurationError`."""
    expected = "endpoint: expected the server's address, such as https://events.example.com"
    if not isinstance(endpoint, str) or not endpoint.isascii() or re.search(r"[\x00-\x20\x7f\\]", endpoint):
        raise ConfigurationError(expected)
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        raise ConfigurationError(expected) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(expected)
    if re.search(r"/v1(/[a-z]+)?/*$", parts.path):
        raise ConfigurationError(f"{expected}, without /v1/… behind it")
    if "@" in parts.netloc:
        raise ConfigurationError("endpoint: without a user or password; the key is given by itself")
    secure = parts.scheme == "https"
    return Address(secure, parts.hostname, port or (443 if secure else 80), parts.path.rstrip("/"))


def read_key(key: object) -> str:
    """Return the key if it looks like a server key. Raise `ConfigurationError`, without the key in it."""
    if isinstance(key, str) and key.startswith("pk_"):
        raise ConfigurationError("key: this is a browser key (pk_…); a back end needs a server key (sk_…)")
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ConfigurationError("key: expected a server key (sk_…), as `catchment key create` prints it")
    if _checksum(key[:-CHECKSUM]) != key[-CHECKSUM:]:
        raise ConfigurationError("key: mistyped or cut off: its checksum, the last six characters, does not fit")
    return key


def _checksum(text: str) -> str:
    """Return the CRC-32 of a key without its last characters, in base 62, as the server does."""
    number, letters = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM):
        number, rest = divmod(number, len(_DIGITS))
        letters = _DIGITS[rest] + letters
    return letters

"""Checks of the settings' values. Every message says what is expected; the caller adds the value and its source."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields, validate
from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn

from catchment.core.privacy import read_network

EMBEDDED = "embedded"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST_NAME = re.compile(r"(?!-)[\w-]{1,63}(?:\.[\w-]{1,63})*\.?")
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]|[\"'<>\\^`{|}]")
_DATABASE = "expected `embedded` or a postgresql:// address"
_ENCODE = (
    "the user name or the password holds a raw @ : / ? or %: percent-encode @ : / in the password, "
    "as %40 %3A %2F (? is %3F, % is %25)"
)


class Whole(fields.Integer):
    """A whole number: in TOML a number, in the environment its digits; never the half of one."""

    default_error_messages = {"invalid": "expected a whole number"}  # noqa: RUF012

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool | float):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class Number(fields.Float):
    """A number, without a unit."""

    default_error_messages = {  # noqa: RUF012
        "invalid": "expected a number, without a unit",
        "special": "expected a number, and neither nan nor infinity",
    }


class Names(fields.Field[tuple[Any, ...]]):
    """A list, in TOML an array, in the environment separated by commas."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[Any, ...]:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise ValidationError("expected a list of texts")
        return tuple(self._read(item.strip()) for item in items if item.strip())

    def _read(self, item: str) -> Any:
        return item


class Networks(Names):
    """Networks, each an address or a CIDR."""

    def _read(self, item: str) -> Network:
        address, slash, _ = item.partition("/")
        try:
            network, alone = read_network(item), read_network(address)
        except ValueError:
            raise ValidationError(f"{item!r} is not a network, such as 10.0.0.0/8") from None
        if slash and network.network_address != alone.network_address:
            raise ValidationError(f"{item!r} is an address within {network}: write that, or {address} for it alone")
        return network


class Directory(fields.Field[Path]):
    """The whole path of a folder: a relative one would be another folder for every folder a command is run in."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Path:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise ValidationError("expected the path of a folder")
        if "://" in value:
            raise ValidationError("expected the path of a folder, not an address")
        try:
            path = Path(value).expanduser()
        except RuntimeError:
            raise ValidationError("there is no home folder for ~; write the whole path") from None
        if not path.is_absolute():
            raise ValidationError("expected the whole path of a folder, from / on")
        return path


def whole(least: int, most: int | None = None) -> fields.Integer:
    """A whole number within these bounds."""
    return Whole(validate=_within(least, most))


def number(least: float, most: float | None = None) -> fields.Float:
    """A number within these bounds."""
    return Number(validate=_within(least, most))


def rate() -> fields.Float:
    """A number a second; 0 is no limit."""
    return Number(validate=_check_rate)


def _check_rate(value: float) -> None:
    if value != 0 and not 0.001 <= value <= 1e9:
        raise ValidationError("expected 0 (no limit), or a number from 0.001 to 1,000,000,000")


def seconds(least: float = 0.1, most: float = 600) -> fields.Float:
    """A number of seconds."""
    return Number(
        validate=_within(least, most, " seconds"),
        error_messages={"invalid": "expected a number of seconds, without a unit"},
    )


def _within(least: float, most: float | None, unit: str = "") -> validate.Range:
    bounds = f"from {least}{unit} on" if most is None else f"from {least} to {most}{unit}"
    return validate.Range(min=least, max=most, error=f"expected a number {bounds}")


def check_host(value: str) -> None:
    """Check what to listen on: an address or a name, without scheme, port or path. Empty: all addresses."""
    if not value:
        return
    try:
        ipaddress.ip_address(value)
    except ValueError:
        pass
    else:
        return
    if "://" in value:
        raise ValidationError("expected a host alone, without a scheme")
    if value.startswith("[") or re.fullmatch(r"[^:]*:[^:]*", value):
        raise ValidationError("expected a host alone, without a port (that is http.port) and without brackets")
    if not _HOST_NAME.fullmatch(value):
        raise ValidationError("expected an address or the name of a host; 0.0.0.0 is all of IPv4, :: all of IPv6")


def check_public_url(value: str) -> None:
    """Check the address that websites reach: scheme, host, perhaps a port and a path."""
    expected = "expected an address such as https://events.example.com"
    if not value:
        return
    if _UNPRINTABLE.search(value):
        raise ValidationError(f"{expected}; without blanks, quotes, backslashes and letters beyond ASCII")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValidationError(f"{expected}; this one's host or port can't be") from None
    if "?" in value or "#" in value:
        raise ValidationError(f"{expected}; without a query (?) and without a fragment (#)")
    if "@" in value:
        raise ValidationError(f"{expected}; without a user and a password")
    if parts.scheme not in ("http", "https") or not host or port == 0 or parts.netloc.endswith(":"):
        raise ValidationError(expected)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not _HOST_NAME.fullmatch(host):
            raise ValidationError(f"{expected}; this one's host can't be") from None


def check_database_url(value: str) -> None:
    """Check a database's address, and that no part of its password can be taken for something else. No message
    repeats any of it."""
    if value == EMBEDDED:
        return
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in ("postgresql", "postgres"):
        raise ValidationError(_DATABASE)
    # As PostgreSQL's library reads it: the user and the password end at the first @, if no / comes before it.
    user, at, place = rest.partition("@")
    if not at or "/" in user:
        user, place = "", rest
    if "@" in place.partition("?")[0] or user.count(":") > 1:
        raise ValidationError(_ENCODE)
    try:
        parts = parse_dsn(value)
    except ProgrammingError:
        if "@" in rest:
            raise ValidationError(f"{_DATABASE}; this one can't be read: perhaps {_ENCODE}") from None
        raise ValidationError(f"{_DATABASE}; this one can't be read, or has an unknown parameter") from None
    if any(not _is_port(port) for port in str(parts.get("port", "")).split(",") if port):
        raise ValidationError(
            f"{_DATABASE}; a port of this one is no number from 1 to 65535: perhaps the @ after the password is missing"
        )
    if any(not _is_place(host) for host in str(parts.get("host", "")).split(",") if host):
        raise ValidationError(f"{_DATABASE}; a host of this one can't be: perhaps {_ENCODE}")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text) <= 65535


def _is_place(host: str) -> bool:
    """Return True if this can be a host, or the folder of a socket (an abstract one begins with @)."""
    if host.startswith(("/", "@")):
        return "\0" not in host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOST_NAME.fullmatch(host) is not None
    return True

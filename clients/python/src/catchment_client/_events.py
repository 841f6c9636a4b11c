"""Makes events: an id and JSON from arguments. They are encoded at once, so the caller may change its data, and the
queue knows their size.

The checks here find what every server refuses: wrong types, blanks, values that JSON can't hold. The server checks
lengths, because they are settings of its operator.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime, time, timezone
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict
from uuid import UUID

from ._ids import new_id
from .errors import InvalidEvent

if TYPE_CHECKING:
    from collections.abc import Callable


class Fields(TypedDict, total=False):
    """The fields of an event beside its name and data. None means that the field is missing."""

    event_id: str | UUID | None
    """Your own id, up to 64 characters. A second event with it is a duplicate. Default: a new UUIDv7."""
    user_id: str | int | UUID | None
    """Your own id of the person."""
    session_id: str | UUID | None
    """Groups events. Default: the server gives every event its own."""
    timestamp: datetime | str | None
    """The time when it happened: a datetime with a time zone, or ISO 8601. Default: now."""
    url: str | None
    """The address of the page or the endpoint, http or https."""
    page_title: str | None
    page_path: str | None
    referrer: str | None
    ip: str | IPv4Address | IPv6Address | None
    """The visitor's address, for the country. The server anonymizes it."""
    user_agent: str | None
    """The visitor's browser, for browser, system and device, and for finding robots."""
    language: str | None
    """The visitor's language, such as ``de-CH``."""


class Item(NamedTuple):
    """An event, ready to be sent."""

    event_id: str
    body: bytes
    """JSON, UTF-8."""


_WIRE: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "user_id": ("userId", (str, int, UUID)),
    "session_id": ("sessionId", (str, UUID)),
    "url": ("url", (str,)),
    "page_title": ("page_title", (str,)),
    "page_path": ("page_path", (str,)),
    "referrer": ("referrer", (str,)),
    "ip": ("ip", (str, IPv4Address, IPv6Address)),
    "user_agent": ("userAgent", (str,)),
    "language": ("language", (str,)),
}
"""By argument: the name in the request, and the allowed types."""
WIRE_NAMES = frozenset({"event_name", "eventId", "timestamp", "event_data", *(wire for wire, _ in _WIRE.values())})
_SPELLINGS = {name.replace("_", ""): name for name in (*_WIRE, "event_id", "timestamp")}
_SPELLINGS.update(eventname="name", eventdata="data", properties="data", title="page_title", path="page_path")
"""By a spelling that other libraries use: the argument that the caller means."""
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def build(name: object, data: object, fields: Mapping[str, Any]) -> Item:
    """Return the event of these arguments. Raise `InvalidEvent`, also if reading a value raises something else: a lazy
    text, a mapping of a database, a time zone."""
    try:
        return _build(name, data, fields)
    except InvalidEvent:
        raise
    except Exception as error:  # its text may hold data
        raise InvalidEvent("data", f"reading a value raised {type(error).__name__}") from error


def _build(name: object, data: object, fields: Mapping[str, Any]) -> Item:
    if not isinstance(name, str) or not name.strip():
        raise InvalidEvent("name", "expected a text that is not blank")
    event: dict[str, Any] = {"event_name": name}
    if data is not None:
        if not isinstance(data, Mapping):
            raise InvalidEvent("data", f"expected a mapping, not {_type_name(data)}")
        event["event_data"] = dict(data)
    event_id = _event_id(fields.get("event_id"))
    event["eventId"] = event_id
    event["timestamp"] = _timestamp(fields.get("timestamp"))
    for field, value in fields.items():
        if field in ("event_id", "timestamp"):
            continue
        if field not in _WIRE:
            raise InvalidEvent(field[:100], _unknown(field))
        if value is None:
            continue
        wire, types = _WIRE[field]
        if not isinstance(value, types) or isinstance(value, bool):
            raise InvalidEvent(field, f"expected text, not {_type_name(value)}")
        event[wire] = _text(value)
    return Item(event_id, encode(event))


def _unknown(field: str) -> str:
    meant = _SPELLINGS.get(field.replace("_", "").lower())
    return f"not a field of an event; {f'did you mean {meant}?' if meant else 'put it into the data'}"


def encode(event: Mapping[str, Any]) -> bytes:
    """Return the event as JSON. Raise `InvalidEvent`."""
    try:
        text = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    except InvalidEvent:
        raise
    except RecursionError:
        raise InvalidEvent("data", "nested too deep, or in a circle") from None
    except (TypeError, ValueError) as error:
        # the standard library's message names a type or a kind of number, never a value; newer versions add notes
        raise InvalidEvent("data", f"JSON can't hold it: {error}") from None
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: escaped, so that the server can replace it, and say so
        escaped = json.dumps(event, allow_nan=False, separators=(",", ":"), default=_plain)
        return escaped.encode("ascii")


def _text(value: object) -> str:
    """Return the value as text. For an Enum that is a text or a number, it is the Enum's value, as in JSON."""
    if isinstance(value, str):
        return str.__str__(value)
    return str(int(value)) if isinstance(value, int) else str(value)


def _event_id(value: object) -> str:
    if value is None:
        return new_id()
    if not isinstance(value, (str, UUID)):
        raise InvalidEvent("event_id", f"expected text, not {_type_name(value)}")
    text = _text(value)
    if not text.strip() or _UNSTORABLE.search(text):
        raise InvalidEvent("event_id", "blank, or with characters that can't be stored")
    return text


def _timestamp(value: object) -> str:
    if value is None:
        return _in_utc(datetime.now(timezone.utc))
    if isinstance(value, str):
        return value
    if not isinstance(value, datetime):
        raise InvalidEvent("timestamp", f"expected a datetime or ISO 8601 text, not {_type_name(value)}")
    if value.utcoffset() is None:
        raise InvalidEvent("timestamp", "a datetime needs a time zone: datetime.now(timezone.utc), say")
    try:
        return _in_utc(value.astimezone(timezone.utc))
    except OverflowError:
        raise InvalidEvent("timestamp", "out of range") from None


def _in_utc(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _number(value: Decimal) -> int | float:
    if not value.is_finite():
        raise InvalidEvent("data", "a Decimal that is not a finite number")
    return int(value) if value == value.to_integral_value() and abs(value.adjusted()) < 300 else float(value)


_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (Decimal, _number),
    (datetime, datetime.isoformat),
    (date, date.isoformat),
    (time, time.isoformat),
    (UUID, str),
    (Mapping, dict),
    (IPv4Address, str),
    (IPv6Address, str),
)


def _plain(value: object) -> Any:
    """Return a JSON value for a type that back ends often use and JSON does not know."""
    for kind, convert in _PLAIN:
        if isinstance(value, kind):
            return convert(value)
    raise InvalidEvent("data", f"JSON can't hold {_type_name(value)}")


def _type_name(value: object) -> str:
    return f"a value of the type {type(value).__name__}"

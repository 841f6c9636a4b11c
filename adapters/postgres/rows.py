"""Events as `catchment.log_events` takes them, in JSON: an object for each request, with an array for each event.

What the events of a request have in common (the project, the visitor, the arrival) is said once in the object; their
other columns are told by place, since the names would be half of what the database has to read.
"""

from __future__ import annotations

import dataclasses
import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from catchment.core.event import NO_CAMPAIGN, OWN, REQUEST, VISITOR, Campaign, Event, Place, UserAgent

_encode = msgspec.json.Encoder().encode


class NotJson(Exception):
    """An event holds what JSON can't: a plugin may have left something else in it."""


def rows_of(events: Sequence[Event]) -> bytes:
    """Return events as elements of the argument of `log_events`, in order, joined by commas. Raises `NotJson`."""
    groups: list[dict[str, Any]] = []
    members: list[list[Any]] = []
    known: object = None
    for event in events:
        columns: tuple[Any, ...] = event
        shared = columns[REQUEST], columns[VISITOR]
        if shared != known:
            known, members = shared, []
            groups.append({**_shared(columns), "events": members})
        own = list(columns[OWN])
        if own[_CAMPAIGN] is NO_CAMPAIGN:
            own[_CAMPAIGN] = None
        members.append(own)
    try:
        return _encode(groups)[1:-1]
    except OverflowError:  # an integer beyond 64 bit, which the standard library writes exactly
        return _encode_exact(groups)[1:-1]
    except (TypeError, ValueError) as error:
        raise NotJson from error


class JsonLiteral:
    """JSON as a parameter of a query. psycopg2's own way decodes, encodes and lets libpq look at each byte: three
    times the work. `E'…'` means the same whatever `standard_conforming_strings` says, and in UTF-8, which every session
    of ours speaks, no letter has a backslash or a quote in it."""

    __slots__ = ("encoded",)

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded

    def __conform__(self, protocol: object) -> JsonLiteral:
        return self

    def getquoted(self) -> bytes:
        return b"E'" + self.encoded.replace(b"\\", b"\\\\").replace(b"'", b"''") + b"'"


def batch_of(rows: Iterable[bytes]) -> JsonLiteral:
    """Return the argument of `log_events`: what `rows_of` returned for several requests."""
    return JsonLiteral(b"[" + b",".join(rows) + b"]")


def _encode_exact(values: object) -> bytes:
    try:
        return json.dumps(values, ensure_ascii=False, allow_nan=False, default=_plain, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise NotJson from error


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Campaign):
        return dataclasses.asdict(value)
    if isinstance(value, bytes):
        return b64encode(value).decode()  # as msgspec does
    raise TypeError(f"JSON holds no {type(value).__name__}")


_CAMPAIGN = Event._fields.index("campaign") - OWN.start
_NAMES = (*Event._fields[REQUEST], *Event._fields[VISITOR])


def _shared(columns: tuple[Any, ...]) -> dict[str, Any]:
    """Return the columns that events of a request and a visitor have in common, without those that are empty."""
    shared: dict[str, Any] = {}
    for name, value in zip(_NAMES, (*columns[REQUEST], *columns[VISITOR]), strict=True):
        if isinstance(value, UserAgent | Place):
            shared.update(_columns_of(value))
        elif value is not None:
            shared[name] = value
    return shared


@lru_cache(maxsize=1024)
def _columns_of(part: UserAgent | Place) -> dict[str, str]:
    """Return the columns of a part that many events share."""
    return {name: value for name, value in dataclasses.asdict(part).items() if value is not None}

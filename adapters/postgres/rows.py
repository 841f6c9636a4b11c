"""Events as the rows that `catchment.log_events_v1` takes: JSON objects, nulls left out.

What the events of a request have in common (the project, the visitor, the arrival) is said once: it is half of what
the database would have to read.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from catchment.core.event import NO_CAMPAIGN, NO_USER_AGENT, NOWHERE, Campaign, Event, Place, UserAgent
from catchment.core.project import Limit

_encode = msgspec.json.Encoder().encode


class Row(NamedTuple):
    """One event in JSON, in two parts."""

    shared: bytes
    """What it shares with the event before it; an object whose end is missing. The same object where it is the same."""
    own: bytes


def rows_of(events: Sequence[Event]) -> list[Row | None]:
    """The rows of events; None for one that holds what JSON can't."""
    rows: list[Row | None] = []
    known: tuple[Any, ...] = ()
    shared = b""
    for event in events:
        common = (
            event.project_id,
            event.key_kind,
            event.received_at,
            event.user_agent,
            event.agent,
            event.ip,
            event.place,
        )
        try:
            if common != known:
                shared, known = _encode(_shared(event))[:-1], common
            rows.append(Row(shared, _encode_own(event)))
        except (TypeError, ValueError):
            rows.append(None)
    return rows


def size_of(rows: Iterable[Row | None]) -> int:
    """How many bytes rows have, what is shared counted once."""
    size, shared = 0, b""
    for row in rows:
        if row is None:
            continue
        size += len(row.own)
        if row.shared is not shared:
            shared = row.shared
            size += len(shared)
    return size


def batch_of(rows: Iterable[Row]) -> str:
    """Rows as the argument of `log_events_v1`."""
    requests = (
        shared + b',"events":[' + b",".join(own for _, own in group) + b"]}"
        for shared, group in groupby(rows, itemgetter(0))
    )
    return (b"[" + b",".join(requests) + b"]").decode()


def _encode_own(event: Event) -> bytes:
    values = _own(event)
    try:
        return _encode(values)
    except OverflowError:  # an integer beyond 64 bit, which the standard library writes exactly
        return json.dumps(values, ensure_ascii=False, allow_nan=False, default=_moment, separators=(",", ":")).encode()


def _moment(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"JSON holds no {type(value).__name__}")


def _shared(event: Event) -> dict[str, Any]:
    values: dict[str, Any] = {
        "project_id": event.project_id,
        "key_kind": event.key_kind,
        "received_at": event.received_at,
    }
    if event.user_agent is not None:
        values["user_agent"] = event.user_agent
    if event.ip is not None:
        values["ip"] = event.ip
    if event.agent is not NO_USER_AGENT:
        values.update(_columns_of(event.agent))
    if event.place is not NOWHERE:
        values.update(_columns_of(event.place))
    return values


_OWN = (
    "event_id",
    "name",
    "category",
    "label",
    "value",
    "session_id",
    "user_id",
    "url",
    "page_title",
    "page_path",
    "referrer",
    "referrer_host",
    "occurred_at",
)


def _own(event: Event) -> dict[str, Any]:
    columns = vars(event)
    values = {name: value for name in _OWN if (value := columns[name]) is not None}
    if event.data:
        values["data"] = event.data
    if event.properties:
        values["properties"] = event.properties
    if event.is_bot:
        values["is_bot"] = True
    if event.campaign is not NO_CAMPAIGN:
        values.update(_columns_of(event.campaign))
    return values


@lru_cache(maxsize=1024)
def _columns_of(part: UserAgent | Place | Campaign) -> dict[str, str]:
    """The columns of what many events share."""
    prefix = "utm_" if isinstance(part, Campaign) else ""
    return {prefix + name: value for name, value in dataclasses.asdict(part).items() if value is not None}


def limit_rows(limits_of_projects: Iterable[tuple[str, tuple[Limit, ...]]]) -> str:
    """The limits of projects, as `log_events_v1` takes them."""
    return _encode(
        [
            {
                "project_id": project_id,
                "scope": limit.scope,
                "scope_id": limit.scope_id,
                "window": limit.window,
                "hard": limit.hard,
            }
            for project_id, limits in limits_of_projects
            for limit in limits
        ]
    ).decode()

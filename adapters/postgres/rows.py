"""Events as the rows that `catchment.log_events_v1` takes: objects of JSON, most nulls left out.

What the events of a request have in common (the project, the visitor, the arrival) is said once: it is half of what
the database would have to read.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

import msgspec

from catchment.core.event import NO_CAMPAIGN, NO_USER_AGENT, NOWHERE, Campaign, Event, Place, UserAgent
from catchment.core.project import Limit

_encode = msgspec.json.Encoder().encode


class NotJson(Exception):
    """An event holds what JSON can't: a plugin may have left something else in it."""


def rows_of(events: Sequence[Event]) -> bytes:
    """Events as elements of the argument of `log_events_v1`, in order, joined by commas. Raises `NotJson`."""
    groups: list[dict[str, Any]] = []
    own: list[dict[str, Any]] = []
    known: tuple[Any, ...] = ()
    for event in events:
        columns = vars(event)
        common = _common(columns)
        if common != known:
            known, own = common, []
            groups.append({**_shared(event), "events": own})
        own.append(_own(columns))
    try:
        return _encode(groups)[1:-1]
    except OverflowError:  # an integer beyond 64 bit, which the standard library writes exactly
        return _encode_exact(groups)[1:-1]
    except (TypeError, ValueError) as error:
        raise NotJson from error


def batch_of(rows: Iterable[bytes]) -> str:
    """What `rows_of` gave, of several requests, as the argument of `log_events_v1`."""
    return (b"[" + b",".join(rows) + b"]").decode()


def _encode_exact(values: object) -> bytes:
    try:
        return json.dumps(values, ensure_ascii=False, allow_nan=False, default=_moment, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise NotJson from error


def _moment(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"JSON holds no {type(value).__name__}")


_common = itemgetter("project_id", "key_kind", "received_at", "user_agent", "agent", "ip", "place")


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


# To leave out what is null costs more here than it saves there, where it seldom is.
_OFTEN = (
    "event_id",
    "name",
    "session_id",
    "url",
    "page_title",
    "page_path",
    "referrer",
    "referrer_host",
    "occurred_at",
)
_often = itemgetter(*_OFTEN)
_SELDOM = ("category", "label", "value", "user_id")


def _own(columns: dict[str, Any]) -> dict[str, Any]:
    values = dict(zip(_OFTEN, _often(columns), strict=True))
    for name in _SELDOM:
        if columns[name] is not None:
            values[name] = columns[name]
    if columns["data"]:
        values["data"] = columns["data"]
    if columns["properties"]:
        values["properties"] = columns["properties"]
    if columns["is_bot"]:
        values["is_bot"] = True
    if columns["campaign"] is not NO_CAMPAIGN:
        values.update(_columns_of(columns["campaign"]))
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

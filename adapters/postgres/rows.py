"""Events as the rows that `catchment.log_events_v1` takes: JSON objects, nulls left out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from catchment.core.event import Event
from catchment.core.project import Limit

_encode = msgspec.json.Encoder().encode


def row(event: Event) -> bytes:
    """One event as a JSON object. Raises ValueError or TypeError where it holds what JSON can't."""
    values = _values(event)
    try:
        return _encode(values)
    except OverflowError:  # an integer beyond 64 bit, which the standard library writes exactly
        return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _values(event: Event) -> dict[str, Any]:
    values: dict[str, Any] = {
        "project_id": event.project_id,
        "key_kind": event.key_kind,
        "event_id": event.event_id,
        "name": event.name,
        "session_id": event.session_id,
        "occurred_at": event.occurred_at.isoformat(),
        "received_at": event.received_at.isoformat(),
    }
    for name in _OPTIONAL:
        value = getattr(event, name)
        if value is not None:
            values[name] = value
    if event.data:
        values["data"] = event.data
    if event.properties:
        values["properties"] = event.properties
    if event.is_bot:
        values["is_bot"] = True
    for part, columns in ((event.agent, _AGENT), (event.place, _PLACE), (event.campaign, _CAMPAIGN)):
        for column, attribute in columns:
            value = getattr(part, attribute)
            if value is not None:
                values[column] = value
    return values


_OPTIONAL = (
    "category",
    "label",
    "value",
    "user_id",
    "url",
    "page_title",
    "page_path",
    "referrer",
    "referrer_host",
    "user_agent",
    "ip",
)
_AGENT = tuple((name, name) for name in ("browser", "browser_version", "os", "os_version", "device"))
_PLACE = tuple((name, name) for name in ("country", "region", "city"))
_CAMPAIGN = tuple((f"utm_{name}", name) for name in ("source", "medium", "campaign", "term", "content"))


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

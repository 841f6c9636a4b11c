"""Events as the rows that `catchment.log_events_v1` takes: JSON objects, nulls left out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from catchment.core.event import NO_CAMPAIGN, NO_USER_AGENT, NOWHERE, Campaign, Event, Place, UserAgent
from catchment.core.project import Limit

_encode = msgspec.json.Encoder().encode


def row(event: Event) -> bytes:
    """One event as a JSON object. Raises ValueError or TypeError where it holds what JSON can't."""
    values = _values(event)
    try:
        return _encode(values)
    except OverflowError:  # an integer beyond 64 bit, which the standard library writes exactly
        return json.dumps(values, ensure_ascii=False, allow_nan=False, default=_moment, separators=(",", ":")).encode()


def _moment(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"JSON holds no {type(value).__name__}")


def _values(event: Event) -> dict[str, Any]:
    values: dict[str, Any] = {
        "project_id": event.project_id,
        "key_kind": event.key_kind,
        "event_id": event.event_id,
        "name": event.name,
        "category": event.category,
        "label": event.label,
        "value": event.value,
        "data": event.data or None,
        "session_id": event.session_id,
        "user_id": event.user_id,
        "url": event.url,
        "page_title": event.page_title,
        "page_path": event.page_path,
        "referrer": event.referrer,
        "referrer_host": event.referrer_host,
        "user_agent": event.user_agent,
        "ip": event.ip,
        "is_bot": event.is_bot or None,
        "properties": event.properties or None,
        "occurred_at": event.occurred_at,
        "received_at": event.received_at,
    }
    values = {name: value for name, value in values.items() if value is not None}
    if event.agent is not NO_USER_AGENT:
        values.update(_columns_of(event.agent))
    if event.place is not NOWHERE:
        values.update(_columns_of(event.place))
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

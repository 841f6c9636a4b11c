"""Events as `catchment.log_events` takes them, in JSON: an object for each request, with an array for each event.

What the events of a request have in common (the project, the visitor, the arrival) is said once in the object; their
other columns are told by place, since the names would be half of what the database has to read.
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
from catchment.core.outcomes import OverQuota
from catchment.core.project import Quota

_encode = msgspec.json.Encoder().encode


class NotJson(Exception):
    """An event holds what JSON can't: a plugin may have left something else in it."""


def rows_of(events: Sequence[Event]) -> bytes:
    """Events as elements of the argument of `log_events`, in order, joined by commas. Raises `NotJson`."""
    groups: list[dict[str, Any]] = []
    own: list[tuple[Any, ...]] = []
    known: tuple[Any, ...] = ()
    for event in events:
        columns = vars(event)
        common = _common(columns)
        if common != known:
            known, own = common, []
            groups.append({**_shared(event), "events": own})
        campaign = columns["campaign"]
        own.append((*_own(columns), None if campaign is NO_CAMPAIGN else campaign))
    try:
        return _encode(groups)[1:-1]
    except OverflowError:  # an integer beyond 64 bit, which the standard library writes exactly
        return _encode_exact(groups)[1:-1]
    except (TypeError, ValueError) as error:
        raise NotJson from error


def batch_of(rows: Iterable[bytes]) -> str:
    """What `rows_of` gave, of several requests, as the argument of `log_events`."""
    return (b"[" + b",".join(rows) + b"]").decode()


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


_own = itemgetter(
    "event_id",
    "name",
    "category",
    "label",
    "value",
    "data",
    "session_id",
    "user_id",
    "url",
    "page_title",
    "page_path",
    "referrer",
    "referrer_host",
    "is_bot",
    "properties",
    "occurred_at",
)
"""The columns of an event's own, by place; the campaign follows."""


@lru_cache(maxsize=1024)
def _columns_of(part: UserAgent | Place) -> dict[str, str]:
    """The columns of what many events share."""
    return {name: value for name, value in dataclasses.asdict(part).items() if value is not None}


BOTH_KEYS = "both"
"""The kind of key of a limit that counts both."""


def quota_met(words: str, quotas: Iterable[Quota]) -> OverQuota:
    """Return the limit of the project that `log_events` names after `quota_exceeded`."""
    scope, window, keys = words.split(" ")
    for quota in quotas:
        if (quota.scope, quota.window, quota.keys or BOTH_KEYS) == (scope, window, keys):
            return OverQuota(quota)
    raise ValueError(f"the database names a limit that it was not given: {words}")


def quota_rows(quotas_of_projects: Iterable[tuple[str, tuple[Quota, ...]]]) -> str:
    """The quotas of projects, as `log_events` takes them."""
    return _encode(
        [
            {
                "project_id": project_id,
                "scope": quota.scope,
                "scope_id": quota.scope_id,
                "window": quota.window,
                "keys": quota.keys,
                "hard": quota.hard,
            }
            for project_id, quotas in quotas_of_projects
            for quota in quotas
        ]
    ).decode()

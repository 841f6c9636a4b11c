"""Quotas as rows of the database, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from catchment.core.metering.ladder import QuotaUse
from catchment.core.metering.patterns import NamePattern
from catchment.core.metering.quota import Quota
from catchment.core.project import KeyKind, Scope, Window
from catchment.core.remembering import remember_short

_encode = msgspec.json.Encoder().encode
_pattern = remember_short(NamePattern.parse, entries=1024)


def quota_of(
    *,
    id: str,
    scope: str,
    scope_id: str,
    window: str,
    keys: str | None,
    events: str,
    soft: int | None,
    hard: int | None,
    grace: int,
    plan: str | None,
    **others: object,
) -> Quota:
    """Return a quota, of its columns. Other columns are not used."""
    return Quota(
        id=id,
        scope=Scope(scope),
        scope_id=scope_id,
        window=Window(window),
        keys=None if keys is None else KeyKind(keys),
        events=_pattern(events),
        soft=soft,
        hard=hard,
        grace=grace,
        plan=plan,
    )


def use_of(found: Mapping[str, Any]) -> QuotaUse:
    """Return a quota with its usage, as `log_events` says it."""
    crossed = found["soft_crossed"]
    return QuotaUse(
        quota=quota_of(**found["quota"]),
        used=found["used"],
        soft_crossed=None if crossed is None else datetime.fromisoformat(crossed),
    )


def wanted(quotas: Iterable[Quota]) -> str:
    """Return quotas as `begin_quotas` and `set_quotas` take them."""
    return _encode(
        [
            {
                "id": quota.id,
                "scope": quota.scope,
                "scope_id": quota.scope_id,
                "window": quota.window,
                "keys": quota.keys,
                "events": str(quota.events),
                "name_like": quota.events.like,
                "soft": quota.soft,
                "hard": quota.hard,
                "grace": quota.grace,
                "plan": quota.plan,
            }
            for quota in quotas
        ]
    ).decode()

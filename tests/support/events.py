"""Events, limits and projects with everything filled in that a test does not care about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from catchment.core.event import Event
from catchment.core.metering.quota import Quota
from catchment.core.project import KeyKind, Project, Scope, Window

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
"""Where `ToldClock` starts."""

LONG_AGO = NOON - timedelta(days=400)
"""Far in the past for the database's clock too."""


def an_id(number: int) -> str:
    """A UUID that tells its number."""
    return str(UUID(int=number))


def an_event(project: Project | str, event_id: str, **changes: Any) -> Event:
    """An event of this project as the pipeline leaves it."""
    event = Event.with_only(
        project_id=project if isinstance(project, str) else project.id,
        key_kind=KeyKind.BROWSER,
        event_id=event_id,
        name="SignUp",
        session_id="session",
        url="https://example.com/page",
        page_path="/page",
        occurred_at=NOON,
        received_at=NOON,
    )
    return event._replace(**changes)


def events(project: Project | str, count: int, prefix: str = "event", **changes: Any) -> list[Event]:
    return [an_event(project, f"{prefix}-{n}", **changes) for n in range(count)]


def project_quota(project: Project, hard: int, window: Window = Window.MONTH) -> Quota:
    return Quota(id=an_id(77), scope=Scope.PROJECT, scope_id=project.id, window=window, hard=hard)


def kind_quota(project: Project, keys: KeyKind, hard: int, window: Window = Window.MONTH) -> Quota:
    return Quota(id=an_id(77), scope=Scope.PROJECT, scope_id=project.id, window=window, keys=keys, hard=hard)


def account_quota(project: Project, hard: int, window: Window = Window.MONTH) -> Quota:
    return Quota(id=an_id(77), scope=Scope.ACCOUNT, scope_id=project.account_id, window=window, hard=hard)

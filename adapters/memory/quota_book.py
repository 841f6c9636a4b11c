"""Quotas in memory: what is used of each, and the states that it entered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime

from catchment.core.event import Event
from catchment.core.metering.ladder import (
    QuotaStateChange,
    QuotaUse,
    State,
    entered,
    room,
    soft_crossed_at,
    state_of,
)
from catchment.core.metering.quota import Quota
from catchment.core.project import Scope
from catchment.core.times import window_start


@dataclass(slots=True)
class _Window:
    """The usage of a quota in a window."""

    used: int
    soft_crossed: datetime | None = None
    entered: State = State.OK


class QuotaBook:
    """All quotas. `stored` returns the stored events of a quota's scope, and `owner` the ids and names of its account
    and its project, as `QuotaStateChange` has them."""

    def __init__(self, stored: Callable[[Quota], Iterable[Event]], owner: Callable[[Quota], dict[str, str]]) -> None:
        self._stored = stored
        self._owner = owner
        self._windows: dict[tuple[str, date], _Window] = {}
        self.quotas: dict[str, Quota] = {}
        """By id."""
        self.changes: list[QuotaStateChange] = []
        """Those that are not announced."""

    def of(self, scope_id: str) -> list[Quota]:
        """Return the quotas of an account or a project."""
        return [quota for quota in self.quotas.values() if quota.scope_id == scope_id]

    def counting(self, event: Event, account_id: str) -> list[Quota]:
        """Return the quotas that count an event of this account."""
        scopes = ((Scope.ACCOUNT, account_id), (Scope.PROJECT, event.project_id))
        return [
            quota
            for quota in self.quotas.values()
            if (quota.scope, quota.scope_id) in scopes and quota.counts(event.key_kind, event.name)
        ]

    def put(self, quota: Quota, now: datetime) -> Quota:
        """Set a quota. One that counts the same keeps its id."""
        same = [known for known in self.of(quota.scope_id) if known.identity == quota.identity]
        if same:
            quota = Quota.of(quota, id=same[0].id, scope=quota.scope, scope_id=quota.scope_id, plan=quota.plan)
        self.quotas[quota.id] = quota
        window = self._window(quota, now)
        window.soft_crossed = soft_crossed_at(quota, window.used, window.soft_crossed, now)
        self.enter_states(quota, now, now)
        return quota

    def remove(self, quota_id: str) -> Quota:
        """Remove a quota and return it. Raise `KeyError`."""
        for of in [of for of in self._windows if of[0] == quota_id]:
            del self._windows[of]
        return self.quotas.pop(quota_id)

    def room(self, quota: Quota, at: datetime) -> int | None:
        """Return how many events fit; None: any number."""
        window = self._window(quota, at)
        return room(quota, window.used, window.soft_crossed, at)

    def add(self, quota: Quota, at: datetime) -> None:
        """Count one event."""
        window = self._window(quota, at)
        window.used += 1
        window.soft_crossed = soft_crossed_at(quota, window.used, window.soft_crossed, at)

    def use(self, quota: Quota, at: datetime) -> QuotaUse:
        """Return what is used in the window of this moment."""
        window = self._window(quota, at)
        return QuotaUse(quota=quota, used=window.used, soft_crossed=window.soft_crossed)

    def enter_states(self, quota: Quota, at: datetime, now: datetime) -> None:
        """Note the states that a quota has entered in the window of `at`."""
        window = self._window(quota, at)
        for state in entered(quota, window.entered, state_of(quota, window.used, window.soft_crossed, now)):
            window.entered = state
            self.changes.append(
                QuotaStateChange(
                    quota=quota,
                    state=state,
                    used=window.used,
                    starts=window_start(quota.window, at),
                    entered_at=now,
                    **self._owner(quota),
                )
            )

    def count(self, quota: Quota, since: datetime, until: datetime) -> int:
        """Count the stored events that a quota counts, in a time."""
        return sum(
            quota.counts(event.key_kind, event.name) and since <= event.received_at < until
            for event in self._stored(quota)
        )

    def _window(self, quota: Quota, at: datetime) -> _Window:
        starts = window_start(quota.window, at)
        if (quota.id, starts) not in self._windows:
            used = sum(
                quota.counts(event.key_kind, event.name) and window_start(quota.window, event.received_at) == starts
                for event in self._stored(quota)
            )
            self._windows[quota.id, starts] = _Window(used, soft_crossed_at(quota, used, None, at))
        return self._windows[quota.id, starts]

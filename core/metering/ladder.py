"""The ladder of a quota: the state that it is in, the states to announce, and the day on which hard will be reached.

A limit is reached when as many events were stored as it says: with a hard limit of 100, the 100th event is stored and
makes the state ``hard``, and the 101st is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from ..times import window_end
from .quota import Quota, QuotaRule

_MICROSECOND = timedelta(microseconds=1)
_RATE_OVER = timedelta(days=7)


class State(StrEnum):
    """The states of a quota, in the order of the ladder."""

    OK = "ok"
    WARNING = "warning"
    """80 % of the first limit: of soft, or of hard if there is no soft."""
    SOFT = "soft"
    GRACE = "grace"
    """Hard is reached and does not hold yet: events are stored."""
    HARD = "hard"
    """Hard is reached: further events are refused."""

    @property
    def rank(self) -> int:
        """The height on the ladder; `OK` is 0."""
        return _RANKS[self]


_RANKS = {state: rank for rank, state in enumerate(State)}


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaUse:
    """A quota, and its usage in a window."""

    quota: Quota
    used: int
    """Events."""
    soft_crossed: datetime | None = None
    """The time at which soft was crossed in this window; None: it was not."""

    @property
    def left(self) -> int | None:
        """The events up to hard, never negative. None: there is no hard limit."""
        return None if self.quota.hard is None else max(0, self.quota.hard - self.used)

    def state(self, now: datetime) -> State:
        return state_of(self.quota, self.used, self.soft_crossed, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaStateChange:
    """A state that a quota entered. It enters each at most once a window."""

    quota: Quota
    """The quota as it was then."""
    state: State
    used: int
    """Events, at that time."""
    starts: date
    """The first day of the window, UTC."""
    entered_at: datetime
    """The arrival of the event that led to it, or the time at which the quota was changed."""
    account_id: str
    account: str
    project_id: str | None = None
    """None: the quota is of the account."""
    project: str | None = None

    @property
    def id(self) -> str:
        """The same for the same change: who gets it twice knows it by this. Characters: ``0-9 a-z / -``."""
        return f"{self.quota.id}/{self.starts}/{self.state}"

    @property
    def resets_at(self) -> datetime:
        """The end of the window."""
        return window_end(self.quota.window, datetime.combine(self.starts, time(), UTC))


def warning_at(rule: QuotaRule) -> int:
    """Return the usage at which the warning begins: 80 % of the first limit, rounded up."""
    limit = rule.soft or rule.hard or 0  # a soft limit is never 0
    return limit - limit // 5  # exact, and never above PostgreSQL's bigint, as 4 * limit would be


def state_of(rule: QuotaRule, used: int, soft_crossed: datetime | None, now: datetime) -> State:
    """Return the state of a quota. `catchment.state_of` in the database has the same rules: change both.

    `soft_crossed` is what `soft_crossed_at` returned. It does not count while less than soft is used.
    """
    if rule.hard is not None and used >= rule.hard:
        return State.GRACE if _grace_runs(rule, used, soft_crossed, now) else State.HARD
    if rule.soft is not None and used >= rule.soft:
        return State.SOFT
    return State.WARNING if used >= warning_at(rule) else State.OK


def soft_crossed_at(rule: QuotaRule, used: int, before: datetime | None, now: datetime) -> datetime | None:
    """Return the time at which soft was crossed. `before`: the time that is known from before, if any.

    A time that is known stays while soft is reached. If soft was raised above usage, the time is forgotten: a new
    crossing begins a new grace.
    """
    if rule.soft is None or used < rule.soft:
        return None
    return now if before is None else before


def room(rule: QuotaRule, used: int, soft_crossed: datetime | None, now: datetime) -> int | None:
    """Return how many events fit now; None: any number.

    With a grace, any number fits until soft is crossed as well: the event that crosses it begins the grace.
    """
    if rule.hard is None:
        return None
    if rule.grace and rule.soft is not None and (used < rule.soft or _grace_runs(rule, used, soft_crossed, now)):
        return None
    return max(0, rule.hard - used)


def entered(rule: QuotaRule, announced: State, state: State) -> tuple[State, ...]:
    """Return the states to announce, in order, now that a quota is in `state`.

    `announced` is the highest state that was announced in this window (`OK`: none). Nothing at or below it is announced
    again, even if the limits were raised meanwhile: each state is announced once a window.
    States that were skipped are announced, too. Grace is not if it was over before hard was reached: then it never was.
    """
    rungs = [State.WARNING]
    if rule.soft is not None:
        rungs.append(State.SOFT)
    if state in (State.GRACE, State.HARD):
        rungs.append(state)
    return tuple(rung for rung in rungs if announced.rank < rung.rank <= state.rank)


def forecast(rule: QuotaRule, used: int, last_7_days: int, now: datetime) -> date | None:
    """Return the day (UTC) on which hard is reached at the rate of the last 7 days.

    None: there is no hard limit, it is reached already, or the window ends first.
    `last_7_days`: the events that the quota counted in the 7 days before `now`, across windows.
    """
    if rule.hard is None or used >= rule.hard or last_7_days <= 0:
        return None
    # In whole microseconds: exact, and nothing overflows before the comparison.
    needed = -(-(rule.hard - used) * (_RATE_OVER // _MICROSECOND) // last_7_days)
    end = window_end(rule.window, now)
    if needed >= (end - now) // _MICROSECOND:
        return None
    return (now.astimezone(UTC) + timedelta(microseconds=needed)).date()


def _grace_runs(rule: QuotaRule, used: int, soft_crossed: datetime | None, now: datetime) -> bool:
    if not rule.grace or rule.soft is None or used < rule.soft:
        return False
    return soft_crossed is None or now < soft_crossed + timedelta(days=rule.grace)

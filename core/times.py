"""Reads times, and knows which times are too old, the periods of billing, and the windows of quotas.

A billing period is a month in UTC of the arrival (`received_at`), never of the sender's clock.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from .limits import Limits
from .project import KeyKind, Window

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?", re.IGNORECASE | re.ASCII)


def read_time(text: object) -> datetime | None:
    """Return the moment of an ISO 8601 text, in UTC. Without a zone it is UTC. Return None if the text is no time."""
    if not isinstance(text, str) or len(text) > 40 or not _ISO.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


_UNIX = re.compile(r"\d+(\.\d+)?", re.ASCII)
UNIX_TIME = "a number, read as seconds (or milliseconds) since 1970; send ISO 8601"
_SECONDS_FROM, _MILLISECONDS_FROM = 1e8, 1e11
"""1973, in seconds and in milliseconds. A smaller number is a mistake."""


def read_unix_time(value: object) -> datetime | None:
    """Return the moment of the seconds or milliseconds since 1970, given as a number or as its digits. None if it is
    none."""
    if isinstance(value, str) and len(value) <= 20 and _UNIX.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= _SECONDS_FROM:
        return None
    try:
        seconds = value / 1000 if value >= _MILLISECONDS_FROM else value
        return EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):  # infinity, or a year that no calendar has
        return None


def within_window(moment: datetime, received_at: datetime, kind: KeyKind, limits: Limits) -> bool:
    """Return True if an event with this kind of key may have happened at this moment."""
    oldest = EPOCH if kind is KeyKind.SERVER else received_at - limits.oldest_from_browser
    return oldest <= moment <= received_at + limits.furthest_ahead


def hour_of(moment: datetime) -> datetime:
    """Return the beginning of the hour of a moment, in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def period_of(moment: datetime) -> date:
    """Return the billing period of an arrival: the first day of its month in UTC."""
    return moment.astimezone(UTC).date().replace(day=1)


def read_period(text: str) -> date:
    """Return the period of a text, such as ``2026-11``. Raise ValueError if it is none."""
    if not re.fullmatch(r"\d{4}-\d\d", text, re.ASCII):
        raise ValueError(f"{text!r} is not a period; expected year and month, such as 2026-11")
    return date.fromisoformat(f"{text}-01")


def next_period(period: date) -> date:
    return (period.replace(day=28) + timedelta(days=4)).replace(day=1)


def window_start(window: Window, moment: datetime) -> date:
    """Return the first day of the quota window that contains this moment."""
    return period_of(moment) if window is Window.MONTH else moment.astimezone(UTC).date()


def window_end(window: Window, moment: datetime) -> datetime:
    """Return the end of the quota window that contains this moment, which is the beginning of the next one."""
    first = window_start(window, moment)
    past = next_period(first) if window is Window.MONTH else first + timedelta(days=1)
    return datetime(past.year, past.month, past.day, tzinfo=UTC)


def period_text(period: date) -> str:
    return f"{period:%Y-%m}"

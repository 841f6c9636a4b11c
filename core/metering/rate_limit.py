"""The values of the header fields ``RateLimit-Policy`` and ``RateLimit``, which tell a client its quota.

They follow draft-ietf-httpapi-ratelimit-headers-11: lists of structured fields (RFC 9651), such as::

    RateLimit-Policy: "project-month";q=100000;w=2592000
    RateLimit: "project-month";r=12;t=86400

``q`` is the hard limit, ``w`` the length of the window in seconds, ``r`` what is left, ``t`` the seconds until the end
of the window. The unit (``qu``) is left out, because the draft's registry has none for events.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

from ..project import Window
from ..times import window_end, window_start
from .ladder import QuotaUse, State
from .patterns import ALL_NAMES
from .quota import Quota

LARGEST_INTEGER = 999_999_999_999_999
"""The largest integer of a structured field (RFC 9651, 3.3.1). A larger number is shown as this one."""
LONGEST_PATTERN_SHOWN = 64
"""Characters. A quota with a longer pattern, or one that is not ASCII, is shown by its id."""
_SECOND = timedelta(seconds=1)


class RateLimitFields(NamedTuple):
    """The values of the two header fields."""

    policy: str
    limit: str


def rate_limit_fields(uses: Iterable[QuotaUse], now: datetime) -> RateLimitFields | None:
    """Return the values for an answer whose events these quotas count; None: there is nothing to say."""
    use = shown(uses, now)
    if use is None or use.quota.hard is None or use.left is None:
        return None
    name, window = _string(policy_name(use.quota)), use.quota.window
    hard, left = min(use.quota.hard, LARGEST_INTEGER), min(use.left, LARGEST_INTEGER)
    return RateLimitFields(
        policy=f"{name};q={hard};w={window_seconds(window, now)}",
        limit=f"{name};r={left};t={seconds_left(window, now)}",
    )


def shown(uses: Iterable[QuotaUse], now: datetime) -> QuotaUse | None:
    """Return the quota that the fields show: the one with the least left.

    Of several, it is the one whose window ends last, as for a refused event; then the order of ids decides.
    A quota in grace is not shown: nothing is left of it, and a client would stop, although its events are stored.
    """
    limits = [use for use in uses if use.left is not None and use.state(now) is not State.GRACE]
    return min(limits, key=lambda use: (use.left, -seconds_left(use.quota.window, now), use.quota.id), default=None)


def policy_name(quota: Quota) -> str:
    """Return the name of a quota in the fields, such as ``project-month-browser Click*``: printable ASCII."""
    name = "-".join(part for part in (quota.scope, quota.window, quota.keys) if part)
    if quota.events == ALL_NAMES:
        return name
    pattern = str(quota.events)
    short = len(pattern) <= LONGEST_PATTERN_SHOWN and pattern.isascii() and pattern.isprintable()
    return f"{name} {pattern if short else quota.id}"


def window_seconds(window: Window, now: datetime) -> int:
    """Return the length of the present window."""
    start = datetime.combine(window_start(window, now), time(), UTC)
    return (window_end(window, now) - start) // _SECOND


def seconds_left(window: Window, now: datetime) -> int:
    """Return the seconds until the window ends, rounded up. It is the ``Retry-After`` of a refused event as well."""
    return -((now - window_end(window, now)) // _SECOND)


def _string(text: str) -> str:
    """Return a string of a structured field. The text must be printable ASCII."""
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'

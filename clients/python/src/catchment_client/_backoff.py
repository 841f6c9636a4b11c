"""The wait before the next attempt: exponential backoff with full jitter, and at least the server's `Retry-After`, up
to an hour."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

FIRST = 0.5
"""Seconds: the longest first wait."""
LONGEST = 30.0
"""Seconds: the longest wait without a `Retry-After`."""
LONGEST_ASKED = 3600.0
"""Seconds: the longest `Retry-After` that is respected. It may come from a proxy, or from a wrong clock."""


def delay(attempt: int, after: float | None, draw: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait after attempt number `attempt` (1, 2, …). `after`: the server's `Retry-After`, to
    which a random time is added: otherwise all clients would come back at the same moment."""
    jitter: float = draw() * min(LONGEST, FIRST * 2 ** min(attempt - 1, 30))
    return jitter if after is None else min(after, LONGEST_ASKED) + jitter


def read_retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds of a `Retry-After` header: a number or a date (RFC 9110, 10.2.3). None if it can't be read."""
    if not text:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), 10**8))
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - (now or datetime.now(timezone.utc))).total_seconds())

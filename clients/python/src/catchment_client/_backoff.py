"""How long to wait before the next attempt: exponential, with full jitter, and never less than the server says,
which is believed up to an hour."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

FIRST = 0.5
"""Seconds: the longest first wait."""
LONGEST = 30.0
"""Seconds: the longest wait that the server did not ask for."""
LONGEST_ASKED = 3600.0
"""Seconds: the longest wait that a server is believed. It may be a proxy that says so, or a clock that is wrong."""


def delay(attempt: int, after: float | None, draw: Callable[[], float] = random.random) -> float:
    """Seconds to wait after attempt number `attempt` (1, 2, …). `after`: the server's `Retry-After`; waiting a little
    longer, by chance, keeps all who were told the same from coming back at the same moment."""
    jitter: float = draw() * min(LONGEST, FIRST * 2 ** min(attempt - 1, 30))
    return jitter if after is None else min(after, LONGEST_ASKED) + jitter


def read_retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """Seconds, from a `Retry-After` header: a number or a date (RFC 9110, 10.2.3). None where it says nothing."""
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

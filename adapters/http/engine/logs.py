"""Log lines that strangers can cause: without anything they sent, and not too many of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from catchment.core.errors import Fault

from .message import Request

log = logging.getLogger(__name__)

_SECONDS = 60.0


def log_fault(request: Request, error: BaseException) -> None:
    """Log where a request failed by a fault of ours. The error's text is left out: it may hold an event."""
    where = []
    if isinstance(error, Fault):
        error = error.__cause__ or error
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        where.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    log.error(
        "request %s failed by a fault of ours: %s at %s", request.id, type(error).__name__, " < ".join(where[::-1])
    )


class RateLimitedLog:
    """Logs each warning once a minute at most, however often it is caused."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._logged: dict[str, float] = {}

    def warn(self, text: str, *values: object) -> None:
        now = self._monotonic()
        if now - self._logged.get(text, -_SECONDS) >= _SECONDS:
            self._logged[text] = now
            log.warning(text, *values)

"""Faults of our own, logged without what was being worked on."""

from __future__ import annotations

import logging

from .exchange import Request

log = logging.getLogger(__name__)


def log_fault(request: Request, error: BaseException) -> None:
    """Where it happened, and never the error's text: that may hold an event."""
    where = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        where.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    log.error(
        "request %s failed by a fault of ours: %s at %s", request.id, type(error).__name__, " < ".join(where[::-1])
    )

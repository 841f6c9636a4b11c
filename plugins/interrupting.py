"""A limit of time for a plain function of a plugin, which nothing else can cut off."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooLong(BaseException):
    """Raised inside of a function that took too long. No `Exception`, so that ``except Exception`` lets it through."""


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """Raise `TooLong` in what runs inside after so many seconds, by an alarm signal. Only the main thread gets signals:
    in others nothing is interrupted, and neither is a library in C that does not look for signals."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    armed = True

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if armed:
            raise TooLong

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)

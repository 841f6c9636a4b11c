"""A time limit for a plain function of a plugin, which nothing else can cut off."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooLong(BaseException):
    """Raised inside a function that took too long. It is no `Exception`, so ``except Exception`` does not catch it."""


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """Raise `TooLong` in the body of the ``with`` after so many seconds, by an alarm signal. Only the main thread gets
    signals, so nothing is interrupted in other threads. A library in C that does not check for signals is not
    either."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    armed = True
    until = time.monotonic() + seconds

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if armed and time.monotonic() >= until:  # somebody else may send this signal earlier
            raise TooLong

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)

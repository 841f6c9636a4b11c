"""The signals that end a server, and those that it ignores."""

from __future__ import annotations

import signal

_ENDING = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
_IGNORED = ("SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGIO", "SIGPWR", "SIGSTKFLT")
"""Signals that would end the process, though nobody means to end a server by them."""


def ending() -> tuple[signal.Signals, ...]:
    """The signals that end a server in order; none that whoever started it told it to ignore (`nohup`)."""
    known = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    return tuple(one for one in known if signal.getsignal(one) is not signal.SIG_IGN)


def ignore_others() -> None:
    """From now on, signals that mean nothing here do nothing."""
    for name in _IGNORED:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    for number in range(getattr(signal, "SIGRTMIN", 0), getattr(signal, "SIGRTMAX", -1) + 1):
        signal.signal(number, signal.SIG_IGN)

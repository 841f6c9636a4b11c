"""The logger `catchment_client`. It never gets a key, data, or the text of an answer.

If nobody else listens, warnings go to standard error: a refused or lost event must not vanish silently.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections import Counter

from .errors import ConfigurationError

log = logging.getLogger("catchment_client")

QUIET = 60.0
"""Seconds between two lines about the same thing."""
KINDS = 100
"""Things that are logged or counted separately. Further ones are taken together."""
OTHERS = "other reasons"
_handler: logging.Handler | None = None


class _Unheard(logging.Handler):
    """Writes to standard error if there is no other handler."""

    def emit(self, record: logging.LogRecord) -> None:
        logger: logging.Logger | None = log
        while logger is not None:
            if any(handler is not self for handler in logger.handlers):
                return
            logger = logger.parent if logger.propagate else None
        with contextlib.suppress(OSError, ValueError):  # a closed standard error, or a full one
            print(f"{record.name}: {record.getMessage()}", file=sys.stderr, flush=True)


log.addHandler(_Unheard(logging.WARNING))


def switch_on(level: str | None) -> None:
    """Write the log to standard error if the option or the environment says so. Raise `ConfigurationError`."""
    global _handler
    chosen = level if level is not None else os.environ.get("CATCHMENT_CLIENT_LOG", "")
    if not chosen.strip():
        return
    number = logging.getLevelName(chosen.strip().upper())
    if not isinstance(number, int):
        if level is None:
            return  # a typing error in the environment must not stop the program
        raise ConfigurationError("log: expected debug, info, warning, error or critical")
    if _handler is None:
        _handler = logging.StreamHandler()
        _handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        log.addHandler(_handler)
    log.setLevel(number)


class Tally:
    """Logs a new thing at once, and then its number at most once a minute. At most `KINDS` are logged separately."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # one that a signal handler which tracks may take again
        self._unsaid: Counter[tuple[str, str]] = Counter()
        self._next: dict[tuple[str, str], float] = {}

    def warn(self, what: str, why: str, count: int) -> None:
        """Count and log events: what happened to them, and why."""
        now = time.monotonic()
        with self._lock:
            if (what, why) not in self._next and len(self._next) >= KINDS:
                why = OTHERS
            self._unsaid[what, why] += count
            if now < self._next.get((what, why), 0.0):
                return
            self._next[what, why] = now + QUIET
            count = self._unsaid.pop((what, why))
        _say(what, why, count)

    def finish(self) -> None:
        """Log the rest."""
        with self._lock:
            unsaid, self._unsaid = self._unsaid, Counter()
        for (what, why), count in unsaid.items():
            _say(what, why, count)


def _say(what: str, why: str, count: int) -> None:
    log.warning("%d %s %s: %s", count, "event" if count == 1 else "events", what, why)

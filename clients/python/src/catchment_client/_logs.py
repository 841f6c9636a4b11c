"""The logger `catchment_client`: silent until somebody listens. No key, no data, no answer's text ever gets into it."""

from __future__ import annotations

import logging
import os
import threading
import time

from .errors import ConfigurationError

log = logging.getLogger("catchment_client")
log.addHandler(logging.NullHandler())

QUIET = 60.0
"""Seconds between two lines about the same."""
_handler: logging.Handler | None = None


def switch_on(level: str | None) -> None:
    """Writes to standard error, if the option or the environment says so. Raises `ConfigurationError`."""
    global _handler
    chosen = level if level is not None else os.environ.get("CATCHMENT_CLIENT_LOG", "")
    if not chosen.strip():
        return
    number = logging.getLevelName(chosen.strip().upper())
    if not isinstance(number, int):
        if level is None:
            return  # a typing error in the environment stops nobody's work
        raise ConfigurationError("log: expected debug, info, warning, error or critical")
    if _handler is None:
        _handler = logging.StreamHandler()
        _handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        log.addHandler(_handler)
    log.setLevel(number)


class Tally:
    """Says at once what is new, and then at most once a minute how often it was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._next: dict[str, float] = {}

    def warn(self, words: str, count: int) -> None:
        """`words` have a ``%d``."""
        now = time.monotonic()
        with self._lock:
            total = self._counts.get(words, 0) + count
            if now < self._next.get(words, 0.0):
                self._counts[words] = total
                return
            self._counts[words] = 0
            self._next[words] = now + QUIET
        log.warning(words, total)

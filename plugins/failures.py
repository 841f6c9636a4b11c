"""What becomes of a plugin's failures: they are counted, and written to the log a bounded number of times.

An exception's text may hold what a visitor sent, so it is never written: the log gets its type and the lines of
code it came through.
"""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger("catchment.plugins")

EVERY = 60.0
"""Seconds between two lines about the same failure."""
MAX_KINDS = 1_000
"""Kinds of failure that are told apart in the log."""


@dataclass(slots=True)
class _Told:
    at: float
    since: int = 0
    """Failures of this kind since the last line."""


class Failures:
    """The failures of one process. `counts` is for the metrics: by plugin and hook, since the start."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._now = now
        self._told: dict[tuple[str, str, str], _Told] = {}

    def note(self, plugin: str, hook: str, what: str, error: BaseException | None = None) -> None:
        """One call that failed. `what` says how, without data; `error` is what was raised, if anything was."""
        self.counts[plugin, hook] += 1
        self.tell(plugin, hook, what, error)

    def tell(self, plugin: str, hook: str, what: str, error: BaseException | None = None) -> None:
        """One line in the log, at once for a failure of a new kind, and then once a minute how many more."""
        kind = (plugin, hook, what)
        told = self._told.get(kind)
        if told is None:
            if len(self._told) >= MAX_KINDS:
                return
            self._told[kind] = _Told(self._now())
            where = "" if error is None else "\n" + "".join(traceback.format_tb(error.__traceback__)).rstrip()
            logger.warning("plugin %s, %s: %s%s", plugin, hook, what, where)
            return
        told.since += 1
        now = self._now()
        if now - told.at >= EVERY:
            logger.warning("plugin %s, %s: %s; %d more times in %.0f s", plugin, hook, what, told.since, now - told.at)
            told.at, told.since = now, 0

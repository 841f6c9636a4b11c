"""Counts the failures of plugins, and logs them a bounded number of times.

The text of an exception may hold data of a visitor, so it is never logged. The log gets its type and the lines of code.
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
"""Kinds of failures that the log distinguishes."""


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
        """Count and log one failed call. `what` says how it failed, without data; `error` is the exception, if there is
        one."""
        self.counts[plugin, hook] += 1
        self.tell(plugin, hook, what, error)

    def tell(self, plugin: str, hook: str, what: str, error: BaseException | None = None) -> None:
        """Log a failure of a new kind at once, and then the number of further ones once a minute."""
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

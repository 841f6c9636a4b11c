"""Tells the application what became of its events: in the log, and by its callbacks. Never while a lock is held."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ._answers import Again, Verdict
from ._buffer import Pending
from ._events import WIRE_NAMES
from ._logs import KINDS, OTHERS, Tally, log
from ._losses import EXPIRED, GAVE_UP
from ._settings import Settings
from .errors import Lost, Refused
from .receipts import EventWarning, Receipt

_NAMED = WIRE_NAMES | {f"event_data.{column}" for column in ("category", "label", "value")}


class Telling:
    """Tells of losses and failures, in the log and by `on_error`.

    `is_sender` says if the current thread is the sending thread.
    """

    def __init__(self, settings: Settings, endpoint: str, is_sender: Callable[[], bool]) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._is_sender = is_sender
        self._lock = threading.RLock()  # one that a signal handler which tracks may take again
        self._inside = threading.local()
        self.tally = Tally()
        self.refused: Counter[str] = Counter()
        """The number of events that the server refused, by code."""

    def lost(self, reason: str, ids: Sequence[str], last_again: Again | None) -> None:
        """Tell of lost events. `last_again` says why the last attempt was not final; None if there was none."""
        if ids:
            again = last_again if reason in (GAVE_UP, EXPIRED) else None
            why = reason if again is None else f"{reason} (no answer: {again})"
            self.tally.warn("lost", why, len(ids))
        for event_id in ids:
            self.error(Lost(event_id, reason))

    def receipts(self, receipts: Sequence[Receipt]) -> None:
        """Tell of the server's receipts."""
        refused = Counter(_why(receipt) for receipt in receipts if receipt.outcome == "refused")
        for why, count in refused.items():
            self.tally.warn("refused", why, count)
        with self._lock:
            for receipt in receipts:
                if receipt.outcome == "refused":
                    code = str(receipt.reason)
                    self.refused[code if code in self.refused or len(self.refused) < KINDS else OTHERS] += 1
        warned = Counter(_what(warning) for receipt in receipts for warning in receipt.warnings)
        for what, count in warned.items():
            self.tally.warn("taken with a warning", what, count)
        for receipt in receipts:
            self._call(self._settings.on_receipt, receipt)
            if receipt.outcome == "refused":
                self.error(Refused(receipt))

    def answer(self, part: Sequence[Pending], verdict: Verdict, failures: int) -> None:
        """Log an attempt that was not final, and the first one that is again."""
        again = verdict.again
        if verdict.losses == "refused":
            log.warning("the server will not record what was lost before")
        if again is not None and verdict.split and len(part) == 1:
            self.tally.warn("set aside", str(again), 1)
        elif again is not None:
            level = log.debug if failures or verdict.split else log.warning
            level("no answer from %s (%s); trying again, with the same ids", self._endpoint, again)
        elif failures:
            log.info("the server answers again, after %d attempts", failures)

    def error(self, error: Refused | Lost) -> None:
        """Call `on_error`, but not for an event that `on_error` itself tracked and lost: that would never end."""
        if getattr(self._inside, "is_on", False):
            return
        self._inside.is_on = True
        try:
            self._call(self._settings.on_error, error)
        finally:
            self._inside.is_on = False

    def _call(self, callback: Callable[[Any], object] | None, what: Receipt | Refused | Lost) -> None:
        if callback is None:
            return
        try:
            callback(what)
        except BaseException as error:  # its text may hold data
            if not isinstance(error, Exception) and not self._is_sender():
                raise  # an interrupt, say, of the thread that tracks
            log.error("a callback raised %s", type(error).__name__)


def _what(warning: EventWarning) -> str:
    """Return the warning for the log, with the known part of the field's name: the rest may be data."""
    field = warning.field if warning.field in _NAMED else warning.field.partition(".")[0]
    return f"{warning.code} {field} ({warning.detail})" if field in _NAMED else warning.code


def _why(receipt: Receipt) -> str:
    """Return the reason for the log, with those wrong fields whose names are known: other names may be data."""
    fields = sorted(WIRE_NAMES.intersection(receipt.errors))
    return f"{receipt.reason} ({', '.join(fields)})" if fields else str(receipt.reason)

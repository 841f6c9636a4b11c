"""Sends one event at once, and waits for its receipt."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import _answers
from ._answers import Again, Verdict
from ._backoff import delay
from ._events import Item
from ._losses import TOO_LARGE
from ._process import check, watch
from ._settings import Settings
from ._transport import TIMEOUT, Transport, Unreachable
from .errors import ClientClosed, Refused, Unavailable
from .receipts import Receipt

if TYPE_CHECKING:
    from collections.abc import Iterator

DRY_RUN = "/v1/events?dry_run=1"
KEPT = 8
"""Idle connections."""
LAST_TRY = 0.05
"""The least time for another attempt, in seconds."""


class Sending:
    """The connections for sending at once: one for each caller at the same time."""

    def __init__(self, settings: Settings, connect: Callable[[], Transport]) -> None:
        self._settings = settings
        self._connect = connect
        self._path = DRY_RUN if settings.dry_run else "/v1/events"
        self._lock = threading.RLock()  # one that a signal handler which sends may take again
        self._idle: list[Transport] = []
        self._is_closed = False
        watch(self)

    def check(self, item: Item, timeout: float, stop: threading.Event) -> Receipt:
        """Return the receipt of a dry run. Raise as `send` does."""
        return self.send(item, timeout, stop, path=DRY_RUN)

    def send(self, item: Item, timeout: float, stop: threading.Event, *, path: str | None = None) -> Receipt:
        """Return the receipt. Raise `Refused`, `Unavailable` or `ClientClosed`."""
        check()
        if self._is_closed:
            raise ClientClosed("the client is closed")
        if len(item.body) > self._settings.event_bytes:
            detail = f"an event larger than {self._settings.event_bytes} bytes"
            raise Refused(Receipt("refused", item.event_id, reason=TOO_LARGE, detail=detail))
        deadline = time.monotonic() + timeout
        attempt = 0
        before: Again | None = None
        while True:
            attempt += 1
            seconds = max(LAST_TRY, min(self._settings.timeout, deadline - time.monotonic()))
            verdict = self._attempt(path or self._path, item, seconds)
            for receipt in verdict.receipts:
                if receipt is not None:
                    if receipt.outcome == "refused":
                        raise Refused(receipt)
                    return receipt
            again = verdict.again or Again(_answers.NOT_UNDERSTOOD)
            if before is not None and again.reason == TIMEOUT and seconds < self._settings.timeout:
                again = before  # a last try that the caller's time cuts off hides what is wrong
            before = again
            left = deadline - time.monotonic()
            wait = delay(attempt, again.after)
            if again.after is None:
                wait = min(wait, left / 2)  # otherwise the random wait could use up the time
            if left < LAST_TRY or wait >= left or stop.wait(wait):
                raise Unavailable(item.event_id, again.reason, again.detail)

    def _attempt(self, path: str, item: Item, timeout: float) -> Verdict:
        with self._transport() as transport:
            try:
                reply = transport.post(path, item.body, timeout)
            except Unreachable as error:
                return Verdict(again=Again(error.reason, detail=error.detail))
        return _answers.read_single(reply, item.event_id)

    @contextmanager
    def _transport(self) -> Iterator[Transport]:
        with self._lock:
            transport = self._idle.pop() if self._idle else None
        transport = transport or self._connect()
        try:
            yield transport
        finally:
            with self._lock:
                keep = not self._is_closed and len(self._idle) < KEPT
                if keep:
                    self._idle.append(transport)
            if not keep:
                transport.close()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for transport in idle:
            transport.close()

    def after_fork(self) -> None:
        self._lock = threading.RLock()
        idle, self._idle = self._idle, []
        for transport in idle:
            transport.abandon()

    def begin_exit(self) -> None:
        pass

    def at_exit(self) -> None:
        self.close()

"""The sending thread: batches what was tracked, sends it until there is an answer, and counts what is lost.

One thread and one request at a time. An event is released from the queue by its final answer, and by nothing else but
its loss. Nothing is called and nothing logged while the lock is held.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from . import _answers
from ._answers import Again, Verdict
from ._backoff import delay
from ._buffer import Buffer, Pending, envelope
from ._delivery import done, result_of
from ._events import WIRE_NAMES, Item
from ._logs import Tally, log
from ._losses import CLOSED, EXPIRED, GAVE_UP, QUEUE_FULL, TOO_LARGE, Losses
from ._process import check, hold, release, watch
from ._settings import Settings
from ._transport import Transport, Unreachable
from .errors import Lost, Refused
from .receipts import Receipt

HURRY = 0.5
"""Seconds between attempts, at most, once the client is being closed."""


class Background:
    """The queue, and the thread that empties it. The thread starts with the first event, in a fork's child anew."""

    def __init__(self, settings: Settings, connect: Callable[[], Transport]) -> None:
        self._settings = settings
        self._connect = connect
        self._path = "/v1/batch?dry_run=1" if settings.dry_run else "/v1/batch"
        self._is_closing = False
        self._transport: Transport | None = None
        self._begin()
        watch(self)

    def _begin(self) -> None:
        settings = self._settings
        self._tally = Tally()
        self._lock = threading.RLock()  # one that a signal handler which tracks may take again
        self._wake = threading.Condition(self._lock)
        self._buffer = Buffer(
            most_events=settings.queue_events,
            most_bytes=settings.queue_bytes,
            batch_events=settings.batch_events,
            batch_bytes=settings.batch_bytes,
        )
        self._losses = Losses()
        self._parts: list[list[Pending]] = []
        """The batch that is being sent, in the parts that it was split into."""
        self._waiting: list[tuple[int, int, Future[bool]]] = []
        """Who waits until how many are settled, and how many were dropped before."""
        self._accepted = self._settled = self._dropped = 0
        """Of the events that the queue took: all, those of finished batches, those that will not be sent."""
        self._failures = 0
        self._deadline = float("inf")
        self._tried_last = self._gave_up = False
        self._thread: threading.Thread | None = None

    # from other threads

    def add(self, item: Item) -> None:
        check()
        reason = None
        with self._lock:
            if self._is_closing:
                reason = CLOSED
            elif len(item.body) > self._settings.event_bytes:
                reason = TOO_LARGE
            elif not self._buffer.add(Pending(item, time.monotonic())):
                reason = QUEUE_FULL
            else:
                self._accepted += 1
                if len(self._buffer) == 1 or self._buffer.has_full_batch:
                    self._wake.notify_all()
                self._start()
            if reason is not None:
                self._losses.add(reason, 1)
        if reason is not None:
            self._report_lost(reason, [item.event_id])

    def settled(self) -> Future[bool]:
        check()
        with self._lock:
            if self._thread is threading.current_thread():
                return done(False)  # a callback: its own batch is not settled before it returns
            if self._settled >= self._accepted:
                return done(True)
            self._start()
            future: Future[bool] = Future()
            self._waiting.append((self._accepted, self._dropped, future))
            self._wake.notify_all()
            return future

    def begin_close(self, timeout: float) -> Future[bool]:
        check()
        with self._lock:
            self._is_closing = True
            self._deadline = min(self._deadline, time.monotonic() + timeout)
            self._wake.notify_all()
            future = self.settled()
            is_alone = not future.done() and self._thread is None
        if is_alone:  # no thread can be started any more: the process ends
            self._run()
        return future

    def finish_close(self, *, wait: bool) -> None:
        with self._lock:
            thread = self._thread
            if thread is threading.current_thread():
                return
        self._give_up()
        release(self)
        self._tally.finish()
        if wait and thread is not None:
            thread.join(1.0)

    @property
    def losses(self) -> Mapping[str, int]:
        check()
        with self._lock:
            return dict(self._losses.total)

    @property
    def pending(self) -> int:
        check()
        with self._lock:
            return self._buffer.events

    def after_fork(self) -> None:
        """The parent sends what the parent was given; its connection is closed here without a word."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
        self._begin()

    def at_exit(self) -> None:
        answered = result_of(self.begin_close(self._settings.close_timeout), self._settings.close_timeout)
        self.finish_close(wait=answered)

    # the thread

    def _start(self) -> None:
        """With the lock. Where no thread can be started the next event tries again."""
        if self._thread is not None and self._thread.is_alive():
            return
        hold(self)
        thread = threading.Thread(target=self._run, name="catchment-client", daemon=True)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:
            self._thread = None

    def _run(self) -> None:
        while True:
            try:
                if not self._next():
                    break
                self._deliver()
            except Exception as error:  # a mistake of ours must not end the deliveries
                log.error("a fault in the sending thread: %s; it goes on", type(error).__name__)
                self._pause(Again("fault"))
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _next(self) -> bool:
        """Waits for a batch. False at the end."""
        with self._lock:
            while not self._parts:
                if self._gave_up:
                    return False
                if len(self._buffer):
                    left = self._buffer.oldest + self._settings.linger - time.monotonic()
                    if left <= 0 or self._waiting or self._is_closing or self._buffer.has_full_batch:
                        self._parts = [self._buffer.take()]
                    else:
                        self._wake.wait(left)
                elif self._is_closing:
                    return False
                else:
                    self._wake.wait()
            return True

    def _deliver(self) -> None:
        while True:
            self._drop_expired()
            with self._lock:
                if time.monotonic() >= self._deadline or self._gave_up:
                    break
                if not self._parts:
                    self._finish_batch()
                    return
                part = self._parts[0]
                losses = None if self._settings.dry_run else self._losses.report()
            verdict = self._attempt(part, envelope([*part], losses))
            self._apply(part, verdict)
            if verdict.again is not None:
                self._note_failure(verdict.again)
                self._pause(verdict.again)
            elif self._failures:
                log.info("the server answers again, after %d attempts", self._failures)
                self._failures = 0
        self._give_up()

    def _attempt(self, part: Sequence[Pending], body: bytes) -> Verdict:
        if self._transport is None:
            self._transport = self._connect()
        timeout = max(0.05, min(self._settings.timeout, self._deadline - time.monotonic()))
        try:
            reply = self._transport.post(self._path, body, timeout)
        except Unreachable as error:
            return Verdict(again=Again(error.reason))
        verdict = _answers.read_batch(reply, [one.item.event_id for one in part])
        log.debug("a batch of %d events, %d bytes: HTTP %d", len(part), len(body), reply.status)
        return verdict

    def _apply(self, part: list[Pending], verdict: Verdict) -> None:
        """Releases what was answered, and keeps the rest for the next attempt."""
        with self._lock:
            if self._gave_up:
                return
            if verdict.losses_recorded:
                self._losses.recorded()
            if verdict.split:
                self._buffer.shrink(part)
                middle = len(part) // 2
                self._parts[:1] = [part[:middle], part[middle:]]
                return
            receipts = verdict.receipts or [None] * len(part)
            answered = [one for one, receipt in zip(part, receipts) if receipt is not None]
            rest = [one for one, receipt in zip(part, receipts) if receipt is None]
            self._buffer.release(answered)
            self._parts[:1] = [rest] if rest else []
        self._report_receipts([receipt for receipt in receipts if receipt is not None])

    def _finish_batch(self) -> None:
        """With the lock: who waited for what is settled now hears of it."""
        self._settled = self._accepted - len(self._buffer)
        for waiting in list(self._waiting):
            target, dropped, future = waiting
            if self._settled >= target:
                self._waiting.remove(waiting)
                if future.set_running_or_notify_cancel():
                    future.set_result(self._dropped == dropped)

    def _pause(self, again: Again) -> None:
        """Waits before the next attempt. Once the client is being closed there is one attempt at once, then haste,
        unless the server has named a time."""
        self._failures += 1
        until = time.monotonic() + delay(self._failures, again.after)
        with self._lock:
            while not self._gave_up:
                if self._is_closing and again.after is None:
                    until = min(until, time.monotonic() + (HURRY if self._tried_last else 0.0))
                    self._tried_last = True
                left = min(until, self._deadline) - time.monotonic()
                if left <= 0:
                    return
                self._wake.wait(left)

    # losses

    def _drop_expired(self) -> None:
        oldest = time.monotonic() - self._settings.max_age
        with self._lock:
            expired = [one for part in self._parts for one in part if one.added < oldest]
            if expired:
                kept = ([one for one in part if one.added >= oldest] for part in self._parts)
                self._parts = [part for part in kept if part]
                self._drop(expired, EXPIRED)
        self._report_lost(EXPIRED, [one.item.event_id for one in expired])

    def _give_up(self) -> None:
        """Everything that has no answer is lost."""
        with self._lock:
            if self._gave_up:
                return
            self._gave_up = True
            left = [one for part in self._parts for one in part]
            while len(self._buffer):
                left += self._buffer.take()
            self._parts = []
            self._drop(left, GAVE_UP)
            self._finish_batch()
            self._wake.notify_all()
        self._report_lost(GAVE_UP, [one.item.event_id for one in left])

    def _drop(self, lost: Sequence[Pending], reason: str) -> None:
        """With the lock."""
        self._buffer.release(lost)
        self._dropped += len(lost)
        if lost:
            self._losses.add(reason, len(lost))

    # saying so

    def _report_lost(self, reason: str, ids: Sequence[str]) -> None:
        if ids:
            self._tally.warn("lost", reason, len(ids))
        for event_id in ids:
            self._call(self._settings.on_error, Lost(event_id, reason))

    def _report_receipts(self, receipts: Sequence[Receipt]) -> None:
        refused = Counter(_why(receipt) for receipt in receipts if receipt.outcome == "refused")
        for why, count in refused.items():
            self._tally.warn("refused", why, count)
        for receipt in receipts:
            self._call(self._settings.on_receipt, receipt)
            if receipt.outcome == "refused":
                self._call(self._settings.on_error, Refused(receipt))

    def _note_failure(self, again: Again) -> None:
        level = log.debug if self._failures else log.warning
        level("no answer (%s); trying again, with the same ids", again.reason)

    def _call(self, callback: Callable[[Any], object] | None, what: Receipt | Refused | Lost) -> None:
        if callback is None:
            return
        try:
            callback(what)
        except Exception as error:  # its text may hold data
            log.error("a callback raised %s", type(error).__name__)


def _why(receipt: Receipt) -> str:
    """The reason, and the fields that are wrong: those that are ours to name."""
    fields = sorted(WIRE_NAMES.intersection(receipt.errors))
    return f"{receipt.reason} ({', '.join(fields)})" if fields else str(receipt.reason)

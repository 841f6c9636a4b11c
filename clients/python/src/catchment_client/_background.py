"""The sending thread: batches the tracked events, sends them until there is an answer, and counts losses.

There is one thread, with one request at a time. Only a final answer or a loss releases an event from the queue. No
callback is called and nothing is logged while the lock is held.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

from . import _answers
from ._answers import Again, Verdict
from ._buffer import Buffer, Pending, envelope
from ._course import Course
from ._delivery import done, result_of
from ._events import Item
from ._flushes import Flushes
from ._logs import log
from ._losses import CLOSED, EXPIRED, GAVE_UP, QUEUE_FULL, TOO_LARGE, Losses
from ._process import check, hold, release, watch
from ._settings import Settings
from ._telling import Telling
from ._transport import Transport, Unreachable
from .errors import Lost

LAST_CALL = 1.0
"""The last seconds of a close. In them it only reports events that something on the way still refuses."""
REPORTS = 10
"""The most reports of losses that are sent in a row."""


class Background:
    """The queue, and the thread that empties it. The thread starts with the first event, and again in the child of a
    fork."""

    def __init__(self, settings: Settings, connect: Callable[[], Transport], endpoint: str = "the server") -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._connect = connect
        self._path = "/v1/batch?dry_run=1" if settings.dry_run else "/v1/batch"
        self._is_closing = False
        self._transport: Transport | None = None
        self._exit = done(False)
        self._begin()
        watch(self)

    def _begin(self) -> None:
        settings = self._settings
        self._lock = threading.RLock()  # one that a signal handler which tracks may take again
        self._wake = threading.Condition(self._lock)
        self._buffer = Buffer(
            most_events=settings.queue_events,
            most_bytes=settings.queue_bytes,
            batch_events=settings.batch_events,
            batch_bytes=settings.batch_bytes,
        )
        self._course = Course()
        self._flushes = Flushes()
        self._losses = Losses()
        self._last_again: Again | None = None
        self._telling = Telling(settings, self._endpoint, lambda: threading.current_thread() is self._thread)
        self._deadline = self._last_call = float("inf")
        self._gave_up = False
        self._gave_up_in: threading.Thread | None = None
        self._thread: threading.Thread | None = None

    # from other threads

    def lose(self, event_id: str, reason: str, why: str) -> None:
        """Count an event that can't be sent."""
        check()
        with self._lock:
            self._losses.add(reason, 1)
            self._flushes.lose()
        self._telling.tally.warn("lost", f"{reason}: {why}", 1)
        self._telling.error(Lost(event_id, reason))

    def add(self, item: Item) -> None:
        check()
        reason = None
        with self._lock:
            if self._is_closing:
                reason = CLOSED
            elif len(item.body) > self._settings.event_bytes:
                reason = TOO_LARGE
            elif not self._buffer.has_room(item):
                reason = QUEUE_FULL
            else:
                self._buffer.add(Pending(item, time.monotonic(), self._flushes.take()))
                if len(self._buffer) == 1 or self._buffer.has_full_batch:
                    self._wake.notify_all()
                self._start()
            if reason is not None:
                self._losses.add(reason, 1)
                self._flushes.lose()
        if reason is not None:
            self._telling.lost(reason, [item.event_id], self._last_again)

    def settled(self) -> Future[bool]:
        check()
        with self._lock:
            if self._thread is threading.current_thread():
                return done(False)  # a callback: its own batch is not settled before it returns
            self._losses.repeat()
            future = self._flushes.ask(reports=self._has_to_report(time.monotonic()))
            if not future.done():
                self._start()
                self._wake.notify_all()
            return future

    def begin_close(self, timeout: float) -> Future[bool]:
        check()
        with self._lock:
            now = time.monotonic()
            self._is_closing = True
            self._deadline = min(self._deadline, now + timeout)
            self._last_call = self._deadline - min(LAST_CALL, timeout / 5)
            self._course.hurry()
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
        self._telling.tally.finish()
        if thread is not None and (wait or self._gave_up_in is thread):
            thread.join(1.0)

    @property
    def refused(self) -> Counter[str]:
        """The number of events that the server refused, by code."""
        return self._telling.refused

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
        """Begin anew in the child of a fork. The parent keeps its events and its connection."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abandon()
        self._begin()

    def begin_exit(self) -> None:
        self._exit = self.begin_close(self._settings.close_timeout)

    def at_exit(self) -> None:
        answered = result_of(self._exit, self._settings.close_timeout)
        self.finish_close(wait=answered)

    # the thread

    def _start(self) -> None:
        """Start the thread; the lock is held. If no thread can be started, the next event tries again."""
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
        process = os.getpid()
        while True:
            try:
                part = self._next()
                if part is None:
                    break
                self._deliver(part)
                if os.getpid() != process:
                    return  # a callback has forked: the child has begun anew, and starts its own thread
            except Exception as error:  # a bug here must not end the deliveries
                log.error("a fault in the sending thread: %s; it goes on", type(error).__name__)
                with self._lock:
                    now = time.monotonic()
                    self._course.failed(now, None)
                    self._wait_until(self._course.not_before, now)
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _next(self) -> list[Pending] | None:
        """Wait for something to send. Return a batch, or a part of one; an empty list for a report of losses alone;
        None at the end."""
        while True:
            with self._lock:
                while True:
                    now = time.monotonic()
                    if self._gave_up:
                        return None
                    is_last_call = self._is_last_call(now)
                    if is_last_call or now >= self._deadline:
                        break
                    part, until = self._choose(now)
                    if part is not None:
                        return part
                    if until is None and self._is_closing:
                        return None
                    self._wait_until(until, now)
            if not is_last_call:
                self._give_up()
                return None
            self._drop(lambda one: True, GAVE_UP)

    def _wait_until(self, until: float | None, now: float) -> None:
        """With the lock."""
        last = self._last_call if now < self._last_call else self._deadline
        until = last if until is None else min(until, last)
        self._wake.wait(None if until == float("inf") else max(0.0, until - now))

    def _choose(self, now: float) -> tuple[list[Pending] | None, float | None]:
        """Return what to send now, else the time of the next look (None: there is nothing to wait for). The lock is
        held."""
        course, buffer = self._course, self._buffer
        if course.not_before > now and (course.has_parts or course.aside_due is not None or len(buffer)):
            return None, course.not_before
        if course.has_parts:
            return course.part(), None
        due = course.aside_due
        if due is not None and due <= now:
            return course.aside(), None
        if len(buffer):
            ripe = buffer.oldest.added + self._settings.linger
            is_asked_for = buffer.oldest.number <= self._flushes.last
            if ripe <= now or is_asked_for or self._is_closing or buffer.has_full_batch:
                course.begin(buffer.take())
                return course.part(), None
            return None, ripe if due is None else min(ripe, due)
        if self._flushes and self._has_to_report(now):
            return [], None
        return None, due

    def _is_last_call(self, now: float) -> bool:
        """Return True if only a report of events that something on the way refuses can still be sent. The lock is
        held."""
        course = self._course
        is_held_up = course.aside_due is not None and not course.has_parts and not len(self._buffer)
        return is_held_up and self._last_call <= now < self._deadline

    def _has_to_report(self, now: float) -> bool:
        """Return True if a flush must wait for a report of losses, or for a try of it. The lock is held."""
        can_report = not self._settings.dry_run and not self._gave_up and now >= self._course.not_before
        return can_report and self._losses.are_unsaid

    def _deliver(self, part: list[Pending]) -> None:
        oldest = time.monotonic() - self._settings.max_age
        if self._drop(lambda one: one.added < oldest, EXPIRED):
            return
        try:
            for _ in range(1 if part else REPORTS):
                with self._lock:
                    report = None if self._settings.dry_run else self._losses.report()
                if not part and report is None:
                    break
                verdict = self._attempt(part, envelope(part, report))
                self._apply(part, verdict)
                if verdict.losses is None:
                    break
        finally:
            self._resolve(reported=not part)

    def _attempt(self, part: Sequence[Pending], body: bytes) -> Verdict:
        if self._transport is None:
            self._transport = self._connect()
        timeout = max(0.05, min(self._settings.timeout, self._deadline - time.monotonic()))
        try:
            reply = self._transport.post(self._path, body, timeout, len(part))
        except Unreachable as error:
            return Verdict(again=Again(error.reason, detail=error.detail))
        verdict = _answers.read_batch(reply, [one.item.event_id for one in part])
        log.debug("a batch of %d events, %d bytes: HTTP %d", len(part), len(body), reply.status)
        return verdict

    def _apply(self, part: list[Pending], verdict: Verdict) -> None:
        """Release the answered events, and keep the rest for the next attempt."""
        receipts = verdict.receipts or [None] * len(part)
        answered = [one for one, receipt in zip(part, receipts) if receipt is not None]
        with self._lock:
            if self._gave_up:
                return
            failures = self._course.failures
            if verdict.losses is not None:
                self._losses.settled()
            self._last_again = verdict.again
            self._buffer.release(answered)
            self._plan(part, answered, verdict)
            flushes = self._flushes  # a callback may fork, and the child has its own
        self._telling.answer(part, verdict, failures)
        try:
            self._telling.receipts([receipt for receipt in receipts if receipt is not None])
        finally:
            with self._lock:
                flushes.settle(answered)

    def _plan(self, part: list[Pending], answered: Sequence[Pending], verdict: Verdict) -> None:
        """Decide by the answer what is sent next. The lock is held."""
        course, again = self._course, verdict.again
        if part and verdict.too_large:
            self._buffer.too_large(part)
        elif answered:
            self._buffer.passed(part)
        if part and verdict.split and again is not None:
            course.refused(part, time.monotonic(), again.after, too_large=verdict.too_large)
            return
        if part and verdict.split:
            course.split(part)
        elif answered:
            course.done(part, [one for one, receipt in zip(part, verdict.receipts) if receipt is None])
        if again is None or answered:
            course.passed()
        if again is not None:
            course.failed(time.monotonic(), again.after)

    def _resolve(self, *, reported: bool) -> None:
        with self._lock:
            if reported or not self._has_to_report(time.monotonic()):
                self._flushes.resolve()

    # losses

    def _drop(self, which: Callable[[Pending], bool], reason: str) -> bool:
        """Drop the in-flight and set-aside events that match `which`. Return True if there were any."""
        with self._lock:
            lost = self._course.drop(which)
            self._lose(lost, reason)
        self._tell_lost(lost, reason)
        if lost:
            self._resolve(reported=False)
        return bool(lost)

    def _give_up(self) -> None:
        """Drop all events without an answer."""
        with self._lock:
            if self._gave_up:
                return
            self._gave_up = True
            self._gave_up_in = threading.current_thread()
            lost = self._course.drop(lambda one: True)
            while len(self._buffer):
                lost += self._buffer.take()
            self._lose(lost, GAVE_UP)
            self._wake.notify_all()
        self._tell_lost(lost, GAVE_UP)
        self._resolve(reported=True)

    def _lose(self, lost: Sequence[Pending], reason: str) -> None:
        """With the lock."""
        self._buffer.release(lost)
        if lost:
            self._losses.add(reason, len(lost))

    def _tell_lost(self, lost: Sequence[Pending], reason: str) -> None:
        flushes = self._flushes  # a callback may fork, and the child has its own
        try:
            self._telling.lost(reason, [one.item.event_id for one in lost], self._last_again)
        finally:
            with self._lock:
                flushes.settle(lost, lost=True)

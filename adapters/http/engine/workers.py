"""Several workers on one socket: the parent binds it, forks them, and looks after them."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from .listening import stop_handshakes
from .logs import RateLimitedLog
from .pulse import STILL_SECONDS, Pulse
from .signals import ending

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_DEATHS = 5
_DEATHS_SECONDS = 60.0
_BACKOFF = (0.1, 5.0)
_STARTED = 5.0
"""A worker that lives this long began well: the next death's pause is short again."""


class Workers:
    """Forks workers and keeps that many alive; gives up after five deaths in a minute.

    `work(number, beat)` runs in each worker and returns its exit code; it calls `beat` once a second from its event
    loop. A worker that stands still is killed and replaced; one that is told to end and does not within `end_seconds`
    is killed. `gone(number)` is called after each end. The parent runs no event loop and no thread, so that forking is
    safe.
    """

    def __init__(
        self,
        count: int,
        work: Callable[[int, Callable[[], None]], int],
        sockets: list[socket.socket],
        gone: Callable[[int], None],
        end_seconds: float,
    ) -> None:
        self._count = count
        self._work = work
        self._sockets = sockets
        self._gone = gone
        self._end_seconds = end_seconds
        self._handled = ending()
        self._pulse = Pulse(count)
        self._alive: dict[int, tuple[int, float]] = {}
        self._killed: set[int] = set()
        self._deaths: deque[float] = deque()
        self._stopping = False
        self._stopping_for = 0.0
        self._pause = _BACKOFF[0]
        self._wakes: tuple[int, int] = (-1, -1)
        self._missing: list[int] = []
        """Numbers of workers that could not be forked."""
        self._warnings = RateLimitedLog()

    def run(self) -> int:
        """Run until a signal that ends a server, or until it gives up. Return the exit code."""
        self._wakes = os.pipe()
        for end in self._wakes:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wakes[1], warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # so that it wakes the parent
        for handled in self._handled:
            signal.signal(handled, self._stop)
        for number in range(self._count):
            self._fork(number)
        code = 0
        while self._alive or (self._missing and not self._stopping):
            ended = self._reap()
            if ended is None:
                self._look()
                missing, self._missing = self._missing, []
                for number in missing:
                    self._fork(number)
                self._sleep(_LOOK_SECONDS)
                continue
            pid, status = ended
            if pid not in self._alive:
                continue
            number, started = self._alive.pop(pid)
            self._gone(number)
            if self._stopping:
                continue
            log.error("worker %d (process %d) died: %s", number, pid, _how(status))
            if not self._may_restart(pid, started):
                log.critical("%d deaths in %d s: giving up", _DEATHS, _DEATHS_SECONDS)
                code = 1
                self._stop_all()
                continue
            self._fork(number)
        return code

    def _reap(self) -> tuple[int, int] | None:
        """A worker that has ended, and how; None if all live."""
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            self._alive.clear()
            return None
        return (pid, status) if pid else None

    def _look(self) -> None:
        """Kill who stands still, or does not end."""
        step = self._pulse.look()
        if self._stopping:
            self._stopping_for += step
            if self._stopping_for >= self._end_seconds:
                for pid, (number, _) in self._alive.items():
                    self._kill(pid, number, f"was told to end {self._end_seconds:.0f} s ago")
            return
        for pid, (number, _) in self._alive.items():
            if self._pulse.stands_still(number):
                self._kill(pid, number, f"stood still for {STILL_SECONDS:.0f} s")

    def _kill(self, pid: int, number: int, why: str) -> None:
        if pid not in self._killed:
            self._killed.add(pid)
            log.error("worker %d (process %d) %s: killing it", number, pid, why)
            os.kill(pid, signal.SIGKILL)

    def _sleep(self, seconds: float) -> None:
        """Wait until a signal comes."""
        select.select([self._wakes[0]], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wakes[0], 512):
                pass

    def _may_restart(self, pid: int, started: float) -> bool:
        if pid in self._killed:  # by us: it lived long enough for that
            self._killed.discard(pid)
            return True
        now = time.monotonic()
        self._deaths.append(now)
        while now - self._deaths[0] > _DEATHS_SECONDS:
            self._deaths.popleft()
        if len(self._deaths) >= _DEATHS:
            return False
        self._pause = _BACKOFF[0] if now - started >= _STARTED else min(2 * self._pause, _BACKOFF[1])
        until = now + self._pause
        while not self._stopping and time.monotonic() < until:
            self._sleep(until - time.monotonic())
        return True

    def _fork(self, number: int) -> None:
        if self._stopping:
            return
        self._pulse.begin(number)
        # A signal between the fork and the new handlers would be taken by the wrong one, or by none.
        signal.pthread_sigmask(signal.SIG_BLOCK, self._handled)
        try:
            pid = os.fork()
        except OSError as error:  # too many processes, or no memory: this passes
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._handled)
            self._missing.append(number)
            self._warnings.warn("worker %d can't be started (%s): trying again", number, error.strerror)
            return
        if pid:
            self._alive[pid] = (number, time.monotonic())
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._handled)
            return
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for end in self._wakes:
                os.close(end)
            for handled in (*self._handled, signal.SIGCHLD):
                signal.signal(handled, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._handled)
            code = self._work(number, partial(self._pulse.beat, number))
        except KeyboardInterrupt:
            code = 0
        except BaseException:
            log.exception("worker %d ended by an error", number)
        finally:
            logging.shutdown()
            os._exit(code)

    def _stop(self, number: int, frame: object) -> None:
        self._stop_all()

    def _stop_all(self) -> None:
        self._stopping = True
        stop_handshakes(self._sockets)
        for sock in self._sockets:
            sock.close()  # the workers have the socket; who closes it last ends it
        for pid in self._alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        names = {one.value: one.name for one in signal.Signals}  # those of real time have none
        return names.get(number, f"signal {number}")
    return f"exit code {os.WEXITSTATUS(status)}"

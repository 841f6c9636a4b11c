"""Several workers on one socket: the parent binds it, forks them, and looks after them."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

_HANDLED = (signal.SIGTERM, signal.SIGINT)
_DEATHS = 5
_DEATHS_SECONDS = 60.0
_BACKOFF = (0.1, 5.0)
_STARTED = 5.0
"""A worker that lives this long began well: the next death's pause is short again."""


class Workers:
    """Forks workers and keeps that many alive; gives up after five deaths in a minute.

    `work(number)` runs in each worker and returns its exit code. `gone(pid)` is called after each end.
    The parent runs no event loop and no thread, so that forking is safe.
    """

    def __init__(
        self, count: int, work: Callable[[int], int], sockets: list[socket.socket], gone: Callable[[int], None]
    ) -> None:
        self._count = count
        self._work = work
        self._sockets = sockets
        self._gone = gone
        self._alive: dict[int, tuple[int, float]] = {}
        self._deaths: deque[float] = deque()
        self._stopping = False
        self._pause = _BACKOFF[0]

    def run(self) -> int:
        """Runs until SIGTERM or SIGINT, or until it gives up. Returns the exit code."""
        for handled in _HANDLED:
            signal.signal(handled, self._stop)
        for number in range(self._count):
            self._fork(number)
        while self._alive:
            pid, status = self._wait()
            if pid not in self._alive:
                continue
            number, started = self._alive.pop(pid)
            self._gone(pid)
            if self._stopping:
                continue
            log.error("worker %d (process %d) died: %s", number, pid, _how(status))
            if not self._may_restart(started):
                log.critical("%d deaths in %d s: giving up", _DEATHS, _DEATHS_SECONDS)
                self._stop_all()
                while self._alive:
                    self._alive.pop(self._wait()[0], None)
                return 1
            self._fork(number)
        return 0

    def _may_restart(self, started: float) -> bool:
        now = time.monotonic()
        self._deaths.append(now)
        while now - self._deaths[0] > _DEATHS_SECONDS:
            self._deaths.popleft()
        if len(self._deaths) >= _DEATHS:
            return False
        self._pause = _BACKOFF[0] if now - started >= _STARTED else min(2 * self._pause, _BACKOFF[1])
        time.sleep(self._pause)
        return True

    def _wait(self) -> tuple[int, int]:
        try:
            return os.wait()
        except ChildProcessError:
            self._alive.clear()
            return 0, 0

    def _fork(self, number: int) -> None:
        if self._stopping:
            return
        # A signal between the fork and the new handlers would be taken by the wrong one, or by none.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        pid = os.fork()
        if pid:
            self._alive[pid] = (number, time.monotonic())
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
            return
        code = 1
        try:
            for handled in _HANDLED:
                signal.signal(handled, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
            code = self._work(number)
        except KeyboardInterrupt:
            code = 0
        except BaseException:
            log.exception("worker %d ended by an error", number)
        finally:
            logging.shutdown()
            os._exit(code)

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True
        for sock in self._sockets:
            sock.close()  # the workers have the socket; who closes it last ends it
        self._stop_all()

    def _stop_all(self) -> None:
        self._stopping = True
        for pid in self._alive:
            os.kill(pid, signal.SIGTERM)


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit code {os.WEXITSTATUS(status)}"

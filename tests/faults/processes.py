"""Processes: the bounded time of a test, and ends that leave nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from ..support.waiting import TookTooLong, wait_until


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Ends what is inside by an error once it takes longer. In the main thread only."""

    def ring(number: int, frame: object) -> None:
        raise TookTooLong(f"the test took longer than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def family(process: subprocess.Popen[Any]) -> list[psutil.Process]:
    """A process's descendants, without itself."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def kill_family(process: subprocess.Popen[Any]) -> None:
    """kill -9 of a process and all its descendants, at one moment: it is stopped first, so that it starts no more."""
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGSTOP)
    children = family(process)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    process.kill()
    process.wait(10)
    # not until they are reaped: that is for whoever adopted them, and may take a second
    wait_until(lambda: not any(map(_lives, children)), "the processes that were killed end")


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def signal_family(process: subprocess.Popen[Any], number: signal.Signals) -> None:
    """Sends a signal to a process and its descendants; the process itself first."""
    for pid in (process.pid, *(child.pid for child in family(process))):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def memory_of(process: subprocess.Popen[Any]) -> int:
    """Resident bytes of a process and its descendants; 0 where it has ended."""
    total = 0
    for one in (process.pid, *(child.pid for child in family(process))):
        with contextlib.suppress(psutil.Error):
            total += psutil.Process(one).memory_info().rss
    return total


class Repeatedly:
    """Runs `work` in a thread again and again until it is closed. An error of it is raised by `close`."""

    def __init__(self, work: Callable[[], None], *, pause: float) -> None:
        self._work = work
        self._pause = pause
        self._end = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self._work()
            except Exception as error:
                self._error = error
                return
            self._end.wait(self._pause)

    def close(self) -> None:
        self._end.set()
        self._thread.join(20)
        if self._error is not None:
            raise self._error

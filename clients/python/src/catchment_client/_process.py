"""What happens to a process: it forks, and it ends. One hook of each kind for all clients."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import Protocol
from weakref import WeakSet


class Watched(Protocol):
    """Something with threads and connections."""

    def after_fork(self) -> None:
        """In the child: the parent's threads and connections are not here."""

    def begin_exit(self) -> None:
        """The process ends. Called for all before `at_exit`, so that they wait at the same time."""

    def at_exit(self) -> None:
        """Waits for what may still be done."""


_watched: WeakSet[Watched] = WeakSet()
_held: set[Watched] = set()
_pid = 0
_lock = threading.RLock()


def watch(one: Watched) -> None:
    """Tells it from now on."""
    global _pid
    if not _pid:
        _pid = os.getpid()
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)
    _watched.add(one)


def check() -> None:
    """Call before using what a fork leaves behind: some servers (uWSGI) fork without calling Python's hooks."""
    if os.getpid() != _pid:
        with _lock:  # the child may have several threads by now: none goes on before all is made anew
            if os.getpid() != _pid:
                _after_fork()


def hold(one: Watched) -> None:
    """It has something to lose now, also if nobody else knows it any more. Call again after a fork: multiprocessing
    ends its children without `atexit`."""
    _held.add(one)
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _at_exit, exitpriority=10)


def release(one: Watched) -> None:
    """It has nothing to lose any more."""
    _held.discard(one)


def _after_fork() -> None:
    global _pid
    _held.clear()
    for one in list(_watched):
        one.after_fork()
    _pid = os.getpid()


def _at_exit() -> None:
    watched = list(_watched)
    for one in watched:
        one.begin_exit()
    for one in watched:
        one.at_exit()

"""Forks and the end of the process: one hook of each kind for all clients."""

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
        """Called in the child, where the parent's threads and connections do not exist."""

    def begin_exit(self) -> None:
        """Called at the end of the process, for all objects before `at_exit`, so that they wait at the same time."""

    def at_exit(self) -> None:
        """Wait for the rest of the work."""


_watched: WeakSet[Watched] = WeakSet()
_held: set[Watched] = set()
_pid = 0
_lock = threading.RLock()


def watch(one: Watched) -> None:
    """Call the hooks of this object from now on."""
    global _pid
    if not _pid:
        _pid = os.getpid()
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)
    _watched.add(one)


def check() -> None:
    """Detect a fork. Call it before each use of threads and locks: some servers (uWSGI) fork without Python's hooks."""
    if os.getpid() != _pid:
        with _lock:  # the child may have several threads by now: all wait until everything is made anew
            if os.getpid() != _pid:
                _after_fork()


def hold(one: Watched) -> None:
    """Keep an object alive that has events to lose. Call it again after a fork: multiprocessing ends its children
    without `atexit`."""
    _held.add(one)
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _at_exit, exitpriority=10)


def release(one: Watched) -> None:
    """Stop keeping the object alive: it has no events to lose."""
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

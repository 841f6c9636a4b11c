"""An end by a deadline, whatever threads and tasks still do."""

from __future__ import annotations

import os
import threading
import time


class LastResort:
    """Ends the process if it has not ended by itself in time. A thread does it, so that it needs nobody's help."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._armed = threading.Condition()
        self._at = float("inf")
        self._code = 1
        # Begun now: the process may end because it has no memory for a thread.
        threading.Thread(target=self._watch, daemon=True, name="last resort").start()

    def arm(self, seconds: float, code: int) -> None:
        """Give the process so many seconds from now, and the exit code that it ends with if they are over."""
        at = time.monotonic() + seconds
        with self._armed:
            if at < self._at:
                self._at, self._code = at, code
            self._armed.notify()

    def _watch(self) -> None:
        with self._armed:
            while (left := self._at - time.monotonic()) > 0:
                self._armed.wait(None if left == float("inf") else left)
            if not self._over.is_set():
                os._exit(self._code)

    def disarm(self) -> None:
        """The work is over. If another thread goes on for ever, the time still counts."""
        others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
        if all(thread.daemon for thread in others):
            self._over.set()

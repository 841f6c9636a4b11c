"""An end by a deadline, whatever threads and tasks still do."""

from __future__ import annotations

import os
import threading


class LastResort:
    """Ends the process if it has not ended by itself in time. A thread does it, so that it needs nobody's help."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def arm(self, seconds: float, code: int) -> None:
        """From now on the process has so many seconds."""
        threading.Thread(target=self._end, args=(seconds, code), daemon=True, name="last resort").start()

    def _end(self, seconds: float, code: int) -> None:
        if not self._over.wait(seconds):
            os._exit(code)

    def disarm(self) -> None:
        """The work is over. If another thread goes on for ever, the time still counts."""
        others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
        if all(thread.daemon for thread in others):
            self._over.set()

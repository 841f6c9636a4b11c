"""The end of a process whose threads and tasks do not end."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import threading, time
from catchment.adapters.http.engine.last_resort import LastResort

last_resort = LastResort()
last_resort.arm(600, 1)
last_resort.arm(0.1, 7)
if {stubborn}:
    threading.Thread(target=time.sleep, args=(600,)).start()
last_resort.disarm()
"""


def _code(stubborn: bool) -> int:
    program = _PROGRAM.format(stubborn=stubborn)
    return subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode


def test_a_thread_that_never_ends_is_ended_by_the_earliest_deadline() -> None:
    assert _code(stubborn=True) == 7


def test_a_process_that_ends_by_itself_keeps_its_code() -> None:
    assert _code(stubborn=False) == 0

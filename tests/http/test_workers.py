"""The parent of the workers, in odd moments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_END = """
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(600)
    return 1

raise SystemExit(Workers(1, work, [], lambda *gone: None, 30.0).run())
"""

_NO_PROCESS = """
import errno, os, signal, time
from catchment.adapters.http.engine.workers import Workers

real, failures = os.fork, [errno.EAGAIN, errno.ENOMEM]

def fork():
    if failures:
        raise OSError(failures.pop(), "no process is left")
    return real()

os.fork = fork

def work(number, beat):
    print("began", flush=True)
"""

_ODD_SIGNAL = """
import os, signal, sys, time
from pathlib import Path
from catchment.adapters.http.engine.workers import Workers

def work(number, beat):
    print("began", flush=True)
    before = Path(sys.argv[1])
    if not before.exists():
        before.touch()
        signal.signal(40, signal.SIG_DFL)  # a real-time signal; Python has no name for it
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [40])
        os.kill(os.getpid(), 40)
        time.sleep(600)
"""


def _run(program: str, *arguments: object) -> tuple[int, str, str]:
    command = [sys.executable, "-c", program + _END, *map(str, arguments)]
    done = subprocess.run(command, timeout=60, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_worker_that_can_not_be_forked_is_forked_later() -> None:
    code, said, logged = _run(_NO_PROCESS)
    assert (code, said) == (0, "began\n"), logged
    assert "no process is left" in logged


def test_a_worker_that_died_of_a_signal_without_a_name_is_replaced(tmp_path: Path) -> None:
    code, said, logged = _run(_ODD_SIGNAL, tmp_path / "before")
    assert (code, said) == (0, "began\nbegan\n"), logged
    assert "died: signal 40" in logged

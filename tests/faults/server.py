"""The real server as a process of its own, on a free port."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import subprocess
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from ..support.running import COMMAND, LISTENING, environment
from ..support.waiting import wait_until
from .processes import Repeatedly, family, kill_family, memory_of

Address = tuple[str, int]

SHIPPED = "bots,campaigns,csv,geography,useragent"


def environment_of(dsn: str, **settings: object) -> dict[str, str]:
    """Return a server's environment, without the shipped plugins unless the settings say otherwise."""
    # The load comes from one address here; what an address may do is the matter of tests/strangers.
    rates = {"LIMITS__RATE_PER_ADDRESS": 0}
    return environment(dsn, **{"PLUGINS__DISABLED": SHIPPED, **rates, **settings})


class Server:
    """One `catchment serve`. Its log, standard error, goes to a file, unless `stderr` is given."""

    def __init__(
        self, dsn: str, log: Path, *, workers: int, settings: Mapping[str, object], stderr: BinaryIO | None = None
    ) -> None:
        self.log = log
        self.peak = 0
        """The most resident bytes it was seen to have."""
        self._logs_elsewhere = stderr is not None
        options = ["--host", "127.0.0.1", "--port", "0", "--workers", str(workers)]
        command = [*COMMAND, "serve", *options]
        with log.open("wb") as own:
            self.process: subprocess.Popen[Any] = subprocess.Popen(
                command,
                env=environment_of(dsn, **settings),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr or own,
            )
        self.address: Address = ("127.0.0.1", 0)
        self._watch = Repeatedly(self._measure, pause=0.2)

    def _measure(self) -> None:
        self.peak = max(self.peak, memory_of(self.process))

    def wait_ready(self, within: float = 30.0) -> Server:
        """Waits until it collects."""
        self.address = ("127.0.0.1", wait_until(self._port, "the server listens", within))
        wait_until(lambda: self._lives() and self.status("/readyz") == 200, "the server collects", within)
        wait_until(lambda: self.readiness()["database"]["announcements"], "it hears of changes", within)
        return self

    def _lives(self) -> bool:
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}: {self.log_text()}"
        return True

    def _port(self) -> int | None:
        self._lives()
        if self._logs_elsewhere:
            with contextlib.suppress(psutil.Error):
                sockets = psutil.Process(self.process.pid).net_connections("tcp")
                return next((int(one.laddr.port) for one in sockets if one.status == psutil.CONN_LISTEN), None)
            return None
        found = LISTENING.search(self.log_text())
        return int(found[1]) if found else None

    # what is done to it

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """kill -9, of its workers too."""
        kill_family(self.process)

    def ask_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self, within: float = 30.0) -> int:
        """Its exit code."""
        return int(self.process.wait(within))

    def limit(self, what: int, value: int) -> None:
        """A resource limit (`resource.RLIMIT_…`), the soft one, from now on; of its workers too."""
        for pid in (self.process.pid, *(child.pid for child in family(self.process))):
            with contextlib.suppress(ProcessLookupError):
                _, hard = resource.prlimit(pid, what)
                resource.prlimit(pid, what, (value, hard))

    def close(self) -> None:
        self.kill()
        self._watch.close()

    # what it says

    def ask(self, path: str, timeout: float = 10.0) -> tuple[int, str]:
        """The status and body of a GET."""
        connection = HTTPConnection(*self.address, timeout=timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def status(self, path: str) -> int:
        """The status of a GET; 0 where there was no answer."""
        try:
            return self.ask(path, timeout=2)[0]
        except (OSError, HTTPException):
            return 0

    def readiness(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.ask("/readyz")[1])
        return said

    def metric(self, name: str, *labels: str) -> float:
        """The sum of a metric over all lines that have these labels, each such as ``hook="…"``."""
        lines = [line for line in self.ask("/metrics")[1].splitlines() if line.startswith(name)]
        return sum(float(line.rpartition(" ")[2]) for line in lines if all(label in line for label in labels))

    def log_text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

"""The real server as a process, on a database of its own, and everything that is asked of it after bad input."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..support.answers import Answer
from ..support.database import Database
from ..support.waiting import wait_until
from .wire import Header, Wire, request

ORIGIN = "https://good.com"
PAGE = f"{ORIGIN}/page"
RULES = (ORIGIN, "https://*.wild.example", "https://port.example:8443", "http://localhost:*")
"""The origins of the project."""
CANARY = "Zyzzogeton"
"""A word that stands in bodies, urls and headers here: no log may hold it."""
EXPOSED = "Retry-After, X-Catchment-Outcome, X-Catchment-Reason, X-Request-Id"

_WITHOUT_PLUGINS = "bots,campaigns,csv,geography,useragent"
_STARTS = 30.0
"""Seconds in which a server starts, for sure."""


def environment(database: Database, **settings: str) -> dict[str, str]:
    """The environment of a command on this database, and nothing of ours beside that."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CATCHMENT_")}
    given = {
        "DATABASE__URL": database.dsn,
        "PLUGINS__DISABLED": _WITHOUT_PLUGINS,
        "HTTP__TRUSTED_PROXIES": "127.0.0.1/32",
        **settings,
    }
    return {**kept, **{f"CATCHMENT_{name}": value for name, value in given.items()}}


def run(command: Sequence[str], env: dict[str, str], code: int = 0) -> str:
    """What a command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "catchment.config.main", *command],
        env=env,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=_STARTS,
        check=False,
    )
    assert done.returncode == code, f"{command} ended with {done.returncode}: {done.stderr}"
    return done.stdout


@dataclass(slots=True)
class Collector:
    """A running server with one project, and what it has acknowledged to us."""

    address: tuple[str, int]
    process: int
    database: Database
    log: Path
    env: dict[str, str]
    project: str
    browser_key: str
    server_key: str
    acknowledged: Counter[str] = field(default_factory=Counter)
    """The ids of all events that were answered with stored: an id can be stored once with each kind of key."""
    _told: int = 0
    _good: int = 0

    def wire(self) -> Wire:
        return Wire(self.address)

    def headers(self, *changes: Header, key: str | None = None) -> list[Header]:
        """What a page's script sends, but for these changes."""
        return [
            ("Authorization", f"Bearer {key or self.browser_key}"),
            ("Content-Type", "application/json"),
            ("Origin", ORIGIN),
            *changes,
        ]

    def ask(
        self, wire: Wire, body: bytes, *changes: Header, path: str = "/v1/events", key: str | None = None
    ) -> Answer | None:
        """The answer to one request on this connection; what it says was stored is remembered."""
        wire.send(request(path, body, self.headers(*changes, key=key)))
        return self.remember(wire.answer())

    def remember(self, answer: Answer | None) -> Answer | None:
        """Takes down what an answer acknowledges."""
        if answer is not None and answer.status == 200:
            said = answer.json
            for receipt in said.get("results", [said]):
                if receipt.get("outcome") == "stored":
                    self.acknowledged[receipt["event_id"]] += 1
        return answer

    def check_after(self, wire: Wire, body: bytes = b"") -> None:
        """After bad input: the next good event is stored, on the same connection where that is still open, and the
        log has neither an error nor a word of what was sent."""
        self._store_good(wire)
        self.check_log()

    def _store_good(self, wire: Wire) -> None:
        self._good += 1
        event_id = f"good-{self._good}"
        body = json.dumps({"event_name": f"Good{CANARY}", "url": PAGE, "eventId": event_id}).encode()
        answer = None if wire.closed else self.ask(wire, body)
        if answer is None:
            with self.wire() as fresh:
                answer = self.ask(fresh, body)
        assert answer is not None
        assert (answer.status, answer.json["outcome"], answer.json["event_id"]) == (200, "stored", event_id)

    def check_log(self) -> None:
        """Nothing new in the log that may not be there."""
        with self.log.open("rb") as file:
            file.seek(self._told)
            new = file.read()
        self._told += len(new)
        for line in new.decode().splitlines():
            assert CANARY.lower() not in line.lower(), "what was sent stands in the log"
            assert self.browser_key not in line
            assert self.server_key not in line
            assert "Traceback" not in line
            assert json.loads(line)["level"] in ("debug", "info", "warning"), line

    def row(self, event_id: str) -> dict[str, Any]:
        """The stored row of an event."""
        return dict(
            self.database.one("SELECT to_jsonb(event) FROM catchment.event AS event WHERE event_id = %s", event_id)
        )

    def most_memory(self) -> int:
        """The most memory that the server ever had, in bytes; 0 where the system does not tell (Linux does)."""
        status = Path(f"/proc/{self.process}/status")
        lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

    def check_books(self, *, all_are_known: bool = True) -> None:
        """What was acknowledged is what is stored, what is stored is what is billed, and nothing got past the
        checks that the database could not hold. `all_are_known`: nobody but us has posted."""
        stored = [event_id for (event_id,) in self.database.execute("SELECT event_id FROM catchment.event")]
        if all_are_known:
            lost, unasked = self.acknowledged - Counter(stored), Counter(stored) - self.acknowledged
            assert not lost, f"acknowledged and not stored: {lost}"
            assert not unasked, f"stored and not acknowledged: {unasked}"
        assert self.database.one("SELECT count(*) FROM catchment.quarantine") == 0
        assert json.loads(run(["audit", "--json"], self.env)) == {"ok": True, "differences": []}
        usage = json.loads(run(["usage", "--json"], self.env))
        assert sum(one["events"] for one in usage) == len(stored)


@contextlib.contextmanager
def collector(database: Database, log: Path, **settings: str) -> Iterator[Collector]:
    """A server that listens on a free port of the loopback, with an account, a project and a key of each kind."""
    env = environment(database, **settings)
    run(["account", "create", "acme", "--json"], env)
    origins = [word for rule in RULES for word in ("--origin", rule)]
    project = json.loads(run(["project", "create", "shop", "--account", "acme", *origins, "--json"], env))
    run(["project", "set", "shop", "--privacy", "full"], env)
    server_key = json.loads(run(["key", "create", "shop", "--kind", "server", "--json"], env))["key"]
    with serve(env, log) as (address, process):
        yield Collector(address, process, database, log, env, project["id"], project["browser_key"], server_key)


@contextlib.contextmanager
def serve(env: dict[str, str], log: Path) -> Iterator[tuple[tuple[str, int], int]]:
    """`catchment serve` as a process: its address and its id. Ends it, and sees to it that it ends well."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "catchment.config.main", "serve", "--port", "0"],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
        )
    try:
        yield _address(process, log), process.pid
        process.terminate()
        assert process.wait(timeout=_STARTS) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> tuple[str, int]:
    """Wait until the server collects, and return where it listens."""

    def said() -> str | None:
        text = log.read_text(encoding="utf-8")
        assert process.poll() is None, f"the server ended with {process.returncode}: {text}"
        return text if '"collecting"' in text else None

    text = wait_until(said, "the server starts", _STARTS)
    host, _, port = text.partition("Listening on ")[2].partition(",")[0].rpartition(":")
    return host, int(port)

"""The real server as a process, on a database of its own, and everything that is asked of it after bad input."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..support.answers import Answer
from ..support.database import Database
from ..support.running import Collector, Installation, make_projects, variables
from .wire import Header, Wire, request

ORIGIN = "https://good.com"
PAGE = f"{ORIGIN}/page"
RULES = (ORIGIN, "https://*.wild.example", "https://port.example:8443", "http://localhost:*")
"""The origins of the project."""
CANARY = "Zyzzogeton"
"""A word that stands in bodies, urls and headers here: no log may hold it."""
EXPOSED = "Retry-After, RateLimit-Policy, RateLimit, X-Catchment-Outcome, X-Catchment-Reason, X-Request-Id"

SETTINGS = {"PLUGINS__DISABLED": "bots,campaigns,csv,geography,useragent", "HTTP__TRUSTED_PROXIES": "127.0.0.1/32"}


@dataclass(slots=True)
class AuditedCollector(Collector):
    """A collector that remembers what it acknowledged to us, and is held to it."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    """The ids of all events that were answered with stored: an id can be stored once with each kind of key."""
    _told: int = 0
    _good: int = 0

    @property
    def browser_key(self) -> str:
        return self.project.browser_key

    @property
    def server_key(self) -> str:
        return self.project.server_key

    def wire(self) -> Wire:
        return Wire(("127.0.0.1", self.server.port))

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
        with self.server.log.open("rb") as file:
            file.seek(self._told)
            new = file.read()
        self._told += len(new)
        for line in new.decode().splitlines():
            assert CANARY.lower() not in line.lower(), "what was sent stands in the log"
            assert self.browser_key not in line
            assert self.server_key not in line
            assert "Traceback" not in line
            assert json.loads(line)["level"] in ("debug", "info", "warning"), line

    def row_as_json(self, event_id: str) -> dict[str, Any]:
        """Return the stored row of an event, with the types of JSON."""
        return dict(
            self.database.one("SELECT to_jsonb(event) FROM catchment.event AS event WHERE event_id = %s", event_id)
        )

    def most_memory(self) -> int:
        """The most memory that the server ever had, in bytes; 0 where the system does not tell (Linux does)."""
        status = Path(f"/proc/{self.server.process.pid}/status")
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
        assert self.installation.json("audit") == {"ok": True, "differences": []}
        usage = self.installation.json("usage")
        assert sum(one["events"] for one in usage) == len(stored)


@contextlib.contextmanager
def collector(database: Database, folder: Path, **settings: str) -> Iterator[AuditedCollector]:
    """A server on a free port of the loopback, with a project. It must end well."""
    installation = Installation(database.dsn, folder, variables({**SETTINGS, **settings}))
    (project,) = make_projects(database.dsn, "shop", origins=RULES)
    installation.json("project", "set", "shop", "--privacy", "full")
    with installation.serving() as server:
        yield AuditedCollector(database, installation, project, server)
        assert server.stop() == 0

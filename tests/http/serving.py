"""A collecting server on a loopback socket, everything behind it in memory, and a client that looks closely."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from catchment.adapters.http.answers import OUTCOME, REASON
from catchment.adapters.http.application import Application
from catchment.adapters.http.engine.listening import bind
from catchment.adapters.http.engine.server import ConnectionLimits, Server
from catchment.adapters.http.operations.metrics import Metrics
from catchment.adapters.http.protocol_runner import ProtocolRunner
from catchment.adapters.memory.losses import MemoryLosses
from catchment.adapters.memory.parts import CountingIds, NoExtensions, NoRateLimit, ToldClock
from catchment.adapters.memory.scripts import MemoryScripts
from catchment.adapters.memory.store import MemoryProjects, MemoryRegistry, MemorySink, Store
from catchment.config.fields import Network
from catchment.config.parts import Http, plug_http
from catchment.config.settings import HttpSettings, Settings
from catchment.core.accounts.administer import Administer
from catchment.core.accounts.scripts import TRACKER, TRACKER_PLUS, Script
from catchment.core.collecting.losses import LossReport, Recorded
from catchment.core.collecting.ports import Stored
from catchment.core.event import Enrichment, Event
from catchment.core.limits import Limits
from catchment.core.metering.quota import QuotaRule
from catchment.core.metering.quotas import Quotas
from catchment.core.outcomes import EventWarning, Filtered
from catchment.core.project import KeyKind, Project, SettingsChange, Window
from catchment.core.refusals import Reason, Refusal

from ..support.answers import Answer
from ..support.parts import memory_parts, memory_quotas

ORIGIN = "https://shop.example"
PAGE = f"{ORIGIN}/beans?tab=1"
EXPOSED = "Retry-After, RateLimit-Policy, RateLimit, X-Catchment-Outcome, X-Catchment-Reason, X-Request-Id"
JSON = "application/json"
SECRET = "words that no log may hold"
HANGS = 30.0
"""Seconds after which a client here gives up; nothing takes that long."""


class ScriptedExtensions(NoExtensions):
    """What plugins might say, by the event's name."""

    async def validate(self, event: Event, warnings: list[EventWarning]) -> Refusal | Filtered | None:
        if event.name == "Forbidden":
            return Refusal(reason=Reason.REFUSED_BY_PLUGIN, code="forbidden_name", detail="Call it something else.")
        if event.name == "Noise":
            return Filtered("plugin:example:noise")
        if event.name == "Fault":
            raise RuntimeError(SECRET)
        if event.name == "Cancel" and (task := asyncio.current_task()) is not None:
            task.cancel()
        return None

    async def enrich(self, event: Event, warnings: list[EventWarning]) -> Sequence[Enrichment]:
        known = [Enrichment(properties={"tier": "gold"})] if event.user_id == "known" else []
        return [*known, *([Enrichment(is_bot=True)] if event.user_agent and "bot" in event.user_agent else [])]


class ToldRateLimiter(NoRateLimit):
    """`catchment.core.collecting.ports.RateLimiter` that says of keys what it was told to."""

    wait: int | None = None

    def key_wait(self, key: bytes, events: int) -> int | None:
        return self.wait


class GatedSink(MemorySink):
    """Stores when the gate is open, and says when somebody waits before it."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0

    async def store(self, batch: Sequence[Event], *, deadline: float, share: str | None = None) -> Stored:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        return await super().store(batch, deadline=deadline)


class BreakableLosses(MemoryLosses):
    """Raises what it was told to."""

    failing: Exception | None = None

    async def record(
        self, project_id: str, kind: KeyKind, report: LossReport, received_at: datetime, *, deadline: float
    ) -> Recorded:
        if self.failing is not None:
            raise self.failing
        return await super().record(project_id, kind, report, received_at, deadline=deadline)


class CountedScripts(MemoryScripts):
    """Counts how often it is asked, and answers when the gate is open."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def find(self, name: str, version: str) -> Script | None:
        self.asked += 1
        await self.gate.wait()
        return await super().find(name, version)


SHIPPED = {
    TRACKER: Script(name=TRACKER, content="/* the tracker: é */\n".encode() * 40),
    TRACKER_PLUS: Script(name=TRACKER_PLUS, content=b"/* the tracker, plus */\n" * 40),
}
"""What stands for the built scripts."""


class CountedProjects(MemoryProjects):
    """Counts how often it is asked."""

    asked = 0

    async def find(self, fingerprint: bytes) -> Any:
        self.asked += 1
        return await super().find(fingerprint)


def networks(*names: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(name) for name in names)


@dataclass(slots=True)
class Site:
    """A server with one project, and the parts behind it within reach."""

    clock: ToldClock = field(default_factory=ToldClock)
    ids: CountingIds = field(default_factory=CountingIds)
    storage: Store = field(default_factory=Store)
    rate_limiter: Any = field(default_factory=ToldRateLimiter)
    metrics: Metrics = field(default_factory=Metrics)
    limits: Limits = field(default_factory=Limits)
    trusted: tuple[Network, ...] = ()
    operators: tuple[Network, ...] = field(default_factory=lambda: networks("127.0.0.0/8"))
    ready: tuple[bool, dict[str, Any]] = (True, {"queue": {"events": 0}})
    receive_bytes: int = 64 * 1024 * 1024
    shipped: Mapping[str, Script] = field(default_factory=lambda: SHIPPED)
    losses: BreakableLosses = field(init=False)
    archive: CountedScripts = field(init=False)
    http: Http = field(init=False)
    projects: CountedProjects = field(init=False)
    sink: GatedSink = field(init=False)
    administer: Administer = field(init=False)
    quotas: Quotas = field(init=False)
    server: Server = field(init=False)
    wires: list[Wire] = field(default_factory=list)
    drained: bool = False
    port: int = 0
    project: Project = field(init=False)
    browser_key: str = ""
    server_key: str = ""

    def __post_init__(self) -> None:
        self.projects, self.sink = CountedProjects(self.storage), GatedSink(self.storage)
        self.losses, self.archive = BreakableLosses(self.storage, self.limits), CountedScripts(self.storage)
        self.administer = Administer(MemoryRegistry(self.storage), self.ids, lambda origin: origin)
        self.quotas = memory_quotas(self.storage, self.clock, self.ids)
        parts = memory_parts(
            self.storage,
            self.limits,
            clock=self.clock,
            ids=self.ids,
            projects=self.projects,
            sink=self.sink,
            losses=self.losses,
            archive=self.archive,
            rate_limiter=self.rate_limiter,
            extensions=ScriptedExtensions(),
        )
        http = HttpSettings(
            trusted_proxies=self.trusted,
            operator_networks=self.operators,
            receive_bytes=self.receive_bytes,
            public_url="https://collect.example",
        )
        self.http = plug_http(
            parts,
            Settings(limits=self.limits, http=http),
            metrics=self.metrics,
            readiness=self._readiness,
            scripts=self.shipped,
            version="1.2.3",
        )

    @property
    def application(self) -> Application:
        return self.http.application

    @property
    def protocol_runner(self) -> ProtocolRunner:
        return self.http.protocol_runner

    async def _readiness(self) -> tuple[bool, dict[str, Any]]:
        return self.ready

    async def set_up(self) -> None:
        """An account with one project, and a key of each kind."""
        await self.administer.create_account("roastery")
        self.project, key = await self.administer.create_project("shop", "roastery", [ORIGIN])
        self.browser_key = key.text
        self.server_key = (await self.administer.create_key(self.project.id, KeyKind.SERVER)).text

    async def start(self) -> None:
        await self.set_up()
        sockets = bind("127.0.0.1", 0)
        self.port = sockets[0].getsockname()[1]
        self.server = Server(self.application, sockets, ConnectionLimits())
        self.server.start()

    async def drain(self, *, grace: float, at_most: float) -> None:
        self.drained = True
        await self.server.drain(grace=grace, at_most=at_most)

    async def stop(self) -> None:
        self.sink.gate.set()
        for wire in self.wires:
            wire.writer.transport.abort()  # `close` waits for what the server has not read
        if not self.drained:
            await self.drain(grace=0.0, at_most=5.0)
        async with asyncio.timeout(HANGS):
            await asyncio.gather(*(wire.writer.wait_closed() for wire in self.wires), return_exceptions=True)

    async def change(self, **changes: Any) -> None:
        """Changes the project's settings."""
        await self.administer.change_project(self.project.id, changes=SettingsChange(**changes))

    async def limit(self, hard: int) -> None:
        await self.quotas.set(QuotaRule(window=Window.MONTH, hard=hard), project=self.project.id)

    def event(self, **fields: object) -> dict[str, object]:
        """A good event of the browser key; `fields` change it, and None takes one out."""
        event = {"projectKey": self.browser_key, "event_name": "AddToCart", "url": PAGE, **fields}
        return {name: value for name, value in event.items() if value is not None}

    # asking

    async def connect(self) -> Wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.wires.append(Wire(reader, writer))
        return self.wires[-1]

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        *,
        origin: str | None = ORIGIN,
    ) -> Answer:
        """One request on a connection of its own."""
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if origin is not None:
            pairs.append(("Origin", origin))
        wire = await self.connect()
        await wire.send(request(method, path, body, pairs))
        answer = await wire.answer(method)
        wire.close()
        return answer

    async def post(self, body: object, path: str = "/v1/events", **headers: str) -> Answer:
        """Posts a value as JSON, or bytes as they are. Header names have `_` for `-`."""
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        origin = headers.pop("Origin", ORIGIN)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ask("POST", path, text, {"Content-Type": JSON, **named}, origin=origin or None)

    async def batch(self, body: object, **headers: str) -> Answer:
        return await self.post(body, "/v1/batch", **headers)


MakeSite = Callable[..., Awaitable[Site]]
"""Makes a server whose parts differ from the defaults."""


def request(method: str, path: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """The bytes of a request."""
    names = {name.lower() for name, _ in headers}
    lines = [f"{method} {path} HTTP/1.1"]
    if "host" not in names:
        lines.append("Host: collect.example")
    lines += [f"{name}: {value}" for name, value in headers]
    if (body or method == "POST") and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@dataclass(slots=True)
class Wire:
    """A connection, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(HANGS):
            await self.writer.drain()

    async def answer(self, method: str = "POST") -> Answer:
        """The next answer; an interim one (1xx) too."""
        async with asyncio.timeout(HANGS):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
            headers = Headers()
            for line in lines:
                name, _, value = line.partition(":")
                headers.add(name, value.strip())
            status = int(status_line.split()[1])
            length = 0 if method == "HEAD" or status < 200 or status == 204 else int(headers.get("Content-Length", 0))
            body = await self.reader.readexactly(length)
        return Answer(status, headers, body)

    async def ended(self) -> bool:
        """Whether the server closes the connection, and sends nothing more."""
        async with asyncio.timeout(HANGS):
            return await self.reader.read(1) == b""

    def close(self) -> None:
        self.writer.close()


class Headers(dict[str, str]):
    """Headers, whatever the case of their names. One that comes twice is an error."""

    def add(self, name: str, value: str) -> None:
        assert name.lower() not in self, f"{name} comes twice"
        super().__setitem__(name.lower(), value)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


# What every answer has


def check_common(answer: Answer, origin: str | None = ORIGIN) -> None:
    """The headers of every answer, whatever it says."""
    headers = answer.headers
    assert headers["Vary"] == "Origin"
    assert headers["X-Request-Id"]
    assert "Access-Control-Allow-Credentials" not in headers
    assert headers.get("Access-Control-Allow-Origin") == origin
    if origin is not None:
        assert headers["Access-Control-Expose-Headers"] == EXPOSED


def check_receipt(answer: Answer, outcome: str, reason: str | None = None) -> dict[str, Any]:
    """A receipt for one event: its members and headers. Returns it."""
    check_common(answer)
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == JSON
    receipt: dict[str, Any] = answer.json
    members = {"outcome", "event_id", "session_id", "warnings"} | ({"reason"} if reason else set())
    assert set(receipt) == members
    assert (receipt["outcome"], receipt.get("reason")) == (outcome, reason)
    assert answer.headers["X-Catchment-Outcome"] == outcome
    assert answer.headers.get("X-Catchment-Reason") == reason
    return receipt


def check_problem(answer: Answer, status: int, code: str, *also: str) -> dict[str, Any]:
    """A problem body (RFC 9457): its members, `also` those beside the six, and headers. Returns it."""
    check_common(answer)
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json
    assert set(problem) == {"type", "title", "status", "code", "detail", "request_id", *also}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["title"]
    assert problem["detail"]
    assert problem["type"].endswith(code)
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert answer.headers["X-Catchment-Outcome"] == "refused"
    assert answer.headers["X-Catchment-Reason"] == code
    assert ("Retry-After" in answer.headers) == (status in (402, 408, 429, 503))
    return problem


def check_batch(answer: Answer, *outcomes: tuple[str, str | None]) -> list[dict[str, Any]]:
    """A batch's answer: a result for each event, in order, and counts that say the same. Returns the results."""
    check_common(answer)
    assert answer.status == 200, answer.body
    assert answer.headers["X-Catchment-Outcome"] == "batch"
    assert "X-Catchment-Reason" not in answer.headers
    body = answer.json
    assert set(body) == {"stored", "duplicate", "filtered", "refused", "results"}
    results: list[dict[str, Any]] = body["results"]
    assert [result["index"] for result in results] == list(range(len(outcomes)))
    assert [(result["outcome"], result.get("reason")) for result in results] == list(outcomes)
    for name in ("stored", "duplicate", "filtered", "refused"):
        assert body[name] == sum(1 for outcome, _ in outcomes if outcome == name)
    for result in results:
        assert {"index", "outcome", "event_id", "warnings"} <= set(result)
        assert "session_id" in result or result["outcome"] == "refused"
    return results


STORED = ("stored", None)
DUPLICATE = ("duplicate", None)


def refused(reason: str) -> tuple[str, str]:
    return ("refused", reason)


assert OUTCOME == "X-Catchment-Outcome"
assert REASON == "X-Catchment-Reason"

"""The command line on the memory adapters."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from click.testing import CliRunner, Result

from catchment.adapters.cli.actions import FindingAbout, Management, Tag
from catchment.adapters.cli.commands import build
from catchment.adapters.http.tracker.tag import short_path, tag, versioned_path
from catchment.adapters.memory.losses import MemoryLosses
from catchment.adapters.memory.metering import MemoryMeter, MemoryOutcomes
from catchment.adapters.memory.parts import CountingIds, ToldClock
from catchment.adapters.memory.samples import MemorySamples
from catchment.adapters.memory.scripts import MemoryScripts
from catchment.adapters.memory.store import MemoryRegistry, MemorySink, Store
from catchment.adapters.system.hosts import ascii_origin
from catchment.config.parts import plug_collect
from catchment.core.accounts.administer import Administer
from catchment.core.accounts.scripts import Script
from catchment.core.accounts.snippets import Snippets
from catchment.core.collecting.collect import Collect
from catchment.core.errors import NotFound, NotPossible, Unavailable
from catchment.core.event import Event
from catchment.core.limits import Limits
from catchment.core.maintenance import MaintenanceResult
from catchment.core.metering.billing import Billing
from catchment.core.metering.plans import Plan
from catchment.core.metering.replaying import Inbox
from catchment.core.metering.reports import Reports
from catchment.core.metering.usage import Usage
from catchment.core.project import KeyKind

from ..support.parts import memory_parts, memory_quotas

OCTOBER = datetime(2026, 10, 5, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """`catchment.adapters.cli.actions.PluginAbout`."""

    name: str
    distribution: str | None
    version: str | None
    module: str
    hooks: tuple[str, ...]
    state: str = "loaded"
    order: Mapping[str, int] = field(default_factory=lambda: {"a": 2, "b": 1})
    settings: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`catchment.adapters.cli.actions.FindingAbout`."""

    name: str
    level: str
    message: str
    advice: str = ""


@dataclass(slots=True)
class QuietMaintenance:
    """`catchment.core.maintenance.Maintenance` that finds what a test says."""

    misplaced: dict[date, int] = field(default_factory=dict)

    async def once(self) -> MaintenanceResult:
        return MaintenanceResult(partitions=("event_2026_12",), ids_forgotten=1200, misplaced=tuple(self.misplaced))

    async def place(self, month: date) -> int:
        return self.misplaced.pop(month)


@dataclass(slots=True)
class Commands:
    """`catchment.adapters.cli.actions.Actions` in memory, and who runs commands on them."""

    store: Store = field(default_factory=Store)
    ids: CountingIds = field(default_factory=CountingIds)
    clock: ToldClock = field(default_factory=ToldClock)
    configs: list[str | None] = field(default_factory=list)
    """The settings' files that commands were run with."""
    served: list[dict[str, Any]] = field(default_factory=list)
    billed: list[tuple[str, Sequence[Usage]]] = field(default_factory=list)
    to_migrate: list[str] = field(default_factory=list)
    exit_code: int = 0
    """Of `serve` and `demo`."""
    failing: Exception | None = None
    """What getting at the database raises."""

    scripts: dict[str, bytes] = field(default_factory=lambda: {"catchment": b"one", "catchment.plus": b"two"})
    """The shipped ones, by name."""

    plans: dict[str, Plan] = field(default_factory=dict)
    """Those of the settings."""

    maintenance: QuietMaintenance = field(default_factory=QuietMaintenance)

    # actions

    def tag(self, name: str, key: str, script: Script | None = None) -> Tag:
        src = "https://collect.example" + (short_path(name) if script is None else versioned_path(script))
        return Tag(src=src, html=tag(src, key, None if script is None else script.integrity))

    def script(self, name: str) -> Script:
        if name not in self.scripts:
            raise NotFound("not built: make assets")
        return Script(name=name, content=self.scripts[name])

    def shown_settings(self) -> dict[str, Any]:
        return {"http": {"port": 8080, "trusted_proxies": []}, "plugins": {"csv": {"directory": "ü"}}}

    @asynccontextmanager
    async def management(self) -> AsyncIterator[Management]:
        if self.failing is not None:
            raise self.failing
        registry = MemoryRegistry(self.store)
        clock, limits = self.clock, Limits()
        meter = MemoryMeter(self.store, clock)
        yield Management(
            administer=Administer(registry, self.ids, ascii_origin),
            snippets=Snippets(registry, MemoryScripts(self.store)),
            quotas=memory_quotas(self.store, clock, self.ids, self.plans),
            reports=Reports(registry, meter, MemoryLosses(self.store, limits), MemoryOutcomes(self.store)),
            inbox=Inbox(registry, MemorySamples(self.store), self.collecting, self.clock),
            billing=Billing(meter, self),
            maintenance=self.maintenance,
        )

    @asynccontextmanager
    async def collecting(self) -> AsyncIterator[Collect]:
        limits = Limits()
        yield plug_collect(memory_parts(self.store, limits, clock=self.clock, ids=self.ids), limits)

    def serve(self, **given: Any) -> int:
        given.pop("listening")("127.0.0.1", 8080, 1)
        self.served.append(given)
        return self.exit_code

    def migrate(self, say: Callable[[str], None]) -> list[str]:
        applied, self.to_migrate = self.to_migrate, []
        for name in applied:
            say(name)
        return applied

    def plugins(self) -> Sequence[About]:
        return [
            About(
                name="bots", distribution="catchment", version="1", module="catchment.plugins.bots", hooks=("a", "b")
            ),
            About(name="given", distribution=None, version=None, module="given", hooks=("a",)),
        ]

    def check(self) -> Sequence[FindingAbout]:
        return [Found(name="python", level="ok", message="3.11")]

    async def bill(self, backend: str, usages: Sequence[Usage]) -> int:
        if backend != "csv":
            raise NotFound(f"no plugin bills as {backend!r}")
        self.billed.append((backend, usages))
        return len(usages)

    def demo(self, **given: Any) -> int:
        given.pop("say")("The demo.")
        self.served.append(given)
        return self.exit_code

    def check_demo(self, say: Callable[[str], None]) -> dict[str, Any]:
        say("one after another")
        if self.failing is not None:
            raise self.failing
        return {"ok": True, "checked": 2}

    # running

    def run(self, *arguments: str) -> Result:
        """Runs one command. The group is built anew each time, as it is for a person."""

        def actions_of(config: str | None) -> Commands:
            self.configs.append(config)
            return self

        return CliRunner().invoke(build(actions_of, "1.2.3"), arguments)

    def json(self, *arguments: str) -> Any:
        """What a command prints with `--json`: exactly one document, and nothing else on standard output."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return document(result)

    def refusal(self, *arguments: str) -> str:
        """The one line on standard error of a command that can't do what it is asked; with `--json` a document on
        standard output says the same."""
        result = self.run(*arguments)
        assert result.exit_code == 1, result.output
        (line,) = result.stderr.splitlines()
        assert line.startswith("catchment: ")
        if "--json" in arguments:
            error = document(result)["error"]
            assert error["code"]
            assert line == f"catchment: {error['message']}"
        else:
            assert result.stdout == ""
        return line

    def project(self, name: str = "shop", account: str = "roastery") -> dict[str, Any]:
        """A new project; its account is made where it is missing."""
        if account not in [known.name for known in self.store.accounts.values()]:
            self.json("account", "create", account)
        made: dict[str, Any] = self.json(
            "project", "create", name, "--account", account, "--origin", "https://shop.example"
        )
        return made

    def store_events(self, project_id: str, count: int, at: datetime = NOVEMBER, name: str = "A") -> None:
        sink = MemorySink(self.store)
        for _ in range(count):
            event_id = self.ids.new_id()
            event = Event.with_only(
                project_id=project_id,
                key_kind=KeyKind.BROWSER,
                event_id=event_id,
                session_id=event_id,
                name=name,
                occurred_at=at,
                received_at=at,
            )
            sink._store_one(event, {})


def document(result: Result) -> Any:
    """The one document on standard output, in one line."""
    (line,) = result.stdout.splitlines()
    return json.loads(line)


UNAVAILABLE = Unavailable("no connection with the database")
BROKEN = NotPossible("the check failed")

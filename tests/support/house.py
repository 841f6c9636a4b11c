"""The collecting use case on the memory adapters, with one account, one project and a key of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from catchment.adapters.memory.parts import CountingIds, NoExtensions, NoRateLimit, ToldClock
from catchment.adapters.memory.store import MemoryRegistry, Store
from catchment.config.parts import plug_collect
from catchment.core.accounts.administer import Administer
from catchment.core.collecting.collect import Collect
from catchment.core.collecting.submission import Answer, Receipt, Submission
from catchment.core.event import Enrichment, Event, Place, UserAgent
from catchment.core.limits import Limits
from catchment.core.metering.quotas import Quotas
from catchment.core.outcomes import EventWarning, Filtered
from catchment.core.project import KeyKind, Project, ProjectSettings, SettingsChange
from catchment.core.refusals import Refusal

from .parts import memory_parts, memory_quotas

PAGE = "https://example.com/pricing"


class Plugins(NoExtensions):
    """`catchment.core.collecting.ports.Extensions` that says what a test wants, and notes what it was shown."""

    def __init__(self) -> None:
        self.agent = UserAgent()
        self.place = Place()
        self.verdict: Refusal | Filtered | None = None
        self.enrichments: Sequence[Enrichment] = ()
        self.located: list[str] = []
        self.validated: list[Event] = []

    async def parse_user_agent(self, user_agent: str, warnings: list[EventWarning]) -> UserAgent:
        return self.agent

    async def locate(self, address: str, warnings: list[EventWarning]) -> Place:
        self.located.append(address)
        return self.place

    async def validate(self, event: Event, warnings: list[EventWarning]) -> Refusal | Filtered | None:
        self.validated.append(event)
        return self.verdict

    async def enrich(self, event: Event, warnings: list[EventWarning]) -> Sequence[Enrichment]:
        return self.enrichments


class FullBuckets(NoRateLimit):
    """`catchment.core.collecting.ports.RateLimiter` that lets nothing pass for so many seconds."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    def key_wait(self, key: bytes, events: int) -> int | None:
        return self.seconds


def a_payload(**changes: Any) -> dict[str, Any]:
    """A good event of a browser; a field that is changed to None is left out."""
    payload = {"event_name": "SignUp", "url": PAGE, **changes}
    return {name: value for name, value in payload.items() if value is not None}


@dataclass(slots=True)
class House:
    """Everything a test of the use case needs."""

    store: Store
    clock: ToldClock
    plugins: Plugins
    collect: Collect
    administer: Administer
    quotas: Quotas
    project: Project
    browser_key: str
    server_key: str
    settings: ProjectSettings = field(default_factory=ProjectSettings)

    async def post(self, *payloads: object, **submission: Any) -> Answer:
        """What is answered to a request of these events, sent with the browser key if nothing else is said."""
        defaults = {
            "key": self.browser_key,
            "received_at": self.clock.now(),
            "deadline": self.clock.monotonic() + 5,
            "address": "81.2.69.142",
            "headers": {"user_agent": "Mozilla/5.0"},
        }
        return await self.collect(Submission(payloads=list(payloads), **{**defaults, **submission}))

    async def receipt(self, payload: object = None, **submission: Any) -> Receipt:
        """The receipt of one event."""
        answer = await self.post(a_payload() if payload is None else payload, **submission)
        assert answer.refusal is None, answer.refusal
        (receipt,) = answer.receipts
        return receipt

    async def refusal(self, **submission: Any) -> Refusal:
        """The refusal of a whole request that holds a good event."""
        answer = await self.post(a_payload(), **submission)
        assert answer.refusal is not None
        assert answer.receipts == []
        return answer.refusal

    def counted(self) -> dict[tuple[str, str], int]:
        """Return the outcomes that were counted beside the stored ones, by outcome and reason."""
        return {(slot.outcome, slot.reason): events for slot, events in self.collect.outcomes._counts.items()}  # type: ignore[attr-defined]

    async def change(self, **settings: Any) -> None:
        """Changes the project's settings."""
        await self.administer.change_project(self.project.id, changes=SettingsChange(**settings))


async def build_house(origins: Sequence[str] = ("https://example.com",), limits: Limits | None = None) -> House:
    store, clock, ids, plugins = Store(), ToldClock(), CountingIds(), Plugins()
    limits = limits or Limits()
    administer = Administer(MemoryRegistry(store), ids, lambda origin: origin)
    await administer.create_account("acme")
    project, browser_key = await administer.create_project("shop", "acme", origins)
    server_key = await administer.create_key(project.id, KeyKind.SERVER)
    collect = plug_collect(memory_parts(store, limits, clock=clock, ids=ids, extensions=plugins), limits)
    quotas = memory_quotas(store, clock, ids)
    return House(store, clock, plugins, collect, administer, quotas, project, browser_key.text, server_key.text)

"""The ports that are not storage, for tests: a clock that a test sets, ids that count, no plugins."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from catchment.core.event import NO_USER_AGENT, NOWHERE, Enrichment, Event, Place, UserAgent
from catchment.core.outcomes import EventWarning, Filtered
from catchment.core.refusals import Refusal


class ToldClock:
    """`catchment.core.ports.Clock` that stands still until a test advances it."""

    def __init__(self, start: datetime = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)) -> None:
        self._now = start
        self._passed = timedelta()

    def now(self) -> datetime:
        return self._now + self._passed

    def monotonic(self) -> float:
        return self._passed.total_seconds()

    def advance(self, by: timedelta) -> None:
        self._passed += by

    def jump(self, to: datetime) -> None:
        """Let the wall clock jump, but not `monotonic`."""
        self._now = to - self._passed


class CountingIds:
    """`catchment.core.ports.IdGenerator` with ids that count up, and random bytes that are always the same."""

    def __init__(self) -> None:
        self._count = 0
        self._random = random.Random(0)  # noqa: S311

    def new_id(self) -> str:
        self._count += 1
        return str(UUID(int=(0x019A << 112) | (0x7 << 76) | (0x2 << 62) | self._count))

    def random_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)


class NoExtensions:
    """`catchment.core.collecting.ports.Extensions` without a plugin."""

    async def parse_user_agent(self, user_agent: str, warnings: list[EventWarning]) -> UserAgent:
        return NO_USER_AGENT

    async def locate(self, address: str, warnings: list[EventWarning]) -> Place:
        return NOWHERE

    async def validate(self, event: Event, warnings: list[EventWarning]) -> Refusal | Filtered | None:
        return None

    async def enrich(self, event: Event, warnings: list[EventWarning]) -> Sequence[Enrichment]:
        return ()


class NoRateLimit:
    """`catchment.core.collecting.ports.RateLimiter` without a limit."""

    def take_address(
        self, share: str | None, cost: float, *, least: float, enough: float, paid: float = 0
    ) -> int | None:
        return None

    def charge_address(self, share: str | None, cost: float) -> None:
        return

    def key_wait(self, key: bytes, events: int) -> int | None:
        return None

    def take_key(self, key: bytes, events: int) -> int | None:
        return None

    def take_look_up(self, share: str | None) -> int | None:
        return None

    def return_look_up(self, share: str | None) -> None:
        return

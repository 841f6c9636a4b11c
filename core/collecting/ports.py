"""The ports of collecting: what it needs of the outside world, and what it is promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from ..event import Enrichment, Event, Place, UserAgent
from ..metering.ladder import QuotaUse
from ..metering.quota import OverQuota
from ..outcomes import EventWarning, Filtered, Outcome, StoreOutcome
from ..project import Access, KeyKind
from ..refusals import Refusal
from .losses import Loss, LossReport, Recorded


class ProjectRepository(Protocol):
    async def find(self, fingerprint: bytes) -> Access | None:
        """Return the access of the key with this fingerprint, even if it is revoked. None: there is no such key.

        May answer from a cache, whose entries live for seconds to a minute. Raises `Unavailable`.
        """

    def knows(self, fingerprint: bytes) -> bool:
        """Return True if `find` costs nothing that a stranger could use up: the answer is there, or on its way."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer of an event store for the events of one request."""

    outcomes: Sequence[StoreOutcome | OverQuota]
    """In the order of the events."""
    uses: Sequence[QuotaUse] = ()
    """The quotas that count at least one of the events, as they are after them. Duplicates are not counted."""


class EventSink(Protocol):
    async def store(self, batch: Sequence[Event], *, deadline: float, share: str | None = None) -> Stored:
        """Store a request's events, and count them, in one transaction. Return after its commit.

        An id that the project already has (of the same kind of key, in the last 32 days, or earlier in the batch) is
        a duplicate, whatever the quotas say. Of the others, the first in order that fit the hard limits of all quotas
        that count them are stored, by the quotas as they are at that moment. Each of them adds one to the usage of
        its project and period, and to those quotas. The batch is never split over two transactions. `share` stands
        for the address of a sender that is not trusted: what waits of one never takes the place of the others.

        Raises `Unavailable` if nothing was stored, and `CommitUnknown` if that is not known; both by
        `deadline` (`Clock.monotonic`). An event in `batch` never hurts another.
        """


@dataclass(slots=True, eq=False)
class WriteRequest:
    """The events of one request, as a `BatchWriter` gets them."""

    events: Sequence[Event]
    encoded: bytes
    """The events as `BatchWriter.encode` returned them."""


class BatchWriter(Protocol):
    """One session with an event store. `GroupCommit` makes an `EventSink` of a few of them.

    A writer does one thing at a time: nobody calls a coroutine of it before the last one has ended.
    """

    @property
    def name(self) -> str:
        """The name for logs."""

    @property
    def connected(self) -> bool:
        """Tell whether there is a session."""

    async def connect(self) -> None:
        """Open a session. Raises `Unavailable`."""

    async def check(self) -> None:
        """Ask whether the session lives and may still be used, and end one that may not (`connected` is false then).
        Raises nothing."""

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return the events of a request as the store takes them; the queue is bounded by their length. Needs no
        session. Raises `BadEvents`."""

    async def write(self, requests: Sequence[WriteRequest], *, deadline: float) -> Sequence[Stored]:
        """Store the events of a few requests, in order, in one transaction, as `EventSink.store` says. Return the
        answer for each request after the commit.

        Raises `Unavailable` if nothing was stored, `CommitUnknown` if that is not known, and `BadEvents` if nothing
        was stored because the store can never hold at least one of the events. Tries again by itself until `deadline`
        (`Clock.monotonic`) if that makes sense.
        """

    async def quarantine(self, events: Sequence[Event]) -> set[int]:
        """Find the events that the store can never hold, keep a trace of each (no data of it) for an operator, and
        return their positions. Raises `Unavailable`."""

    def close(self) -> None:
        """End the session at once."""


class LossLedger(Protocol):
    async def record(
        self, project_id: str, kind: KeyKind, report: LossReport, received_at: datetime, *, deadline: float
    ) -> Recorded:
        """Adds a report's counts to its project and day (of the arrival, in UTC), in a transaction of its own;
        returns after its commit.

        An id of the same project and kind of key is counted once in 32 days. Reasons that no client of ours has are
        kept apart up to `Limits.loss_words` a day, and are `other` from then on; over `Limits.loss_reports` a day
        nothing is counted. Raises `Unavailable`, by `deadline` (`Clock.monotonic`); recording again is safe.
        """

    async def losses(self, *, project: str | None = None) -> Sequence[Loss]:
        """Return the losses of senders: by account, project, day (newest first) and reason; of one project (its id)."""


class OutcomeCounter(Protocol):
    """Counts the events that were answered and not stored. It never waits and never fails."""

    def add(self, project_id: str, outcome: Outcome, reason: str | None, at: datetime, events: int = 1) -> None:
        """Count events that arrived at a moment."""

    def refused_origin(self, project_id: str, origin: str, at: datetime) -> None:
        """Note an origin that the project refused."""


class Salts(Protocol):
    async def of_day(self, day: date) -> bytes:
        """Return the salt of a day in UTC: random bytes, the same for all servers, deleted after 48 h.

        Raises `Unavailable`.
        """


class RateLimiter(Protocol):
    """Limits the rate of a key, and of a client address. `share` stands for an address; `None` is nobody's, and passes.
    For a refused request it says after how many seconds it may pass. Fails open: what it does not know passes."""

    def take_address(
        self, share: str | None, cost: float, *, least: float, enough: float, paid: float = 0
    ) -> int | None:
        """Charge an address if it has `least` events left (or all it may have, but for what the same request `paid`),
        and return None; else return in how many seconds it has `enough`, or all it may have."""

    def charge_address(self, share: str | None, cost: float) -> None:
        """Charge an address whatever it has left, or give back (below 0)."""

    def key_wait(self, key: bytes, events: int) -> int | None:
        """Return None if so many events of a key may pass now, else in how many seconds. Charge nothing."""

    def take_key(self, key: bytes, events: int) -> int | None:
        """The same, and charge the key if they may."""

    def take_look_up(self, share: str | None) -> int | None:
        """Charge an address for one look-up of a key that is not known, and return None; else in how many seconds."""

    def return_look_up(self, share: str | None) -> None:
        """Give it back: the key was found, or could not be looked up."""


class Extensions(Protocol):
    """The plugins, seen from the core. If a plugin fails, only its part is missing: the event goes on, with the warning
    `plugin_failed` appended to `warnings`."""

    async def parse_user_agent(self, user_agent: str, warnings: list[EventWarning]) -> UserAgent:
        """Return the browser, system and device of a user agent, from the first plugin that knows it."""

    async def locate(self, address: str, warnings: list[EventWarning]) -> Place:
        """Return the place of a full address, from the first plugin that knows it."""

    async def validate(self, event: Event, warnings: list[EventWarning]) -> Refusal | Filtered | None:
        """The first objection of a plugin; None where nobody objects."""

    async def enrich(self, event: Event, warnings: list[EventWarning]) -> Sequence[Enrichment]:
        """Return the additions of plugins to an event, in the plugins' order: later ones win."""

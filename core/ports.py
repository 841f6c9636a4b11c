"""The ports: what the core needs of the outside world, and what it is promised.

Every adapter of a port passes the port's contract suite in `tests/contract/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

from .event import Enrichment, Event, Place, UserAgent
from .losses import Loss, LossReport, Recorded
from .outcomes import EventWarning, Filtered, OverQuota, Refusal, StoreOutcome
from .project import Access, Account, Key, KeyKind, Limit, Privacy, Project, ProjectSettings, Quota
from .scripts import Script
from .usage import Difference, Usage


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, in UTC."""

    def monotonic(self) -> float:
        """Seconds that only ever grow; for deadlines."""


class IdGenerator(Protocol):
    def new_id(self) -> str:
        """A new UUIDv7, as text: later ones sort after earlier ones, and none comes twice."""

    def random_bytes(self, count: int) -> bytes:
        """Bytes nobody can guess."""


class ProjectRepository(Protocol):
    async def find(self, fingerprint: bytes) -> Access | None:
        """What the key with this fingerprint opens, revoked ones too; None where there is no such key.

        May answer from a cache, whose entries live for seconds to a minute. Raises `Unavailable`.
        """

    def knows(self, fingerprint: bytes) -> bool:
        """Return True if `find` costs nothing that a stranger could use up: the answer is there, or on its way."""


class EventSink(Protocol):
    async def store(
        self, batch: Sequence[Event], limits: Sequence[Limit], *, deadline: float, share: str | None = None
    ) -> Sequence[StoreOutcome | OverQuota]:
        """Stores a request's events, and counts them, in one transaction; returns after its commit.

        An outcome for every event, in order. An id that the project already has (of the same kind of key, in the
        last 32 days, or earlier in the batch) is a duplicate, whatever the limits say. Of the others the first in
        order that fit all `limits` (those that count its kind of key) are stored, and each of them adds one to the
        usage of its project and period. The batch is never split over two transactions. `share` stands for the
        address of a sender that is not trusted: what waits of one never takes the place of the others.

        Raises `Unavailable` where nothing was stored, and `CommitUnknown` where that is not known; both by
        `deadline` (`Clock.monotonic`). An event in `batch` never hurts another.
        """


class UsageMeter(Protocol):
    async def usage(
        self, *, account: str | None = None, project: str | None = None, period: date | None = None
    ) -> Sequence[Usage]:
        """Usage by account, project and period, in that order; of one account, project (ids) or period."""

    async def room(self, limit: Limit, at: datetime) -> int:
        """How many more events fit this limit in the window of this moment; never negative."""

    async def quota_usage(self, at: datetime) -> Mapping[str, int]:
        """Return the events used of every quota, by its id, in the window of this moment."""

    async def close(self, period: date) -> None:
        """Makes a period that is over final: nothing is added to it any more. Closing it again changes nothing.
        Raises `Invalid` for one that still runs."""

    async def audit(self, *, project: str | None = None) -> Sequence[Difference]:
        """Return the differences between usage and stored rows, of all projects or of one (its id). There must be none.

        Rows that `Registry.delete_stored` took away are counted as stored.
        """


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
        """What senders lost: by account, project, day, newest first, and reason; of one project (its id)."""


class ScriptArchive(Protocol):
    async def keep(self, script: Script) -> None:
        """Keeps a script for good. Keeping it again changes nothing."""

    async def find(self, name: str, version: str) -> Script | None:
        """The script of this name and version, as it was kept. Raises `Unavailable`."""


class IpAnonymizer(Protocol):
    async def anonymise(self, address: str | None, mode: Privacy, at: datetime) -> str | None:
        """What may be kept of this address in this mode; None of None, and of a text that is no address.

        `hash` gives the same text for the same address during a day in UTC; its key is deleted after 48 h.
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
    """What plugins add, seen from the core. A plugin that fails costs its part alone: the event goes on, with
    the warning `plugin_failed`, appended to `warnings`."""

    async def parse_user_agent(self, user_agent: str, warnings: list[EventWarning]) -> UserAgent:
        """What the first plugin that knows says of a user agent string."""

    async def locate(self, address: str, warnings: list[EventWarning]) -> Place:
        """Where the first plugin that knows says that a full address is."""

    async def validate(self, event: Event, warnings: list[EventWarning]) -> Refusal | Filtered | None:
        """The first objection of a plugin; None where nobody objects."""

    async def enrich(self, event: Event, warnings: list[EventWarning]) -> Sequence[Enrichment]:
        """What plugins add to an event, in the plugins' order: later ones win."""


class Registry(Protocol):
    """Where accounts, projects, keys and quotas are administered.

    Names are unique; a name given twice raises `AlreadyExists`, an unknown thing `NotFound`. What changes here is
    seen by every server at once: see `ProjectRepository` of the same adapter.
    """

    async def add_account(self, account: Account) -> None: ...
    async def accounts(self, *, deleted: bool = False) -> Sequence[Account]:
        """Return the accounts by name: those there are, or those that were deleted."""

    async def rename_account(self, account_id: str, name: str) -> None: ...
    async def delete_account(self, account_id: str) -> None:
        """Delete an account with its quotas; its name is free then. Raises `Invalid` if it has a project that is not
        deleted. Again: changes nothing."""

    async def forget_demo(self, account_id: str) -> None:
        """Forget a demo's account that was deleted, with its usage. Changes nothing of any other account."""

    async def add_project(self, project: Project) -> None: ...
    async def projects(self, *, deleted: bool = False) -> Sequence[Project]:
        """Return the projects by account and name: those there are, or those that were deleted."""

    async def rename_project(self, project_id: str, name: str) -> None: ...
    async def delete_project(self, project_id: str) -> None:
        """Delete a project with its keys, origins and quotas; its name is free then. Again: changes nothing.

        What it stored stays until `delete_stored` takes it away, its usage for good. Raises `Invalid` if the project is
        enabled. A server that does not know of it yet may store for some seconds: it never fails.
        """

    async def delete_stored(self, project_id: str, at_most: int) -> tuple[int, int]:
        """Delete so many rows at most of what a deleted project stored; how many events, and how many others.

        Both are 0 when nothing is left. It holds up nobody who stores. Usage still counts the events.
        """

    async def stored_events(self, project_id: str) -> int:
        """Return how many events of a project are stored, by its usage."""

    async def change_project(
        self,
        project_id: str,
        *,
        settings: ProjectSettings,
        add_origins: Sequence[str],
        remove_origins: Sequence[str],
    ) -> None:
        """Replaces the settings, adds and removes origins, all at once. Raises `NotFound` for an origin that is
        not there."""

    async def add_key(self, key: Key, fingerprint: bytes) -> None: ...
    async def keys(self, project_id: str) -> Sequence[Key]: ...
    async def revoke_key(self, *, key_id: str | None = None, fingerprint: bytes | None = None) -> Key:
        """Revokes a key, by its id or its fingerprint; a revoked one stays revoked."""

    async def delete_key(self, *, key_id: str | None = None, fingerprint: bytes | None = None) -> Key:
        """Delete a key that was revoked. Raises `Invalid` if it was not."""

    async def set_quota(self, quota: Quota) -> Quota:
        """Sets the quota of a scope, window and kind of key, in place of one that is there, whose id it keeps.
        Returns it as it is then."""

    async def remove_quota(self, quota_id: str) -> Quota:
        """Takes a quota away, and returns it. Raises `NotFound`."""

    async def quotas(self) -> Sequence[Quota]: ...

"""What a key opens: looked up, kept for a while, and dropped at once when it changes."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from catchment.core.errors import Unavailable
from catchment.core.origins import OriginRules
from catchment.core.ports import Clock
from catchment.core.project import (
    Access,
    Bots,
    DoNotTrack,
    KeyKind,
    Privacy,
    Project,
    ProjectSettings,
    Quota,
    Scope,
    Window,
    limits_of,
)

from .errors import DatabaseError, failure_of
from .link import Link, Links, end

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLives:
    """How long an answer is kept, in seconds, and how many are."""

    known: float = 60
    unknown: float = 10
    unheard: float = 5
    """Either, while nobody tells what changes."""
    entries: int = 10_000
    """Of keys that are known, and as many of others."""


@dataclass(slots=True)
class _Entry:
    access: Access | None
    since: float


class CachedProjects:
    """`catchment.core.ports.ProjectRepository` on PostgreSQL.

    What is wanted: no query per event, and a revoked key refused at once. How: answers are kept, and the database
    announces every change (`catchment.announce`) to a session that listens. While that session is lost the cache was
    emptied once and its entries live 5 s. Keys that nobody knows are kept apart and shorter, so that guessing
    can't push out the good ones. A look-up takes no longer than `patience` seconds, and none is begun while the
    database is `down`: whoever asks is told so at once. The price: a change is seen when its announcement arrives,
    within milliseconds, and within about 7 s in the worst case: a session that is lost without a word is noticed when
    it was quiet for `HEARTBEAT_SECONDS` and then does not answer in time (2 s).
    """

    HEARTBEAT_SECONDS = 5.0

    def __init__(
        self,
        links: Links,
        listener: Link,
        *,
        clock: Clock,
        lives: CacheLives | None = None,
        patience: float = 2.0,
        down: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._links = links
        self._listener = listener
        self._clock = clock
        self._lives = lives or CacheLives()
        self._patience = patience
        self._down = down
        self._known: OrderedDict[bytes, _Entry] = OrderedDict()
        self._unknown: OrderedDict[bytes, _Entry] = OrderedDict()
        self._asked: dict[bytes, asyncio.Task[Access | None]] = {}
        self._changes = 0
        self._heard = False
        self._task: asyncio.Task[None] | None = None

    @property
    def listening(self) -> bool:
        return self._heard

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._listen(), name="listener")

    async def close(self) -> None:
        await end(self._task)
        self._listener.drop()

    async def find(self, fingerprint: bytes) -> Access | None:
        entry = self._kept(fingerprint)
        if entry is not None:
            return entry.access
        task = self._asked.get(fingerprint)
        if task is None:
            if (why := self._down()) is not None:
                raise Unavailable(why)
            task = asyncio.get_running_loop().create_task(self._ask(fingerprint))
            self._asked[fingerprint] = task
            task.add_done_callback(lambda _: self._asked.pop(fingerprint, None))
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(task)
        except TimeoutError as error:
            raise Unavailable("looking up the key took too long") from error

    def _kept(self, fingerprint: bytes) -> _Entry | None:
        for entries, life in ((self._known, self._lives.known), (self._unknown, self._lives.unknown)):
            entry = entries.get(fingerprint)
            if entry is None:
                continue
            if self._clock.monotonic() - entry.since < (life if self._heard else self._lives.unheard):
                entries.move_to_end(fingerprint)
                return entry
            del entries[fingerprint]
        return None

    async def _ask(self, fingerprint: bytes) -> Access | None:
        changes = self._changes
        rows = await self._links.run("find_access", fingerprint=fingerprint)
        access = access_of(rows[0]) if rows else None
        if changes == self._changes:  # else the answer may be older than what was announced
            entries = self._unknown if access is None else self._known
            entries[fingerprint] = _Entry(access, self._clock.monotonic())
            if len(entries) > self._lives.entries:
                entries.popitem(last=False)
        return access

    # what changes

    async def _listen(self) -> None:
        while True:
            try:
                await self._listener.run("listen")
                self._forget_all()
                self._heard = True
                await self._hear()
            except DatabaseError as error:
                if self._heard:
                    log.warning("changes of projects are not announced any more: %s", error)
                self._heard = False
                self._forget_all()
                self._listener.drop()
                await asyncio.sleep(0.2)

    async def _hear(self) -> None:
        """Drops what is announced, until the session ends. A quiet session is asked whether it lives."""
        while True:
            notice = asyncio.ensure_future(self._listener.notifies.get())
            try:
                # not wait_for: what it cancels can have taken an announcement already
                while not (await asyncio.wait((notice,), timeout=self.HEARTBEAT_SECONDS))[0]:
                    await self._listener.run("heartbeat")
                scope, _, scope_id = notice.result().payload.partition(" ")
            except DatabaseError:
                raise
            except Exception as error:  # what aiopg's queue raises when the session ends: an error of the driver's
                raise DatabaseError(*failure_of(error), "listening") from error
            finally:
                notice.cancel()
            self._forget(scope, scope_id)

    def _forget(self, scope: str, scope_id: str) -> None:
        self._changes += 1
        self._unknown.clear()
        for fingerprint, entry in list(self._known.items()):
            project = entry.access.project if entry.access else None
            if project is None or scope_id == (project.id if scope == "project" else project.account_id):
                del self._known[fingerprint]

    def _forget_all(self) -> None:
        self._changes += 1
        self._known.clear()
        self._unknown.clear()


def access_of(row: Sequence[Any]) -> Access:
    """What a row of the query `find_access` says."""
    return Access(kind=KeyKind(row[0]), revoked=row[1], project=project_of(row[2:]))


def project_of(row: Sequence[Any]) -> Project:
    """What a row of the query `projects` says."""
    (
        project_id,
        name,
        account_id,
        account,
        bots,
        do_not_track,
        privacy,
        null_origin,
        enabled,
        origins,
        quotas,
    ) = row
    return Project(
        id=project_id,
        account_id=account_id,
        account=account,
        name=name,
        origins=OriginRules.parse(origins),
        settings=ProjectSettings(
            bots=Bots(bots),
            do_not_track=DoNotTrack(do_not_track),
            privacy=Privacy(privacy),
            allow_null_origin=null_origin,
            enabled=enabled,
        ),
        limits=limits_of(tuple(quota_of(quota) for quota in quotas)),
    )


def quota_of(row: Sequence[Any]) -> Quota:
    """What a row of the query `quotas` says."""
    scope, scope_id, window, hard = row
    return Quota(scope=Scope(scope), scope_id=scope_id, window=Window(window), hard=int(hard))

"""A cache of keys and their projects: it drops an entry at once when the entry changes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from array import array
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
    Visitors,
)
from catchment.core.tasks import end

from .errors import POOLED, DatabaseError, Refused, failure_of
from .known_keys import KnownKeys, pack
from .link import Link, Links

log = logging.getLogger(__name__)

_CHANGED = re.compile(r"(?:project|account) [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""An announcement. Any role of the database may notify, so any other text can come, and is ignored."""
_PAGE = 5_000
"""Keys that are loaded at once. A page takes a few milliseconds of the event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLives:
    """The lives of entries, in seconds, and their number."""

    known: float = 60
    """A known key's entry. After that it is served once more while it is looked up again. After twice the time it is
    not served."""
    unknown: float = 10
    """An unknown key's entry."""
    unheard: float = 5
    """Any entry, while changes are not heard."""
    entries: int = 10_000
    """Entries of known keys at most, and as many of unknown ones."""


@dataclass(slots=True)
class _Entry:
    access: Access | None
    since: float


class CachedProjects:
    """`catchment.core.collecting.ports.ProjectRepository` on PostgreSQL.

    The aims: no query per event, a revoked key is refused at once, and made-up keys do not delay customers. Entries are
    kept, and the database announces every change (`catchment.announce`) to a session that listens. While that session
    is lost, the cache is emptied once and entries live 5 s. An entry that is a minute old is served once more while it
    is looked up again.

    `KnownKeys`, a small set, holds all keys that exist. The look-up of any other key goes to `strangers`: separate
    sessions with `MOST_STRANGERS` places, and each look-up takes its place for `STRANGE_SECONDS` at least. So made-
    up keys never stand before a good one. If there is no free place, the refusal comes after `patience` seconds: at
    once, it would keep the event loop busy with senders who never pause. Entries of unknown keys are kept apart and
    live shorter, so guessing can't push out good keys.

    A look-up takes at most `patience` seconds. None is begun while the database is `down`: it is refused at once. The
    price: a change is seen when its announcement arrives. That takes milliseconds, and about 7 s in the worst case: the
    loss of a silent session is noticed after `HEARTBEAT_SECONDS` and an answer that does not come in 2 s.
    """

    HEARTBEAT_SECONDS = 5.0
    MOST_STRANGERS = 64
    STRANGE_SECONDS = 0.25

    def __init__(
        self,
        links: Links,
        listener: Link,
        *,
        clock: Clock,
        strangers: Links | None = None,
        lives: CacheLives | None = None,
        patience: float = 2.0,
        down: Callable[[], str | None] = lambda: None,
        used: Callable[[bytes], object] = lambda fingerprint: None,
    ) -> None:
        self._links = links
        self._strangers = strangers or links
        self._listener = listener
        self._clock = clock
        self._lives = lives or CacheLives()
        self._patience = patience
        self._down = down
        self._used = used
        self._keys = KnownKeys()
        self._known: OrderedDict[bytes, _Entry] = OrderedDict()
        self._unknown: OrderedDict[bytes, _Entry] = OrderedDict()
        self._asked: dict[bytes, asyncio.Task[Access | None]] = {}
        self._strange = 0
        self._changes = 0
        self._heard = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def listening(self) -> bool:
        return self._heard.is_set()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._listen(), name="listener")

    async def wait_until_listening(self, within: float) -> None:
        """Wait until changes are heard and the keys are known, at most so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._heard.wait()

    async def close(self) -> None:
        await end(self._task, *self._asked.values())
        self._listener.drop()

    async def find(self, fingerprint: bytes) -> Access | None:
        entry = self._kept(fingerprint)
        if entry is not None:
            if entry.access is not None:
                self._used(fingerprint)
            return entry.access
        task = self._asked.get(fingerprint)
        if task is None:
            if fingerprint not in self._keys and self._strange >= self.MOST_STRANGERS:
                await asyncio.sleep(self._patience)
                if fingerprint not in self._keys:  # it may have been made a moment ago
                    raise Unavailable("too many unknown keys are looked up at this moment")
            task = self._asked.get(fingerprint) or self._look_up(fingerprint, strange=fingerprint not in self._keys)
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(task)
        except TimeoutError as error:
            raise Unavailable("looking up the key took too long") from error

    def knows(self, fingerprint: bytes) -> bool:
        return fingerprint in self._keys or fingerprint in self._asked or fingerprint in self._unknown

    def _kept(self, fingerprint: bytes) -> _Entry | None:
        """Return the entry that may be served; None if there is none. Look an old entry of a known key up again."""
        entry, entries, life = self._known.get(fingerprint), self._known, self._lives.known
        if entry is None:
            entry, entries, life = self._unknown.get(fingerprint), self._unknown, self._lives.unknown
            if entry is None:
                return None
        age = self._clock.monotonic() - entry.since
        if age < (life if self.listening else self._lives.unheard):
            entries.move_to_end(fingerprint)
            return entry
        if entries is self._known and self.listening and age < 2 * life and self._down() is None:
            if fingerprint not in self._asked:
                self._look_up(fingerprint, strange=False)
            return entry
        del entries[fingerprint]
        return None

    def _look_up(self, fingerprint: bytes, *, strange: bool) -> asyncio.Task[Access | None]:
        """Begin a look-up. Raises `Unavailable` while the database is down."""
        if (why := self._down()) is not None:
            raise Unavailable(why)
        loop, links = asyncio.get_running_loop(), self._strangers if strange else self._links
        task = loop.create_task(self._ask(fingerprint, links))
        self._asked[fingerprint] = task
        self._strange += strange
        free_from = loop.time() + self.STRANGE_SECONDS

        def leave() -> None:
            self._strange -= 1

        def ended(_: object) -> None:
            if strange:
                loop.call_at(free_from, leave)
            del self._asked[fingerprint]
            if not task.cancelled():
                task.exception()  # perhaps nobody waits for it

        task.add_done_callback(ended)
        return task

    async def _ask(self, fingerprint: bytes, links: Links) -> Access | None:
        changes = self._changes
        rows = await links.run("find_access", fingerprint=fingerprint)
        access = access_of(rows[0]) if rows else None
        if access is not None:
            self._used(fingerprint)
        if access is not None and fingerprint not in self._keys:
            self._keys.add((fingerprint,))
        if changes == self._changes:  # if not, the answer may be older than the change
            self._known.pop(fingerprint, None)
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
                await self._load_keys()
                self._heard.set()
                await self._hear()
            except DatabaseError as error:
                if self.listening:
                    log.warning("changes of projects are not announced any more: %s", error)
                self._heard.clear()
                self._forget_all()
                self._listener.drop()
                await asyncio.sleep(0.2)

    async def _load_keys(self) -> None:
        """Load all keys, a page at a time. Keys that are made meanwhile are announced afterwards."""
        loaded: array[int] = array("Q")
        page: Sequence[bytes] = (b"",)
        while page:
            rows = await self._listener.run("known_keys", after=page[-1], at_most=_PAGE)
            page = [bytes(fingerprint) for (fingerprint,) in rows]
            pack(loaded, page)
        self._keys.replace(loaded)

    async def _hear(self) -> None:
        """Drop the entries that are announced, until the session ends. Check the session whenever it is quiet."""
        while True:
            notice = asyncio.ensure_future(self._listener.notifies.get())
            try:
                # not wait_for: it may cancel a task that has taken an announcement
                while not (await asyncio.wait((notice,), timeout=self.HEARTBEAT_SECONDS))[0]:
                    await self._look_at_listener()
                first = notice.result()
            except DatabaseError:
                raise
            except Exception as error:  # what aiopg's queue raises when the session ends: an error of the driver's
                raise DatabaseError(*failure_of(error), "listening") from error
            finally:
                notice.cancel()
            heard = {first.payload}
            while not self._listener.notifies.empty():
                heard.add(self._listener.notifies.get_nowait().payload)
            changed = {one for one in heard if _CHANGED.fullmatch(one)}
            if not changed:
                continue
            self._forget(changed)
            projects = sorted(one.removeprefix("project ") for one in changed if one.startswith("project "))
            if projects:  # last, so that no entry waits for a query to be dropped
                rows = await self._listener.run("known_keys_of", projects=projects)
                self._keys.add(fingerprint for (fingerprint,) in rows)

    async def _look_at_listener(self) -> None:
        await self._listener.look()
        if not (await self._listener.run("listens"))[0][0]:
            raise Refused(POOLED, "the session does not listen any more: a pooler gave it to somebody else")

    def _forget(self, changed: set[str]) -> None:
        """Drop the entries of these projects and accounts, and of all unknown keys."""
        self._changes += 1
        self._unknown.clear()
        for fingerprint, entry in list(self._known.items()):
            project = entry.access.project if entry.access else None
            if project is None or not changed.isdisjoint((f"project {project.id}", f"account {project.account_id}")):
                del self._known[fingerprint]

    def _forget_all(self) -> None:
        self._changes += 1
        self._known.clear()
        self._unknown.clear()


def access_of(row: Any) -> Access:
    """Return what a row of the query `find_access` says."""
    return Access(
        kind=KeyKind(row.kind),
        revoked=row.revoked,
        project=project_of(row),
        vouchers=tuple(bytes(fingerprint) for fingerprint in row.vouchers or ()),
    )


def project_of(row: Any) -> Project:
    """Return what a row of the queries `find_access` and `projects` says of a project."""
    return Project(
        id=row.project_id,
        account_id=row.account_id,
        account=row.account,
        name=row.project,
        origins=OriginRules.parse(row.origins),
        settings=ProjectSettings(
            bots=Bots(row.bots),
            do_not_track=DoNotTrack(row.do_not_track),
            privacy=Privacy(row.privacy),
            visitors=Visitors(row.visitors),
            allow_null_origin=row.allow_null_origin,
            enabled=row.enabled,
        ),
    )

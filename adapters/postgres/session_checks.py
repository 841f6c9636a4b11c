"""Checks that a session must pass before anything is stored by it, and again while it is used.

- **A session of our own.** A pooler that pools transactions hands one session to many clients: `LISTEN`, settings and
  locks get lost without an error. Every session carries a mark; one that carries the mark of another is shared.
- **On the present primary.** After a failover the old primary may come back, and be written to. Whoever was promoted
  is on a higher timeline: the highest one that was seen is remembered, by all workers, and an older one is refused.
- **With a database whose clock agrees with ours.** Months, days and the age of ids come from the arrival, which is the
  server's time. Billing reads them, so a server whose clock is wrong stores nothing.
"""

from __future__ import annotations

import logging
import mmap
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from catchment.core.ports import Clock

from .errors import CLOCK, POOLED, PRIMARY, DatabaseError, Refused
from .named_rows import Rows

log = logging.getLogger(__name__)

CLOCK_TOLERANCE = timedelta(minutes=2)
_ALERT_SECONDS = 300.0
_NOT_TOLD = ("0A", "42", "55")
"""Classes of SQLSTATE: this database, or this role, does not say who it is."""

Ask = Callable[..., Awaitable[Rows]]
"""Runs a named query on the session that is checked."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of a primary."""

    system: int
    """The identifier of its cluster: the same after a failover, another after a dump was restored."""
    timeline: int
    """Grows by one when a standby is promoted."""
    started: datetime
    """The start of this database server: two servers differ."""


class PrimaryMemory:
    """The present primary as far as it is known: of one process, and of all that it forks."""

    _LAYOUT = struct.Struct("=qQ")

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, self._LAYOUT.size)

    def get(self) -> tuple[int, int] | None:
        """The system's identifier and the highest timeline; None if nothing was seen yet."""
        system, timeline = self._LAYOUT.unpack_from(self._shared)
        return (system, timeline) if timeline else None

    def put(self, system: int, timeline: int) -> None:
        self._LAYOUT.pack_into(self._shared, 0, system, timeline)


@dataclass(slots=True)
class Checked:
    """The facts known about one session."""

    mark: str = field(default_factory=lambda: uuid4().hex)
    timeline: int | None = None
    """None if it is not on a primary, or the database does not say."""


class SessionChecks:
    """Checks every session of a process, and remembers what they say. `clock`: None if the time does not matter."""

    def __init__(self, clock: Clock | None, memory: PrimaryMemory | None = None) -> None:
        self._clock = clock
        self._memory = memory or PrimaryMemory()
        self._marks: set[str] = set()
        self._alerts: dict[str, float] = {}
        self.durability: dict[str, Any] = {}
        """fsync and full_page_writes, whether they are on, and the server's version."""
        self.refusal: Refused | None = None
        """The reason why no session may be used at all: the clock. None if there is none."""

    @property
    def timeline(self) -> int | None:
        """The highest one that was seen."""
        seen = self._memory.get()
        return seen[1] if seen is not None else None

    @property
    def alert(self) -> str | None:
        """The alert for an operator: another primary that was met within the last minutes."""
        now = self._monotonic()
        self._alerts = {text: since for text, since in self._alerts.items() if now - since < _ALERT_SECONDS}
        return next(iter(self._alerts), None)

    def outdated(self, checked: Checked) -> bool:
        """Return True if a newer primary was met since this session was checked."""
        return checked.timeline is not None and checked.timeline < (self.timeline or 0)

    def end(self, checked: Checked) -> None:
        """The session was closed."""
        self._marks.discard(checked.mark)

    async def check(self, checked: Checked, place: str, ask: Ask) -> None:
        """Checks a session, at its beginning or later. Raises `Refused` if it must not be used."""
        first = checked.mark not in self._marks
        self._marks.add(checked.mark)  # before asking: another session may meet it at once
        before_asking = self._clock.now() if self._clock else None
        met = (await ask("meet", mark=checked.mark))[0]
        if (met.mark in self._marks) if first else (met.mark != checked.mark):
            raise Refused(
                POOLED,
                "the database's address leads to a pooler that pools transactions, and hands one session to several "
                "clients: set pool_mode = session for this user, or connect to PostgreSQL itself",
            )
        self._note_durability(met.fsync, met.full_page_writes, met.version)
        identity = await identify(ask)
        checked.timeline = identity.timeline if identity is not None else None
        if identity is not None:
            self._check_primary(identity, place)
        if self._clock is not None and before_asking is not None:
            self._check_time(met.clock, before_asking, self._clock.now())

    def _note_durability(self, fsync: bool, full_page_writes: bool, version: str) -> None:
        found = {"fsync": fsync, "full_page_writes": full_page_writes, "version": version}
        if found != self.durability and not (fsync and full_page_writes):
            log.critical("this database does not keep what it commits: fsync or full_page_writes is off")
        self.durability = found

    def _check_primary(self, found: Identity, place: str) -> None:
        seen = self._memory.get()
        if seen is None:
            self._memory.put(found.system, found.timeline)
            return
        system, timeline = seen
        if found.system != system:
            raise self._refused(
                f"another database cluster answers at {place} (system identifier {found.system}) than the one that was "
                f"used so far ({system}): if that is meant, such as after a restore, restart the server"
            )
        if found.timeline < timeline:
            raise self._refused(
                f"two primaries: {place} takes writes on timeline {found.timeline}, and was replaced by the primary "
                f"on timeline {timeline}; stop it, or make it a standby (pg_rewind). If it is meant to be the primary "
                "again, restart the server"
            )
        if found.timeline > timeline:
            log.warning("the primary is on timeline %d now, at %s: it was on %d", found.timeline, place, timeline)
            self._memory.put(system, found.timeline)

    def note_primaries(self, found: Iterable[tuple[str, Identity]]) -> None:
        """Takes what all hosts of the address say: the first cluster named is ours, on its highest timeline. Any other
        primary is an alert."""
        primaries = list(found)
        if not primaries:
            return
        system = (self._memory.get() or (primaries[0][1].system, 0))[0]
        ours = [one for _, one in primaries if one.system == system]
        newest = max([one.timeline for one in ours] + [self.timeline or 0])
        self._memory.put(system, newest)
        twins: dict[datetime, str] = {}
        for place, one in primaries:
            try:
                self._check_primary(one, place)
            except Refused:
                continue
            twins.setdefault(one.started, place)
        if len(twins) > 1:
            self._refused(f"two primaries on one timeline ({newest}): {' and '.join(twins.values())}; stop one of them")

    def _refused(self, text: str) -> Refused:
        """An error that is an alert for a while, whatever other sessions meet."""
        if text not in self._alerts:
            log.critical("%s", text)
        self._alerts[text] = self._monotonic()
        return Refused(PRIMARY, text)

    def _monotonic(self) -> float:
        return self._clock.monotonic() if self._clock is not None else 0.0

    def _check_time(self, database: datetime, before: datetime, after: datetime) -> None:
        """The time between asking and the answer is nobody's error."""
        behind, ahead = database - after, before - database
        if max(behind, ahead) <= CLOCK_TOLERANCE:
            self.refusal = None
            return
        how = f"{_words(behind)} behind" if behind > ahead else f"{_words(ahead)} ahead of"
        self.refusal = Refused(
            CLOCK,
            f"this server's clock is {how} the database's: nothing is stored until they agree. Set both by NTP; the "
            f"server says {after:%Y-%m-%d %H:%M} UTC, the database {database:%Y-%m-%d %H:%M}",
        )
        raise self.refusal


async def identify(ask: Ask) -> Identity | None:
    """Return the identity of the primary that answers; None for a standby, and for a database that does not say."""
    try:
        found = (await ask("identify"))[0]
    except DatabaseError as error:
        if error.sqlstate.startswith(_NOT_TOLD):
            return None
        raise
    if found.timeline is None:
        return None
    return Identity(int(found.system), int(found.timeline, 16), found.started)


def _words(time: timedelta) -> str:
    for unit, seconds in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if time.total_seconds() >= 2 * seconds:
            return f"{time.total_seconds() / seconds:.0f} {unit}"
    return f"{time.total_seconds():.0f} seconds"

"""Checks that a session must pass before it stores anything, and again while it is used.

- **The session is ours alone.** A pooler that pools transactions gives one session to many clients: `LISTEN`,
  settings and locks are lost without an error. Every session carries a mark; a session with the mark of another is
  shared.
- **It is on the present primary.** After a failover the old primary may come back and take writes. A promoted standby
  is on a higher timeline. All workers remember the highest timeline that they saw, and refuse an older one.
- **The database's clock agrees with ours.** Months, days and the age of ids come from the arrival, which is the
  server's time. Billing reads them, so a server with a wrong clock stores nothing.
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
"""Classes of SQLSTATE of a database or role that does not tell its identity."""

Ask = Callable[..., Awaitable[Rows]]
"""A function that runs a named query on the session that is checked."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of a primary."""

    system: int
    """The identifier of its cluster: a failover keeps it, restoring a dump does not."""
    timeline: int
    """Grows by one when a standby is promoted."""
    started: datetime
    """The time of the server's start, which tells two servers apart."""


class PrimaryMemory:
    """The present primary, as far as it is known. A process shares it with all that it forks."""

    _LAYOUT = struct.Struct("=qQ")

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, self._LAYOUT.size)

    def get(self) -> tuple[int, int] | None:
        """Return the system's identifier and the highest timeline; None if no primary was seen yet."""
        system, timeline = self._LAYOUT.unpack_from(self._shared)
        return (system, timeline) if timeline else None

    def put(self, system: int, timeline: int) -> None:
        self._LAYOUT.pack_into(self._shared, 0, system, timeline)


@dataclass(slots=True)
class Checked:
    """The facts known about one session."""

    mark: str = field(default_factory=lambda: uuid4().hex)
    timeline: int | None = None
    """None for a standby, and for a database that does not tell."""


class SessionChecks:
    """Checks every session of a process, and remembers the results. Without a `clock` the time is not checked."""

    def __init__(self, clock: Clock | None, memory: PrimaryMemory | None = None) -> None:
        self._clock = clock
        self._memory = memory or PrimaryMemory()
        self._marks: set[str] = set()
        self._alerts: dict[str, float] = {}
        self.durability: dict[str, Any] = {}
        """fsync and full_page_writes (true if on), and the server's version."""
        self.refusal: Refused | None = None
        """The reason to use no session at all: a wrong clock. None if there is none."""

    @property
    def timeline(self) -> int | None:
        """The highest timeline that was seen."""
        seen = self._memory.get()
        return seen[1] if seen is not None else None

    @property
    def alert(self) -> str | None:
        """An alert for an operator: another primary was met within the last minutes."""
        now = self._monotonic()
        self._alerts = {text: since for text, since in self._alerts.items() if now - since < _ALERT_SECONDS}
        return next(iter(self._alerts), None)

    def outdated(self, checked: Checked) -> bool:
        """Return True if a newer primary was met since this session was checked."""
        return checked.timeline is not None and checked.timeline < (self.timeline or 0)

    def end(self, checked: Checked) -> None:
        """Forget a session that was closed."""
        self._marks.discard(checked.mark)

    async def check(self, checked: Checked, candidate: str, ask: Ask) -> None:
        """Check a session, new or used. Raises `Refused` if it must not be used."""
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
            self._check_primary(identity, candidate)
        if self._clock is not None and before_asking is not None:
            self._check_time(met.clock, before_asking, self._clock.now())

    def _note_durability(self, fsync: bool, full_page_writes: bool, version: str) -> None:
        found = {"fsync": fsync, "full_page_writes": full_page_writes, "version": version}
        if found != self.durability and not (fsync and full_page_writes):
            log.critical("this database does not keep what it commits: fsync or full_page_writes is off")
        self.durability = found

    def _check_primary(self, found: Identity, candidate: str) -> None:
        seen = self._memory.get()
        if seen is None:
            self._memory.put(found.system, found.timeline)
            return
        system, timeline = seen
        if found.system != system:
            raise self._refused(
                f"another database cluster answers at {candidate} (system identifier {found.system}) than the one that "
                f"was used so far ({system}): if that is meant, such as after a restore, restart the server"
            )
        if found.timeline < timeline:
            raise self._refused(
                f"two primaries: {candidate} takes writes on timeline {found.timeline}, and was replaced by the "
                f"primary on timeline {timeline}; stop it, or make it a standby (pg_rewind). If it is meant to be the "
                "primary again, restart the server"
            )
        if found.timeline > timeline:
            log.warning("the primary is on timeline %d now, at %s: it was on %d", found.timeline, candidate, timeline)
            self._memory.put(system, found.timeline)

    def note_primaries(self, found: Iterable[tuple[str, Identity]]) -> None:
        """Learn from the primaries among all hosts of the address. Ours is the cluster named first, on its highest
        timeline. Any other primary is an alert."""
        primaries = list(found)
        if not primaries:
            return
        system = (self._memory.get() or (primaries[0][1].system, 0))[0]
        ours = [one for _, one in primaries if one.system == system]
        newest = max([one.timeline for one in ours] + [self.timeline or 0])
        self._memory.put(system, newest)
        twins: dict[datetime, str] = {}
        for candidate, one in primaries:
            try:
                self._check_primary(one, candidate)
            except Refused:
                continue
            twins.setdefault(one.started, candidate)
        if len(twins) > 1:
            self._refused(f"two primaries on one timeline ({newest}): {' and '.join(twins.values())}; stop one of them")

    def _refused(self, text: str) -> Refused:
        """Return an error, and keep it as an alert for a while, even if other sessions are fine."""
        if text not in self._alerts:
            log.critical("%s", text)
        self._alerts[text] = self._monotonic()
        return Refused(PRIMARY, text)

    def _monotonic(self) -> float:
        return self._clock.monotonic() if self._clock is not None else 0.0

    def _check_time(self, database: datetime, before: datetime, after: datetime) -> None:
        """Refuse a clock that is wrong. The time between question and answer is not an error."""
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
    """Return the identity of the primary that answers; None for a standby, and for a database that does not tell."""
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

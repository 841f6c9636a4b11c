"""Counts the events that were answered and not stored, by project, hour, outcome and reason.

The procedure that stores an event counts it as well. All others are added up here, in memory, and are written together
every few seconds and at the end: a server that is killed loses the last seconds of them, but never a stored one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from ..errors import CommitUnknown, Unavailable
from ..outcomes import Outcome
from ..times import hour_of

log = logging.getLogger(__name__)

LOST = "lost"
"""The outcome of an event that its sender dropped, as the sender reports it."""

_ENTRIES = 10_000
"""Counts that are kept between two writes. A stranger can't make more: each needs a key of a project."""
_PROJECT_ENTRIES = 200
"""Counts of one project among them."""
_ORIGIN_CHARACTERS = 300


class Slot(NamedTuple):
    """One number of events."""

    project_id: str
    hour: datetime
    outcome: str
    reason: str
    """Empty: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedOrigin:
    """The last origin that a project refused."""

    project_id: str
    origin: str
    refused_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeCount:
    """The events of a project and an hour with one outcome and reason."""

    project_id: str
    project: str
    account: str
    hour: datetime
    outcome: str
    reason: str | None
    events: int


class OutcomeLedger(Protocol):
    """Stores counts of outcomes."""

    async def add(self, counts: dict[Slot, int], origins: Sequence[RefusedOrigin]) -> None:
        """Add the counts to those that are stored, and keep the last origins, in one transaction. Raises
        `Unavailable`."""

    async def outcomes(self, *, project: str | None = None, since: datetime, until: datetime) -> Sequence[OutcomeCount]:
        """Return the counts of all projects or of one (its id), from `since` to before `until`: by account, project,
        hour, outcome and reason."""

    async def refused_origins(self, *, project: str | None = None) -> Sequence[RefusedOrigin]:
        """Return the last refused origin of each project, or of one (its id)."""


class OutcomeTally:
    """Adds up outcomes between two writes."""

    def __init__(self, ledger: OutcomeLedger) -> None:
        self._ledger = ledger
        self._counts: Counter[Slot] = Counter()
        self._of_project: Counter[str] = Counter()
        self._origins: dict[str, RefusedOrigin] = {}
        self._failing = False
        self._dropped = 0

    def add(self, project_id: str, outcome: Outcome, reason: str | None, at: datetime, events: int = 1) -> None:
        """Count events that arrived at a moment."""
        slot = Slot(project_id, hour_of(at), outcome, reason or "")
        if slot not in self._counts:
            if len(self._counts) >= _ENTRIES or self._of_project[project_id] >= _PROJECT_ENTRIES:
                self._dropped += events
                return
            self._of_project[project_id] += 1
        self._counts[slot] += events

    def refused_origin(self, project_id: str, origin: str, at: datetime) -> None:
        """Note an origin that the project refused."""
        if project_id in self._origins or len(self._origins) < _ENTRIES:
            self._origins[project_id] = RefusedOrigin(
                project_id=project_id, origin=origin[:_ORIGIN_CHARACTERS], refused_at=at
            )

    async def flush(self) -> None:
        """Write the counts. If the database does not take them, they stay for the next time."""
        if self._dropped:
            log.warning("%d events have no count of their outcome: too many different ones at a time", self._dropped)
            self._dropped = 0
        counts, origins = dict(self._counts), dict(self._origins)
        if not counts and not origins:
            return
        try:
            await self._ledger.add(counts, tuple(origins.values()))
        except CommitUnknown:
            log.warning("it is not known if the outcomes of the last seconds were written; they are not written again")
        except Exception as error:  # the next time must come
            if not self._failing:
                log.warning(
                    "outcomes are not written now, and are tried again until they are: %s",
                    error if isinstance(error, Unavailable) else type(error).__name__,
                )
            self._failing = True
            return
        self._failing = False
        for slot, events in counts.items():
            self._counts[slot] -= events
            if not self._counts[slot]:
                del self._counts[slot]
                self._of_project[slot.project_id] -= 1
                if not self._of_project[slot.project_id]:
                    del self._of_project[slot.project_id]
        self._origins = {project: one for project, one in self._origins.items() if origins.get(project) is not one}

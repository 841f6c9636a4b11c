"""Maintenance of the event store: partitions ahead, and an end for what is old."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Protocol

MONTHS_AHEAD = 3
"""Months after this one that have their partition before they begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceResult:
    """The result of one run."""

    partitions: tuple[str, ...] = ()
    """Partitions that were made."""
    ids_forgotten: int = 0
    """Ids of events and of reports of losses that were deleted."""
    misplaced: tuple[date, ...] = ()
    """Months whose events are in the default partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintained(MaintenanceResult):
    """The result of a run by hand."""

    moved: dict[date, int]
    """The events that were moved out of the default partition, by month."""


class Maintenance(Protocol):
    async def once(self) -> MaintenanceResult:
        """Do one run. Raise `Unavailable` if another session is at it."""

    async def place(self, month: date) -> int:
        """Move a month's events out of the default partition, and return how many. Writers wait for it."""


async def maintain(maintenance: Maintenance) -> Maintained:
    """Do one run, and move misplaced events, which servers never do by themselves."""
    done = await maintenance.once()
    moved = {month: await maintenance.place(month) for month in done.misplaced}
    return Maintained(
        partitions=done.partitions, ids_forgotten=done.ids_forgotten, misplaced=done.misplaced, moved=moved
    )

"""Client losses: events that a sender had to drop before they reached us, as the sender reports them.

`record_losses` checks and records a report. Here are its values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from ..outcomes import EventWarning

KNOWN_REASONS = ("queue_full", "expired", "too_large", "gave_up", "closed", "invalid")
"""The reasons for which the tracker and the Python client drop an event. Other senders may have other words."""

OTHER_REASON = "other"
"""Counts the words of a project that has too many in one day."""


class LossOutcome(StrEnum):
    """The outcome of a report."""

    RECORDED = "recorded"
    """It was committed, now or earlier. The sender may forget it."""
    REFUSED = "refused"
    """It can't be read, nothing vouches for it, or the project has too many reports today. A repetition would be
    refused as well."""
    UNAVAILABLE = "unavailable"
    """It could not be recorded now. The answer does not mention it, and the sender repeats it with the same id."""
    DRY_RUN = "dry_run"


class Recorded(StrEnum):
    """The result of `LossLedger.record`."""

    NOW = "now"
    BEFORE = "before"
    """The id was counted before; nothing was counted now."""
    FULL = "full"
    """The project has too many reports of this day; nothing was counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossReport:
    """One report of lost events."""

    id: str
    """The sender's id of the report. A report is counted once, however often it comes."""
    counts: Mapping[str, int]
    """Events, by reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """The events that senders of a project lost on one day for one reason."""

    account: str
    project: str
    project_id: str
    day: date
    """The day of the report's arrival, in UTC."""
    reason: str
    events: int


@dataclass(slots=True, kw_only=True)
class LossReceipt:
    """The answer to a report."""

    outcome: LossOutcome
    warnings: list[EventWarning] = field(default_factory=list)
    counted: Mapping[str, int] = field(default_factory=dict)
    """Events counted now, by reason. Empty if the id was counted before."""
    error: Exception | None = None
    """The reason, if it could not be recorded."""


def shown_reason(reason: str) -> str:
    """Return the reason as the label of a metric, from a closed list."""
    return reason if reason in KNOWN_REASONS else OTHER_REASON

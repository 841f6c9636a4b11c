"""The outcomes of events, and the warnings on their receipts.

Receipts, headers, metrics, the database and the documentation use the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """The outcome of an event. `DRY_RUN`: it was checked only, because the sender asked for that."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    FILTERED = "filtered"
    REFUSED = "refused"
    DRY_RUN = "dry_run"


class WarningCode(StrEnum):
    """A change that was made to an event, or a part that was left out. The event was accepted."""

    UNKNOWN_FIELD = "unknown_field"
    CUT = "cut"
    DROPPED = "dropped"
    WRONG_TYPE = "wrong_type"
    CHARACTERS_REPLACED = "characters_replaced"
    TIMESTAMP_REPLACED = "timestamp_replaced"
    NOT_ALLOWED = "not_allowed"
    PLUGIN_FAILED = "plugin_failed"


@dataclass(frozen=True, slots=True)
class EventWarning:
    """A warning on a receipt: `field` is a path such as ``event_data.items``, or a plugin's name."""

    code: WarningCode
    field: str
    detail: str


@dataclass(frozen=True, slots=True)
class Filtered:
    """An event that the project or a plugin left out: neither stored nor counted."""

    reason: str
    """`bot`, `do_not_track`, or ``plugin:NAME:CODE``."""


class StoreOutcome(StrEnum):
    """The event sink's outcome of one event. `metering.quota.OverQuota` stands for one over its quota."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    INVALID_EVENT = "invalid_event"
    """The database could not hold this event. It is in quarantine."""

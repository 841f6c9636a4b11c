"""What can become of an event: one outcome, and a reason from one closed list.

The same words stand in receipts, headers, metrics, the database and the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from .project import Limit


class Outcome(StrEnum):
    """What became of an event. `DRY_RUN` stands for 'nothing was stored because nothing should be'."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    FILTERED = "filtered"
    REFUSED = "refused"
    DRY_RUN = "dry_run"


class Reason(StrEnum):
    """Why an event was not stored. Closed, but for `plugin:NAME:CODE`, a filter of a plugin's own."""

    # filtered: neither stored nor counted, and the sender did nothing wrong
    BOT = "bot"
    DO_NOT_TRACK = "do_not_track"
    # refused
    INVALID_JSON = "invalid_json"
    INVALID_EVENT = "invalid_event"
    MISSING_KEY = "missing_key"
    UNKNOWN_KEY = "unknown_key"
    REVOKED_KEY = "revoked_key"
    QUOTA_EXCEEDED = "quota_exceeded"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    PROJECT_DISABLED = "project_disabled"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    REFUSED_BY_PLUGIN = "refused_by_plugin"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    COMMIT_UNKNOWN = "commit_unknown"


IN_WORDS: dict[Reason, str] = {
    Reason.BOT: "Sent by a robot, and this project filters robots.",
    Reason.DO_NOT_TRACK: "The visitor asks not to be tracked, and this project honours that.",
    Reason.INVALID_JSON: "The body is not JSON of the expected shape.",
    Reason.INVALID_EVENT: "A field of the event is missing or wrong.",
    Reason.MISSING_KEY: "No project key was sent.",
    Reason.UNKNOWN_KEY: "No project has this key.",
    Reason.REVOKED_KEY: "This key was revoked.",
    Reason.QUOTA_EXCEEDED: "The quota of this project or account is used up.",
    Reason.ORIGIN_NOT_ALLOWED: "This project does not accept events from this origin.",
    Reason.PROJECT_DISABLED: "This project is switched off.",
    Reason.NOT_FOUND: "There is nothing at this address.",
    Reason.METHOD_NOT_ALLOWED: "This address does not answer this method.",
    Reason.TOO_LARGE: "The body is larger than the limit.",
    Reason.UNSUPPORTED_MEDIA_TYPE: "The body's media type or encoding is not one that is read here.",
    Reason.REFUSED_BY_PLUGIN: "A plugin of this installation refused the event.",
    Reason.RATE_LIMITED: "Too many events in too short a time.",
    Reason.UNAVAILABLE: "The event could not be stored now. Send it again with the same eventId.",
    Reason.COMMIT_UNKNOWN: "Whether the event was stored is not known. Send it again with the same eventId: "
    "it is stored once.",
}


class WarningCode(StrEnum):
    """What was changed or left out of an event that was accepted all the same."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An event, or a whole request, that is not stored, and why. Failures are values, not exceptions."""

    reason: Reason
    detail: str = ""
    """What was wrong, where, and what to do. Empty: the reason's own words."""
    errors: dict[str, list[str]] = field(default_factory=dict)
    """By field, what is wrong with it."""
    code: str | None = None
    """The plugin's own code, with `REFUSED_BY_PLUGIN`."""
    retry_after: int | None = None
    """Seconds, where trying again makes sense."""
    event_ids: tuple[str, ...] = ()
    """With 503: the ids that were assigned, in order, to be sent again with."""

    @property
    def words(self) -> str:
        return self.detail or IN_WORDS[self.reason]


@dataclass(frozen=True, slots=True)
class Filtered:
    """An event that the project, or a plugin, leaves out: neither stored nor counted."""

    reason: str
    """`bot`, `do_not_track`, or ``plugin:NAME:CODE``."""


@dataclass(frozen=True, slots=True)
class OverQuota:
    """The event sink's answer for an event over its quota, with the limit that it met. If several are used up, it is
    the one that ends last."""

    limit: Limit


class StoreOutcome(StrEnum):
    """The event sink's outcome of one event; `OverQuota` stands for one over its quota."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    INVALID_EVENT = "invalid_event"
    """The database could not hold this one event; it was put into quarantine."""

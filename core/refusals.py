"""Refusals: the closed list of reasons, and their texts.

Receipts, headers, metrics, the database and the documentation use the same words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Reason(StrEnum):
    """The reason why an event was not stored. The list is closed, except for `plugin:NAME:CODE`, a plugin's filter."""

    # filtered: neither stored nor counted; the sender did nothing wrong
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


class OriginPlace(StrEnum):
    """The part of a request that has an origin which the project does not allow."""

    HEADER = "header"
    """The header `Origin`."""
    NULL_HEADER = "null_header"
    """The header `Origin: null`, which no rule matches: a setting allows it."""
    URL = "url"
    """The event's field `url`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The refusal of an event, or of a whole request, with its reason. Failures are values, not exceptions."""

    reason: Reason
    detail: str = ""
    """Says what was wrong, and where. Empty: the reason's own words. Adapters add what to do."""
    about: OriginPlace | None = None
    """With `ORIGIN_NOT_ALLOWED`: the part of the request that it is about."""
    errors: dict[str, list[str]] = field(default_factory=dict)
    """The mistakes, by field."""
    code: str | None = None
    """The plugin's own code, with `REFUSED_BY_PLUGIN`."""
    retry_after: int | None = None
    """In seconds; None if a retry makes no sense."""
    event_ids: tuple[str, ...] = ()
    """With 503: the assigned ids, in order, with which to send the events again."""

    @property
    def words(self) -> str:
        return self.detail or IN_WORDS[self.reason]

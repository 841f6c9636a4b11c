"""The one table of limits: how long, how many, how deep, how old.

Every check of a field reads this table, and so do the OpenAPI description and the settings
(section ``[limits]``): a limit is stated once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one installation. Sizes in bytes or characters, ages in seconds."""

    body_bytes: int = 64 * 1024
    """One event's body, after unpacking."""
    batch_bytes: int = 2 * 1024 * 1024
    """A batch's body, after unpacking."""
    batch_events: int = 1_000
    json_depth: int = 64
    """Levels of arrays and objects; deeper is ``invalid_json``."""

    event_name: int = 120
    event_id: int = 64
    session_id: int = 64
    user_id: int = 200
    url: int = 2_048
    referrer: int = 2_048
    page_title: int = 512
    page_path: int = 2_048
    user_agent: int = 1_024

    data_keys: int = 50
    data_key: int = 100
    data_depth: int = 4
    """Levels of ``event_data``, itself the first."""
    data_array: int = 100
    data_string: int = 2_000

    browser_past: int = 72 * 3600
    """How old a browser key's timestamp may be, in seconds."""
    future: int = 5 * 60
    """How far ahead any timestamp may be, in seconds."""
    json_values: int = 150_000
    """Values in a body, about: commas and opening brackets. Two kilobytes of gzip unpack to a million of them."""
    warnings: int = 50
    """Warnings on one receipt; more are not said."""
    batch_warnings: int = 1_000
    """Warnings on all receipts of a batch together; more are not said."""

    loss_id: int = 64
    loss_reason: int = 32
    loss_reasons: int = 10
    """Reasons in one report of client losses."""
    loss_count: int = 1_000_000
    """Events for one reason in one report."""
    loss_words: int = 50
    """Reasons of a project's day that no client of ours has; more are counted as ``other``."""
    loss_reports: int = 100_000
    """Reports of a project's day."""

    @cached_property
    def texts(self) -> Mapping[str, tuple[str, int, Over]]:
        """`TEXT_FIELDS` as the check reads them: by name in the payload, the attribute, the limit, and what is over."""
        return {rule.wire: (rule.attribute, getattr(self, rule.limit), rule.over) for rule in TEXT_FIELDS}

    @property
    def oldest_from_browser(self) -> timedelta:
        return timedelta(seconds=self.browser_past)

    @property
    def furthest_ahead(self) -> timedelta:
        return timedelta(seconds=self.future)


class Over(StrEnum):
    """What happens to a text field that is longer than its limit."""

    REFUSE = "refuse"
    """The event is refused: a shortened one would mean something else."""
    CUT = "cut"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextField:
    """A text field of the payload."""

    wire: str
    """Its name in the payload."""
    attribute: str
    """Its name on `RawEvent` and on `Event`."""
    limit: str
    """The name of its limit on `Limits`."""
    over: Over
    about: str


TEXT_FIELDS: tuple[TextField, ...] = (
    TextField(
        wire="event_name",
        attribute="name",
        limit="event_name",
        over=Over.REFUSE,
        about="What happened, such as `SignUp`. Required, not blank.",
    ),
    TextField(
        wire="eventId",
        attribute="event_id",
        limit="event_id",
        over=Over.REFUSE,
        about="The sender's own id: a second event with it is a duplicate. Case counts. Generated where missing.",
    ),
    TextField(
        wire="sessionId",
        attribute="session_id",
        limit="session_id",
        over=Over.DROP,
        about="Groups events of one visit. Generated where missing, and returned.",
    ),
    TextField(wire="userId", attribute="user_id", limit="user_id", over=Over.DROP, about="Your own id of the person."),
    TextField(
        wire="url",
        attribute="url",
        limit="url",
        over=Over.REFUSE,
        about="The page's address, http or https. With a browser key required, and of one of the project's origins.",
    ),
    TextField(wire="page_title", attribute="page_title", limit="page_title", over=Over.CUT, about="The page's title."),
    TextField(
        wire="page_path",
        attribute="page_path",
        limit="page_path",
        over=Over.CUT,
        about="The page's path; falls back to the url's.",
    ),
    TextField(
        wire="referrer", attribute="referrer", limit="referrer", over=Over.CUT, about="Where the visitor came from."
    ),
    TextField(
        wire="userAgent",
        attribute="user_agent",
        limit="user_agent",
        over=Over.CUT,
        about="The visitor's browser; with a browser key it falls back to the header.",
    ),
)

OTHER_FIELDS: dict[str, str] = {
    "projectKey": "The project's key, where it is not in the Authorization header.",
    "event_data": "Your own values. `category`, `label` (text) and `value` (a number) go into columns of their own.",
    "timestamp": "When it happened, ISO 8601. Falls back to the arrival.",
    "ip": "The visitor's address. Server keys only.",
}

KNOWN_FIELDS: frozenset[str] = frozenset(field.wire for field in TEXT_FIELDS) | frozenset(OTHER_FIELDS)

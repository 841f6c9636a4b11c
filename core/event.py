"""An event as it is stored.

`Event` is the one table of fields. Its order is the order in which the database gets them
(`adapters/postgres/rows.py`): first those of the request, then the event's own, then those of its visitor. A new field
of an event's own goes to the end of the second group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Annotated, Any, NamedTuple, Self

from .fields import Header, OtherField, Over, Text, declared
from .languages import preferred_language
from .project import KeyKind

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAgent:
    """The facts in a user agent string. None: it does not say."""

    browser: str | None = None
    browser_version: str | None = None
    os: str | None = None
    os_version: str | None = None
    device: str | None = None
    """`desktop`, `mobile`, `tablet`, or a more exact kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The place of an address."""

    country: str | None = None
    """ISO 3166-1 alpha-2, such as `DE`."""
    region: str | None = None
    city: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """The campaign tags of a url (`utm_…`)."""

    source: str | None = None
    medium: str | None = None
    campaign: str | None = None
    term: str | None = None
    content: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrichment:
    """The additions of an enricher to an event. None, and no properties: nothing."""

    campaign: Campaign | None = None
    is_bot: bool | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    """Stored in `catchment.event.properties`; anything JSON holds, within the limits of `event_data`."""


NO_USER_AGENT = UserAgent()
NOWHERE = Place()
NO_CAMPAIGN = Campaign()


class Event(NamedTuple):
    """One event as it is stored: enriched, anonymized, and never changed."""

    # Of the request
    project_id: str
    key_kind: KeyKind
    """The kind of key that vouches for its id: that it came with, or a server key that signed it. Ids of the two kinds
    are kept apart."""
    received_at: datetime

    # Of the event
    event_id: Annotated[
        str,
        Text(
            wire="eventId",
            limit="event_id",
            longest=64,
            over=Over.REFUSE,
            about="The sender's own id: a second event with it is a duplicate. Case counts. Generated if missing.",
        ),
    ]
    name: Annotated[
        str,
        Text(
            wire="event_name",
            limit="event_name",
            longest=120,
            over=Over.REFUSE,
            about="What happened, such as `SignUp`. Required, not blank.",
        ),
    ]
    category: str | None
    label: str | None
    value: float | None
    data: Annotated[
        JsonObject,
        OtherField(
            wire="event_data",
            about="Your own values. `category`, `label` (text) and `value` (a number) go into columns of their own.",
        ),
    ]
    """`event_data` without what went into columns of its own."""
    session_id: Annotated[
        str,
        Text(
            wire="sessionId",
            limit="session_id",
            longest=64,
            over=Over.DROP,
            about="Groups events of one visit. Generated if missing, and returned.",
        ),
    ]
    user_id: Annotated[
        str | None,
        Text(wire="userId", limit="user_id", longest=200, over=Over.DROP, about="Your own id of the person."),
    ]
    url: Annotated[
        str | None,
        Text(
            wire="url",
            limit="url",
            longest=2_048,
            over=Over.REFUSE,
            about="The page's address, http or https. Required with a browser key, and of one of its origins.",
        ),
    ]
    page_title: Annotated[
        str | None,
        Text(wire="page_title", limit="page_title", longest=512, over=Over.CUT, about="The page's title."),
    ]
    page_path: Annotated[
        str | None,
        Text(
            wire="page_path",
            limit="page_path",
            longest=2_048,
            over=Over.CUT,
            about="The page's path; falls back to the url's.",
        ),
    ]
    referrer: Annotated[
        str | None,
        Text(
            wire="referrer",
            limit="referrer",
            longest=2_048,
            over=Over.CUT,
            about="The address of the page that the visitor came from.",
        ),
    ]
    referrer_host: str | None
    is_bot: bool
    properties: JsonObject
    occurred_at: Annotated[
        datetime, OtherField(wire="timestamp", about="When it happened, ISO 8601. Falls back to the arrival.")
    ]
    campaign: Campaign
    language: Annotated[
        str | None,
        Text(
            wire="language",
            limit="language",
            longest=35,
            over=Over.DROP,
            about="The visitor's language, such as `de-CH`; with a browser key it falls back to `Accept-Language`.",
            header=Header(name="Accept-Language", read=preferred_language),
        ),
    ]

    # Of the visitor
    user_agent: Annotated[
        str | None,
        Text(
            wire="userAgent",
            limit="user_agent",
            longest=1_024,
            over=Over.CUT,
            about="The visitor's browser; with a browser key it falls back to the header.",
            header=Header(name="User-Agent", read=str),
        ),
    ]
    agent: UserAgent
    ip: Annotated[str | None, OtherField(wire="ip", about="The visitor's address. Server keys only.")]
    """Anonymized by the project's privacy mode."""
    place: Place
    visitor: bytes | None
    """The visitor of the day, 16 bytes (`catchment.core.privacy.visitor_of_day`). None: the address is not known, or
    the project keeps no visitors."""

    @classmethod
    def of(cls, columns: Columns) -> Self:
        """Return the event of its columns. Raises TypeError if there is one too many."""
        return cls._make(columns.values())

    @classmethod
    def with_only(cls, **columns: Any) -> Self:
        """Return an event with these columns; all others are empty. Raises TypeError for a name that is no column."""
        empty = {"data": {}, "is_bot": False, "properties": {}}
        parts = {"campaign": NO_CAMPAIGN, "agent": NO_USER_AGENT, "place": NOWHERE}
        return cls.of({**_BLANK, **empty, **parts, **columns})


Columns = dict[str, Any]
"""The columns of an event on their way to it, by name, in the order of `Event`. Until its visitor is known, `ip` is the
full address."""


def blank_columns() -> Columns:
    """Return the columns of an event, all empty. They have to be filled, and no name may be added."""
    return _BLANK.copy()


_BLANK: Columns = dict.fromkeys(Event._fields)
_OWN, _VISITOR = Event._fields.index("event_id"), Event._fields.index("user_agent")
REQUEST, OWN, VISITOR = slice(0, _OWN), slice(_OWN, _VISITOR), slice(_VISITOR, None)
"""The columns of the request, of the event itself, and of its visitor."""

TEXTS: Mapping[str, Text] = declared(Event, Text)
"""The texts of the payload, by attribute of `Event`."""
OTHER_FIELDS: Mapping[str, str] = {
    "projectKey": "The project's key, if it is not in the Authorization header.",
    **{sent.wire: sent.about for sent in declared(Event, OtherField).values()},
}
"""The other fields of the payload, and what they are about."""
KNOWN_FIELDS: frozenset[str] = frozenset(text.wire for text in TEXTS.values()) | frozenset(OTHER_FIELDS)


def row_of(event: Event) -> JsonObject:
    """Return the event as the columns of `catchment.event`: a dry run shows it."""
    row: JsonObject = {}
    for name, value in zip(event._fields, event, strict=True):
        if isinstance(value, UserAgent | Place):
            row.update(asdict(value))
        elif isinstance(value, Campaign):
            row.update({f"utm_{tag}": text for tag, text in asdict(value).items()})
        elif isinstance(value, datetime):
            row[name] = value.isoformat()
        elif isinstance(value, bytes):
            row[name] = value.hex()
        elif name != "key_kind":
            row[name] = value
    return row

"""What arrives and what is stored: two types.

`RawEvent` is what the sender said, checked field by field and still untrusted, with the visitor's full
address. `Event` is what is stored: frozen, enriched, anonymized. Everything after the step `anonymize_address` sees
an `Event` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from .project import KeyKind

JsonObject = dict[str, Any]


class _Columns:
    """What is made of all its columns at once: the constructor of a dataclass sets one after the other, which for the
    two types of an event is a tenth of what an event costs. So they have no slots."""

    @classmethod
    def of(cls, columns: dict[str, Any]) -> Self:
        """One of all its columns by name; the dict becomes its own."""
        made = object.__new__(cls)
        object.__setattr__(made, "__dict__", columns)
        return made


@dataclass(kw_only=True)
class RawEvent(_Columns):
    """One event as it arrived, its fields checked against the table of limits."""

    name: str
    event_id: str
    session_id: str
    user_id: str | None = None
    url: str | None = None
    page_title: str | None = None
    page_path: str | None = None
    referrer: str | None = None
    user_agent: str | None = None
    ip: str | None = None
    """The visitor's full address. Only the visitor steps see it."""
    category: str | None = None
    label: str | None = None
    value: float | None = None
    data: JsonObject = field(default_factory=dict)
    """`event_data` without what went into columns of its own."""
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAgent:
    """What a user agent string says. None: it does not say."""

    browser: str | None = None
    browser_version: str | None = None
    os: str | None = None
    os_version: str | None = None
    device: str | None = None
    """`desktop`, `mobile`, `tablet`, or a more exact kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an address is."""

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
    """What an enricher adds to an event. None, and no properties: nothing."""

    campaign: Campaign | None = None
    is_bot: bool | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    """Stored in `catchment.event.properties`; anything JSON holds, within the limits of `event_data`."""


NO_USER_AGENT = UserAgent()
NOWHERE = Place()
NO_CAMPAIGN = Campaign()


@dataclass(frozen=True, kw_only=True)
class Event(_Columns):
    """One event as it is stored."""

    project_id: str
    key_kind: KeyKind
    """The kind of key that vouches for its id: that it came with, or a server key that signed it. Ids of the two kinds
    are kept apart."""
    event_id: str
    name: str
    category: str | None = None
    label: str | None = None
    value: float | None = None
    data: JsonObject = field(default_factory=dict)
    session_id: str
    user_id: str | None = None
    url: str | None = None
    page_title: str | None = None
    page_path: str | None = None
    referrer: str | None = None
    referrer_host: str | None = None
    user_agent: str | None = None
    agent: UserAgent = NO_USER_AGENT
    ip: str | None = None
    """Anonymized by the project's privacy mode."""
    place: Place = NOWHERE
    campaign: Campaign = NO_CAMPAIGN
    is_bot: bool = False
    properties: JsonObject = field(default_factory=dict)
    occurred_at: datetime
    received_at: datetime


BLANK: dict[str, Any] = {column.name: None for column in fields(Event)}
"""The columns of an event, all empty. A copy is filled for the `RawEvent` and becomes the `Event`, and never grows."""


def row_of(event: Event) -> JsonObject:
    """The event as the columns of `catchment.event`: what a dry run shows."""
    agent, place, campaign = event.agent, event.place, event.campaign
    return {
        "project_id": event.project_id,
        "event_id": event.event_id,
        "name": event.name,
        "category": event.category,
        "label": event.label,
        "value": event.value,
        "data": event.data,
        "session_id": event.session_id,
        "user_id": event.user_id,
        "url": event.url,
        "page_title": event.page_title,
        "page_path": event.page_path,
        "referrer": event.referrer,
        "referrer_host": event.referrer_host,
        "user_agent": event.user_agent,
        "browser": agent.browser,
        "browser_version": agent.browser_version,
        "os": agent.os,
        "os_version": agent.os_version,
        "device": agent.device,
        "ip": event.ip,
        "country": place.country,
        "region": place.region,
        "city": place.city,
        "utm_source": campaign.source,
        "utm_medium": campaign.medium,
        "utm_campaign": campaign.campaign,
        "utm_term": campaign.term,
        "utm_content": campaign.content,
        "is_bot": event.is_bot,
        "properties": event.properties,
        "occurred_at": event.occurred_at.isoformat(),
        "received_at": event.received_at.isoformat(),
    }

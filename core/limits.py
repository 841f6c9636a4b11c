"""The one table of limits: how long, how many, how deep, how old.

The check of an event, the OpenAPI description and the settings (section ``[limits]``) read this table. The lengths of
texts come from the table of fields (`catchment.core.event.Event`). So a limit is stated once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import cached_property
from typing import NamedTuple, Self

from .event import TEXTS
from .fields import Over


class TextRule(NamedTuple):
    """The rule for the length of a text of an event."""

    attribute: str
    """Its name on `Event`."""
    longest: int
    over: Over


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

    texts: Mapping[str, int] = field(default_factory=lambda: {text.limit: text.longest for text in TEXTS.values()})
    """The longest texts of an event, by the names of their limits."""

    data_keys: int = 50
    data_key: int = 100
    data_depth: int = 4
    """Levels of ``event_data``, itself the first."""
    data_array: int = 100
    data_string: int = 2_000

    browser_past: int = 72 * 3600
    """The greatest age of a browser key's timestamp, in seconds."""
    future: int = 5 * 60
    """The time that any timestamp may be ahead, in seconds."""
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

    @classmethod
    def of(cls, changed: Mapping[str, int]) -> Self:
        """Return the limits of an installation that changes these, by name."""
        texts = cls().texts
        others = {name: limit for name, limit in changed.items() if name not in texts}
        return cls(**others, texts={name: changed.get(name, limit) for name, limit in texts.items()})

    def by_name(self) -> dict[str, int]:
        """Return all limits, those of texts among them."""
        limits = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**limits.pop("texts"), **limits}

    @cached_property
    def rules(self) -> Mapping[str, TextRule]:
        """The rules for the texts, by their names in the payload."""
        return {text.wire: TextRule(name, self.texts[text.limit], text.over) for name, text in TEXTS.items()}

    @property
    def oldest_from_browser(self) -> timedelta:
        return timedelta(seconds=self.browser_past)

    @property
    def furthest_ahead(self) -> timedelta:
        return timedelta(seconds=self.future)

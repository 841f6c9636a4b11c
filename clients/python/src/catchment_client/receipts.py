"""The answer to one event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class EventWarning:
    """A change that the server made to an event, or a part that it left out. The event was accepted."""

    code: str
    """One of the server's closed list, such as ``cut`` or ``unknown_field``."""
    field: str
    detail: str


@dataclass(frozen=True, repr=False)
class Receipt:
    """The outcome of one event, and its details."""

    outcome: str
    """``stored`` (committed), ``duplicate`` (it was stored before), ``filtered`` or ``refused``. ``dry_run`` from a
    client with `dry_run`, ``disabled`` from a disabled client."""
    event_id: str
    reason: str | None = None
    """The code of the reason, if it was filtered or refused; None otherwise."""
    session_id: str | None = None
    """None if it was refused."""
    warnings: tuple[EventWarning, ...] = ()
    detail: str | None = None
    """The reason in words, for people."""
    errors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """With ``invalid_event``: the mistakes, by field."""
    plugin_code: str | None = None
    """With ``refused_by_plugin``: the plugin's own code."""
    would_be: str | None = None
    """With ``dry_run``: the outcome that the event would have had."""
    row: Mapping[str, Any] | None = None
    """With ``dry_run``: the row that would have been stored."""

    def __repr__(self) -> str:
        """Show the fields that are not empty."""
        said = [f"{name}={value!r}" for name, value in vars(self).items() if value not in (None, (), {})]
        return f"{type(self).__name__}({', '.join(said)})"

    @property
    def is_stored(self) -> bool:
        """True if the event is in the database: stored now, or before."""
        return self.outcome in ("stored", "duplicate")

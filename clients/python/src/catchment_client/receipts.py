"""The answer to one event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class EventWarning:
    """Something that the server changed or left out of an event that it took."""

    code: str
    """One of the server's closed list, such as ``cut`` or ``unknown_field``."""
    field: str
    detail: str


@dataclass(frozen=True, repr=False)
class Receipt:
    """What became of one event."""

    outcome: str
    """``stored`` (committed), ``duplicate`` (it was there already), ``filtered``, ``refused``; ``dry_run`` from a
    client with `dry_run`, ``disabled`` from a client that is disabled."""
    event_id: str
    reason: str | None = None
    """Why it was filtered or refused, as a code; None otherwise."""
    session_id: str | None = None
    """None where it was refused."""
    warnings: tuple[EventWarning, ...] = ()
    detail: str | None = None
    """The reason in words, for people."""
    errors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """With ``invalid_event``: what is wrong, by field."""
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
        """Whether the event is in the database: stored now, or before."""
        return self.outcome in ("stored", "duplicate")

"""Declares the fields of an event. `catchment.core.event.Event` is the table of all fields.

A field that a sender may set has a declaration beside its type. The check, the table of limits, the settings and the
OpenAPI description follow from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar, get_type_hints


class Over(StrEnum):
    """The treatment of a text that is longer than its limit."""

    REFUSE = "refuse"
    """The event is refused: a shortened text would mean something else."""
    CUT = "cut"
    DROP = "drop"
    """The text is left out, and the event is stored without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A request header that a text of a browser's event falls back to."""

    name: str
    read: Callable[[str], str | None]
    """Returns the text in the header. None: the header does not say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text in the payload."""

    wire: str
    """Its name in the payload."""
    limit: str
    """The name of its limit, as in the settings."""
    longest: int
    """The limit's default, in characters."""
    over: Over
    about: str
    header: Header | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherField:
    """A field of the payload with a check of its own."""

    wire: str
    """Its name in the payload."""
    about: str


_Declared = TypeVar("_Declared", Text, OtherField)


def declared(table: type, kind: type[_Declared]) -> dict[str, _Declared]:
    """Return the declarations of one kind in a class, by attribute."""
    hints = get_type_hints(table, include_extras=True).items()
    return {name: one for name, hint in hints for one in getattr(hint, "__metadata__", ()) if isinstance(one, kind)}

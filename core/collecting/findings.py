"""The findings of a check: warnings and errors, bounded. Makes texts that PostgreSQL can hold."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..limits import Limits
from ..outcomes import EventWarning, WarningCode

_BAD_CHARACTERS = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\ufffd"
REPLACED = "NUL or half a surrogate pair, now U+FFFD"
SHOWN = 100
"""Characters of a path."""


@dataclass(slots=True)
class Findings:
    """The warnings and errors of the check of one event."""

    limits: Limits
    most: int = field(default=2**31, kw_only=True)
    """The most warnings and the most errors that are said. `limits.warnings` bounds both, too."""
    warnings: list[EventWarning] = field(default_factory=list, kw_only=True)
    errors: dict[str, list[str]] = field(default_factory=dict, kw_only=True)
    refused: int = field(default=0, kw_only=True)
    """The number of errors that were said."""
    odd: bool = field(default=False, kw_only=True)
    """True if there was anything to say, said or not."""

    def warn(self, code: WarningCode, path: str, detail: str) -> None:
        self.odd = True
        if len(self.warnings) < min(self.limits.warnings, self.most):
            self.warnings.append(EventWarning(code, clean(path[:SHOWN]), detail))

    def refuse(self, path: str, what: str) -> None:
        """Note an error. The first one is always noted: an event without an error is accepted."""
        self.odd = True
        if self.refused < min(self.limits.warnings, max(self.most, 1)):
            self.refused += 1
            self.errors.setdefault(path, []).append(what)


def is_clean(text: str) -> bool:
    """Return True if PostgreSQL can hold this text: no NUL, no lone surrogate."""
    return (text.isascii() and "\x00" not in text) or _BAD_CHARACTERS.search(text) is None


def clean(text: str) -> str:
    """Return the text with U+FFFD for each character that PostgreSQL cannot hold."""
    return _BAD_CHARACTERS.sub(_REPLACEMENT, text)

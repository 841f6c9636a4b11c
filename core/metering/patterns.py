r"""Patterns of event names, by which a quota counts some events only.

A pattern is compared with the whole name:

- ``*`` stands for any characters, none among them. It may stand anywhere, up to five times.
- ``\*`` is an asterisk, ``\\`` a backslash. A backslash before anything else is a mistake.
- Every other character stands for itself. Case counts, and nothing is normalized: ``Ä`` as one character differs from
  ``Ä`` as two, as it does in stored names.

PostgreSQL evaluates the same by ``name COLLATE "C" LIKE pattern.like ESCAPE '\'``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from ..errors import Invalid
from ..plain import plain

LONGEST_PATTERN = 250
"""Characters, as written: room for a name of 120 of which each is escaped."""
MOST_STARS = 5
_TOKEN = re.compile(r"\\[*\\]|[^\\]", re.DOTALL)
_NEVER_STORED = re.compile("[\x00\ud800-\udfff]")
_LIKE_SPECIAL = re.compile(r"[\\%_]")


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A pattern of event names. Patterns that are written differently and mean the same, ``a**`` and ``a*``, are equal.

    Make it by `parse`, which checks it.
    """

    pieces: tuple[str, ...]
    """The literal texts around the stars; one piece: there is no star. Only the first and the last may be empty."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the pattern of a text. Raises `Invalid`."""
        if not text:
            raise Invalid("an empty pattern matches no event; * matches all")
        if len(text) > LONGEST_PATTERN:
            raise Invalid(f"a pattern of {len(text)} characters: at most {LONGEST_PATTERN}")
        if _NEVER_STORED.search(text):
            raise Invalid(f"{plain(text)!r} has NUL or half a surrogate pair, which no stored name has")
        pieces, at = [""], 0
        while at < len(text):
            token = _TOKEN.match(text, at)
            if token is None:
                raise Invalid(
                    rf"{plain(text)!r}: \ at character {at + 1}: write \* for an asterisk, \\ for a backslash"
                )
            at = token.end()
            if token[0] == "*":
                pieces.append("")
            else:
                pieces[-1] += token[0][-1]
        # Stars side by side are one.
        pieces = [pieces[0], *(piece for piece in pieces[1:-1] if piece), *pieces[1:][-1:]]
        if len(pieces) - 1 > MOST_STARS:
            raise Invalid(f"{plain(text)!r} has {len(pieces) - 1} stars: at most {MOST_STARS}")
        return cls(tuple(pieces))

    def matches(self, name: str) -> bool:
        """Return True if the pattern matches this whole name.

        Each piece is taken at the first place where it fits, and never moved again: a later place leaves less for the
        pieces after it. So the name is walked once, whatever a sender writes into it.
        """
        first, last = self.pieces[0], self.pieces[-1]
        if len(self.pieces) == 1:
            return name == first
        at, end = len(first), len(name) - len(last)
        if at > end or not name.startswith(first) or not name.endswith(last):
            return False
        for piece in self.pieces[1:-1]:
            found = name.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    @property
    def like(self) -> str:
        r"""The same pattern for PostgreSQL's LIKE, with ``\`` as its escape character."""
        return "%".join(_LIKE_SPECIAL.sub(r"\\\g<0>", piece) for piece in self.pieces)

    def __str__(self) -> str:
        """The pattern as `parse` reads it."""
        return "*".join(piece.replace("\\", r"\\").replace("*", r"\*") for piece in self.pieces)


ALL_NAMES = NamePattern(("", ""))
"""``*``: the pattern of all events."""

"""Text from outside, made safe to print: a name or a user agent must not steer the terminal that shows it."""

from __future__ import annotations

import json
import unicodedata

_REPLACEMENT = "\ufffd"


def plain(text: str) -> str:
    """Return the text with U+FFFD in place of every character that a terminal could obey, or that is not seen.

    These are control characters (ESC, CR, C1), marks that turn the direction of writing, and what no font can show. A
    line's end is one of them: split the text first if it has several lines.
    """
    return text if text.isprintable() else "".join(letter if _is_plain(letter) else _REPLACEMENT for letter in text)


def plain_lines(text: str) -> str:
    """Return the text as `plain` does, with its line ends kept. Only ``\\n`` ends a line."""
    return text if text.isprintable() else "\n".join(plain(line) for line in text.split("\n"))


def plain_json(document: object, *, ascii_only: bool = False) -> str:
    """Return a JSON document of one line. What `plain` would replace is escaped, so that nothing is lost.

    What JSON has no type for is written as its text.
    """
    text = json.dumps(document, ensure_ascii=ascii_only, default=str)
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if _is_plain(letter) else json.dumps(letter)[1:-1] for letter in text)


def _is_plain(letter: str) -> bool:
    return letter.isprintable() or unicodedata.category(letter) == "Zs"

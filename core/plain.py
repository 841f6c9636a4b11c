"""Makes text from outside safe to print: a name or a user agent must not control the terminal that shows it."""

from __future__ import annotations

import json
import unicodedata

_REPLACEMENT = "\ufffd"


def plain(text: str) -> str:
    """Return the text with U+FFFD for every character that controls a terminal or is invisible.

    These are control characters (ESC, CR, C1), marks that change the direction of writing, and characters that no font
    can show. Line ends are replaced, too: split the text first if it has several lines.
    """
    return text if text.isprintable() else "".join(letter if _is_plain(letter) else _REPLACEMENT for letter in text)


def plain_lines(text: str) -> str:
    """Return the text as `plain` does, with its line ends kept. Only ``\\n`` ends a line."""
    return text if text.isprintable() else "\n".join(plain(line) for line in text.split("\n"))


def plain_json(document: object, *, ascii_only: bool = False) -> str:
    """Return a JSON document of one line. Characters that `plain` would replace are escaped, so nothing is lost.

    A value for which JSON has no type is written as its text.
    """
    text = json.dumps(document, ensure_ascii=ascii_only, default=str)
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if _is_plain(letter) else json.dumps(letter)[1:-1] for letter in text)


def _is_plain(letter: str) -> bool:
    return letter.isprintable() or unicodedata.category(letter) == "Zs"

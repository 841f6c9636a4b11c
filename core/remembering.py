"""A cache for what is asked about a text that comes from outside.

Such a text may be as long as its sender likes, and a cache that keeps it would be as large as senders like. So the
length is judged first. A short text in ASCII (a byte a character) is kept; any other is worked out anew each time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

Found = TypeVar("Found")

LETTERS = 400
"""Longer texts are not kept. Nearly all user agents and addresses of pages are shorter."""


def remember_short(work_out: Callable[[str], Found], *, entries: int, letters: int = LETTERS) -> Callable[[str], Found]:
    """Return `work_out` with a memory for the last `entries` texts of up to `letters` characters."""
    remembered = lru_cache(maxsize=entries)(work_out)

    def ask(text: str) -> Found:
        return remembered(text) if len(text) <= letters and text.isascii() else work_out(text)

    return ask

"""A cache for results about texts that come from outside.

A sender chooses the length of such a text, so a cache that kept all of them could have any size. Only short ASCII texts
(one byte a character) are kept. The results for all other texts are computed each time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

Found = TypeVar("Found")

LETTERS = 400
"""Longer texts are not kept. Nearly all user agents and urls are shorter."""


def remember_short(work_out: Callable[[str], Found], *, entries: int, letters: int = LETTERS) -> Callable[[str], Found]:
    """Return `work_out` with a cache for the last `entries` texts of up to `letters` characters."""
    remembered = lru_cache(maxsize=entries)(work_out)

    def ask(text: str) -> Found:
        return remembered(text) if len(text) <= letters and text.isascii() else work_out(text)

    return ask

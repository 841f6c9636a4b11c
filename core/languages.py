"""Reads the language that a browser asks for."""

from __future__ import annotations

import re

from .remembering import remember_short

_LETTERS = 200
"""The first languages of a header are enough."""
_RANGE = re.compile(r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*[qQ]=([01](?:\.[0-9]{0,3})?)\s*)?")


def _read(header: str) -> str | None:
    parts = header[:_LETTERS].split(",")
    if len(header) > _LETTERS:
        parts.pop()  # it may be cut
    found, best = None, 0.0
    for part in parts:
        match = _RANGE.fullmatch(part)
        quality = float(match[2] or 1) if match is not None else 0.0
        if match is not None and quality > best:
            found, best = match[1], quality
    return found


preferred_language = remember_short(_read, entries=1024)
"""Return the language that an `Accept-Language` header (RFC 9110, 12.5.4) likes most, such as `de-CH`. None: none."""

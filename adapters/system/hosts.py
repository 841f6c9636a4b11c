"""Converts international host names to ASCII, as browsers do (UTS 46, non-transitional)."""

from __future__ import annotations

import re

import idna

from catchment.core.errors import Invalid

_AUTHORITY = re.compile(r"^(\s*https?://(?:\*\.)?)([^/:\[\]]+)(.*)$", re.IGNORECASE | re.DOTALL)


def ascii_origin(text: str) -> str:
    """Return an origin rule with its host in ASCII: ``https://xn--mller-kva.example`` for ``https://müller.example``.

    Raises `Invalid` if IDNA does not allow the host.
    """
    match = _AUTHORITY.match(text.strip())
    if match is None or match[2].isascii():
        return text
    try:
        host = idna.encode(match[2], uts46=True, transitional=False).decode("ascii")
    except idna.IDNAError as error:
        raise Invalid(f"origin {text!r}: {error}") from error
    return match[1] + host + match[3]

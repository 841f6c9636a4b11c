"""International host names into ASCII, as browsers do it (UTS 46, non-transitional)."""

from __future__ import annotations

import re

import idna

from catchment.core.errors import Invalid

_AUTHORITY = re.compile(r"^(\s*https?://(?:\*\.)?)([^/:\[\]]+)(.*)$", re.IGNORECASE | re.DOTALL)


def ascii_origin(text: str) -> str:
    """An origin rule with its host in ASCII: ``https://müller.example`` as ``https://xn--mller-kva.example``.

    Raises `Invalid` for a host that IDNA does not know.
    """
    match = _AUTHORITY.match(text.strip())
    if match is None or match[2].isascii():
        return text
    try:
        host = idna.encode(match[2], uts46=True, transitional=False).decode("ascii")
    except idna.IDNAError as error:
        raise Invalid(f"origin {text!r}: {error}") from error
    return match[1] + host + match[3]

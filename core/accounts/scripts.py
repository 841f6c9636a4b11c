"""The tracker's scripts, by name and version.

A version is the beginning of the content's SHA-256, so a version never gets another content.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256, sha384

TRACKER = "catchment"
TRACKER_PLUS = "catchment.plus"
NAMES = (TRACKER, TRACKER_PLUS)

_DIGITS = 16
_VERSION = re.compile(rf"[0-9a-f]{{{_DIGITS}}}")


@dataclass(frozen=True, kw_only=True)
class Script:
    """A script with its content."""

    name: str
    """One of `NAMES`."""
    content: bytes

    @cached_property
    def version(self) -> str:
        """The first 16 hexadecimal digits of its SHA-256."""
        return sha256(self.content).hexdigest()[:_DIGITS]

    @cached_property
    def integrity(self) -> str:
        """Its digest in the form of Subresource Integrity, such as ``sha384-…``."""
        return "sha384-" + b64encode(sha384(self.content).digest()).decode("ascii")


def is_version(text: str) -> bool:
    return _VERSION.fullmatch(text) is not None

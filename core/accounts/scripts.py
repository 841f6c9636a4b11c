"""The tracker's scripts, by name and version, and the tag that loads them.

A version is the beginning of the content's SHA-256, so the address of a version never gets another content.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256, sha384
from html import escape

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
        """The value of the attribute `integrity`."""
        return "sha384-" + b64encode(sha384(self.content).digest()).decode("ascii")

    @property
    def short_path(self) -> str:
        """The path of the shipped version."""
        return f"/{self.name}.js"

    @property
    def versioned_path(self) -> str:
        """The path of this version, which never changes."""
        return f"/{self.name}.{self.version}.js"


def is_version(text: str) -> bool:
    return _VERSION.fullmatch(text) is not None


def tag(address: str, key: str, integrity: str | None = None) -> str:
    """Return the script tag for a website. `address`: the complete address of the script."""
    pinned = f' integrity="{escape(integrity)}" crossorigin="anonymous"' if integrity else ""
    return f'<script defer src="{escape(address)}" data-key="{escape(key)}"{pinned}></script>'

"""Event ids: UUIDv7 (RFC 9562, 5.7), which sort by the time they were made."""

from __future__ import annotations

import os
import time
from uuid import UUID

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62


def new_id() -> str:
    """Return a new UUIDv7: 48 bits of milliseconds, 74 random bits of the system, which a fork does not repeat."""
    milliseconds = time.time_ns() // 1_000_000 & (1 << 48) - 1
    random = int.from_bytes(os.urandom(10), "big")
    return str(UUID(int=milliseconds << 80 | _VERSION | (random >> 68) << 64 | _VARIANT | random & (1 << 62) - 1))

"""The ports that all parts of the core share: the clock and ids. Each part has its own ports beside these.

Every adapter of a port passes the port's contract suite in `tests/contract/`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, in UTC."""

    def monotonic(self) -> float:
        """Seconds that only ever grow; for deadlines."""


class IdGenerator(Protocol):
    def new_id(self) -> str:
        """A new UUIDv7, as text: later ones sort after earlier ones, and none comes twice."""

    def random_bytes(self, count: int) -> bytes:
        """Bytes nobody can guess."""

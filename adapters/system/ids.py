"""Ids and random bytes from the operating system."""

from __future__ import annotations

import secrets

from uuid_utils import uuid7


class SystemIds:
    """`catchment.core.ports.IdGenerator` with UUIDv7 (RFC 9562) and the system's random bytes."""

    def new_id(self) -> str:
        return str(uuid7())

    def random_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)

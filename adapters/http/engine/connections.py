"""Limits the connections of each client address."""

from __future__ import annotations

import resource
from collections import Counter
from typing import Any

from .addresses import Clients

MOST = 4096
"""Connections of one address to one process. A whole office, and a load test, have fewer."""
_FEWEST = 16
_SHARE = 2
"""One address may use half of the file descriptors."""


class Peer:
    """The other end of a connection. Tornado logs its text, so that holds no address."""

    __slots__ = ("address", "counts", "served", "share")

    def __init__(self, address: Any, clients: Clients) -> None:
        self.address: str | None = address[0] if isinstance(address, tuple) else None
        self.share, trusted = clients.of_connection(self.address)
        self.counts = not trusted
        """False for a trusted proxy, which speaks for many clients."""
        self.served = False
        """True once a request came on it."""

    def __str__(self) -> str:
        return "a client"


class ConnectionCounts:
    """The number of connections of each address."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, peer: Peer) -> None:
        if peer.counts:
            self._counts[peer.share] += 1

    def remove(self, peer: Peer) -> None:
        """Count the connection no more. Does nothing the second time."""
        if peer.counts:
            peer.counts = False
            self._counts[peer.share] -= 1
            if self._counts[peer.share] <= 0:
                del self._counts[peer.share]

    def full(self, peer: Peer) -> bool:
        """Return True if the address has as many connections as it may."""
        return peer.counts and self._counts[peer.share] >= _most()

    def overfull(self, peer: Peer) -> bool:
        """Return True if it has twice as many. Connections accepted just now cannot be closed for others: they have not
        begun."""
        return peer.counts and self._counts[peer.share] >= 2 * _most()


def _most() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else min(MOST, max(_FEWEST, soft // _SHARE))

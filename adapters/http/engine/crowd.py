"""Counts the connections of each address, and closes idle ones if there is no room for another."""

from __future__ import annotations

import contextlib
import logging
import resource
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .addresses import Clients
from .exchange import Exchange, Phase

if TYPE_CHECKING:
    from tornado.http1connection import HTTP1ServerConnection

log = logging.getLogger(__name__)

MOST = 4096
"""Connections of one address to one process. A whole office, and a load test, have fewer."""
_FEWEST = 16
_SHARE = 2
"""An address may take half of the descriptors there are."""
_AT_ONCE = 8
"""An eighth of the idle connections is closed at once: looking for them costs a look at all."""
_SECONDS = 60.0


class Peer:
    """The other end of a connection. Tornado puts its text into logs, so that has no address."""

    __slots__ = ("address", "counts", "served", "share")

    def __init__(self, address: Any, clients: Clients) -> None:
        self.address: str | None = address[0] if isinstance(address, tuple) else None
        self.share, trusted = clients.of_connection(self.address)
        self.counts = not trusted
        """Not of a proxy, which speaks for many."""
        self.served = False
        """True once a request came on it."""

    def __str__(self) -> str:
        return "a client"


class Crowd:
    """The connections of each address."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def enter(self, peer: Peer) -> None:
        if peer.counts:
            self._counts[peer.share] += 1

    def leave(self, peer: Peer) -> None:
        """Again: changes nothing."""
        if peer.counts:
            peer.counts = False
            self._counts[peer.share] -= 1
            if self._counts[peer.share] <= 0:
                del self._counts[peer.share]

    def full(self, peer: Peer) -> bool:
        """Return True if the address has as many connections as it may."""
        return peer.counts and self._counts[peer.share] >= _most()

    def overfull(self, peer: Peer) -> bool:
        """Return True if it has twice as many. Those accepted just now can't give way yet: they have not begun."""
        return peer.counts and self._counts[peer.share] >= 2 * _most()


def _most() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else min(MOST, max(_FEWEST, soft // _SHARE))


def close_idle(
    connections: Mapping[HTTP1ServerConnection, Exchange], crowd: Crowd, now: float, share: str | None = None
) -> int:
    """Close some of the connections that wait for a request, of one address or of all: first those on which none ever
    came, and of them those that wait longest. Return how many."""
    idle = [
        (connection.context.served, -exchange.waits_since(Phase.HEADERS, now), id(connection), connection)  # type: ignore[attr-defined]
        for connection, exchange in connections.items()
        if exchange.waits(Phase.HEADERS) and (share is None or connection.context.share == share)  # type: ignore[attr-defined]
    ]
    idle.sort()
    closed = 0
    for *_, connection in idle:
        stream = connection.stream
        if stream.closed() or readable(stream.socket):
            continue
        stream.close()
        crowd.leave(connection.context)  # type: ignore[arg-type]  # now: the stream says so later, when others were closed in vain
        closed += 1
        if closed > len(idle) // _AT_ONCE:
            break
    return closed


def readable(sock: socket.socket) -> bool:
    """Return True if something has come in that is not read yet."""
    with contextlib.suppress(OSError, ValueError):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return False


class Seldom:
    """Says a thing once a minute at most: whoever causes it may cause it as often as they like."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._said: dict[str, float] = {}

    def warn(self, text: str, *values: object) -> None:
        now = self._monotonic()
        if now - self._said.get(text, -_SECONDS) >= _SECONDS:
            self._said[text] = now
            log.warning(text, *values)

"""Accepts connections, closes slow ones, and ends without losing a request."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import select
import socket
from dataclasses import dataclass

from tornado.http1connection import HTTP1ConnectionParameters, HTTP1ServerConnection

from .connections import Peer
from .exchange import Engine, Phase
from .listening import HANDSHAKE_SECONDS, stop_handshakes
from .logs import RateLimitedLog
from .wire import RequestStream, forget_header_names

log = logging.getLogger(__name__)

_ACCEPTED_AT_ONCE = 64
_SWEEP_SECONDS = 1.0
_BUFFER = 8 * 1024 * 1024
_LEAVING_SECONDS = 2.0
"""For taking the answer to a request that was not whole."""
_AT_ONCE = 8
"""An eighth of the idle connections is closed at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """The seconds that a client may take, and the bytes that it may send before its body."""

    idle: float = 65.0
    """From one request to the headers of the next, whole."""
    body: float = 20.0
    """For sending a body, and for taking our answer."""
    header_bytes: int = 16 * 1024


def close_idle(engine: Engine, share: str | None = None) -> int:
    """Close an eighth of the connections that wait for a request, of one address or of all: an eighth at once, since
    looking for them costs a look at all. Those on which no request ever came go first, then those that wait longest.
    Return how many."""
    now = engine.clock.monotonic()
    idle = [
        (connection.context.served, -exchange.waits_since(Phase.HEADERS, now), id(connection), connection)
        for connection, exchange in engine.connections.items()
        if exchange.waits(Phase.HEADERS) and (share is None or connection.context.share == share)
    ]
    idle.sort()
    closed = 0
    for *_, connection in idle:
        stream = connection.stream
        if stream.closed() or _readable(stream.socket):
            continue
        stream.close()
        engine.counts.remove(connection.context)  # the stream tells of its end later: others would be closed in vain
        closed += 1
        if closed > len(idle) // _AT_ONCE:
            break
    return closed


def _readable(sock: socket.socket) -> bool:
    """Return True if something has come in that is not read yet."""
    with contextlib.suppress(OSError, ValueError):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return False


class Server:
    """Accepts on sockets that are bound already. `shared`: other workers accept on them too, and may go on when this
    one ends."""

    def __init__(
        self, engine: Engine, sockets: list[socket.socket], limits: ConnectionLimits, *, shared: bool = False
    ) -> None:
        self._engine = engine
        self._sockets = sockets
        self._shared = shared
        self._limits = limits
        # Tornado's own timeouts, one for every header and body, take a tenth of a request's time. One look at all
        # connections a second does the same.
        self._parameters = HTTP1ConnectionParameters(
            max_header_size=limits.header_bytes,
            max_body_size=2**62,  # the exchange counts: a body that is too large gets its answer
        )
        self._sweeper: asyncio.TimerHandle | None = None
        self._paused: asyncio.TimerHandle | None = None
        self._draining = False
        self._warnings = RateLimitedLog()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [sock.getsockname()[:2] for sock in self._sockets]

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.add_reader(sock, self._accept, sock)
        if self._sweeper is None:
            self._sweep()

    def _sweep(self) -> None:
        """Close the connections of clients that take too long."""
        loop = asyncio.get_running_loop()
        forget_header_names()
        now = self._engine.clock.monotonic()
        for connection, exchange in list(self._engine.connections.items()):
            if exchange.waits_since(Phase.BODY, now) > self._limits.body:
                exchange.give_up()
            elif (
                exchange.waits_since(Phase.HEADERS, now) > self._limits.idle
                or exchange.waits_since(Phase.TAKING, now) > self._limits.body
                or exchange.waits_since(Phase.LEAVING, now) > _LEAVING_SECONDS
            ):
                connection.stream.close()
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep)

    def _accept(self, sock: socket.socket) -> bool:
        """Accept connections, a bounded number at once. Return True if more may wait."""
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connection, address = sock.accept()
            except (BlockingIOError, InterruptedError):
                return False
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                if self._draining:  # a quiet connection gives its descriptor up
                    self._close_quiet()
                    return True
                if self._close_idle():
                    continue
                self._pause()
                return False
            peer = Peer(address, self._engine.clients)
            counts = self._engine.counts
            if counts.full(peer) and not self._close_idle(peer.share) and counts.overfull(peer):
                connection.close()
                continue
            stream = RequestStream(connection, max_buffer_size=_BUFFER)
            counts.add(peer)
            HTTP1ServerConnection(stream, self._parameters, peer).start_serving(self._engine)
        return True

    def _close_idle(self, share: str | None = None) -> int:
        """Close some idle connections, of one address or of all. Return how many."""
        if share is not None:
            self._warnings.warn("an address has more connections than it may have; those idle the longest are closed")
        else:
            self._warnings.warn(
                "no file descriptor is left for a new connection (%d are open): those idle the longest are closed; "
                "allow more (ulimit -n, LimitNOFILE=)",
                len(self._engine.connections),
            )
        return close_idle(self._engine, share)

    def _pause(self) -> None:
        """Accept nothing for a while, since no descriptor is left. New connections wait in the socket's queue."""
        if self._paused is not None:
            return
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.remove_reader(sock)
        self._paused = loop.call_later(0.1, self._resume)

    def _resume(self) -> None:
        self._paused = None
        self.start()

    async def drain(self, *, grace: float, at_most: float) -> None:
        """End without cutting a request: let no new connection begin, accept those that have, close the sockets, tell
        every client to close, and wait for the requests in flight, then `grace` seconds for those still on their
        way."""
        loop = asyncio.get_running_loop()
        until = loop.time() + at_most
        self._draining = self._parameters.no_keep_alive = True
        if not self._shared:
            stop_handshakes(self._sockets)
        await asyncio.sleep(min(HANDSHAKE_SECONDS, at_most))
        for timer in (self._paused, self._sweeper):
            if timer is not None:
                timer.cancel()
        for sock in self._sockets:
            loop.remove_reader(sock)
            more = self._accept(sock)
            while more and loop.time() < until:
                await asyncio.sleep(0.001)  # those taken so far begin
                more = self._accept(sock)
            sock.close()
        quiet_since = loop.time()
        while loop.time() < until and (self._engine.in_flight or self._engine.connections):
            if self._engine.in_flight:
                quiet_since = loop.time()
            elif loop.time() - quiet_since >= grace:
                self._close_quiet()
            await asyncio.sleep(0.01)
        if self._engine.tasks:
            await asyncio.wait(self._engine.tasks, timeout=max(0.0, until - loop.time()))
        for connection in list(self._engine.connections):
            connection.stream.close()

    def _close_quiet(self) -> None:
        """Close the connections on which nothing has come in. A request that is there is answered first."""
        for connection in list(self._engine.connections):
            stream = connection.stream
            with contextlib.suppress(OSError, ValueError):
                if stream.closed() or _readable(stream.socket):
                    continue
            stream.close()

"""The listening socket, the connections on it, and how both come to an end without losing a request."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from dataclasses import dataclass

from tornado.http1connection import HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.iostream import IOStream

from ..application import Application
from .crowd import Peer, Seldom, close_idle, readable
from .exchange import Phase
from .wire import forget_header_names

log = logging.getLogger(__name__)

_ACCEPTED_AT_ONCE = 64
_BACKLOG = 1024
_SWEEP_SECONDS = 1.0
_BUFFER = 8 * 1024 * 1024
_LEAVING_SECONDS = 2.0
"""For taking the answer to a request that was not whole."""


class _Stream(IOStream):
    """A stream that sends at once, always: one system call a connection instead of two a request."""

    def __init__(self, connection: socket.socket, max_buffer_size: int) -> None:
        super().__init__(connection, max_buffer_size=max_buffer_size)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def set_nodelay(self, value: bool) -> None:
        return


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """How long a client may take, in seconds, and how much it may send before its body."""

    idle: float = 65.0
    """From one request to the headers of the next, whole."""
    body: float = 20.0
    """For sending a body, and for taking our answer."""
    header_bytes: int = 16 * 1024


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for a host and port (0: any free one, the same for all). Raises OSError."""
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            if sockets and port == 0:
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            sockets.append(_listen(family, kind, protocol, address))
    except BaseException:
        for bound in sockets:
            bound.close()
        raise
    return sockets


def _listen(family: int, kind: int, protocol: int, address: tuple[object, ...]) -> socket.socket:
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setblocking(False)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


class Server:
    """Accepts on sockets that are bound already, perhaps shared with other workers."""

    def __init__(self, application: Application, sockets: list[socket.socket], limits: ConnectionLimits) -> None:
        self._application = application
        self._sockets = sockets
        self._limits = limits
        # Without timeouts of Tornado's: one for every header and body is a tenth of a request's whole cost. One
        # look at all connections a second does the same.
        self._parameters = HTTP1ConnectionParameters(
            max_header_size=limits.header_bytes,
            max_body_size=2**62,  # the exchange counts: a body that is too large gets its answer
        )
        self._sweeper: asyncio.TimerHandle | None = None
        self._paused: asyncio.TimerHandle | None = None
        self._draining = False
        self._seldom = Seldom()

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
        """Closes the connections of clients that take too long."""
        loop = asyncio.get_running_loop()
        forget_header_names()
        now = self._application.clock.monotonic()
        for connection, exchange in list(self._application.connections.items()):
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
        """Takes what waits, a bounded number at once; whether more may wait."""
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
                if self._draining:  # what is idle makes room
                    self._close_quiet()
                    return True
                if self._make_room():
                    continue
                self._pause()
                return False
            peer = Peer(address, self._application.clients)
            crowd = self._application.crowd
            if crowd.full(peer) and not self._make_room(peer.share) and crowd.overfull(peer):
                connection.close()
                continue
            stream = _Stream(connection, max_buffer_size=_BUFFER)
            crowd.enter(peer)
            HTTP1ServerConnection(stream, self._parameters, peer).start_serving(self._application)
        return True

    def _make_room(self, share: str | None = None) -> int:
        """Close some idle connections, of one address or of all; how many."""
        if share is not None:
            self._seldom.warn("an address has more connections than one may have: those idle the longest are closed")
        else:
            self._seldom.warn(
                "no file descriptor is left for a new connection (%d are open): those idle the longest are closed; "
                "allow more (ulimit -n, LimitNOFILE=)",
                len(self._application.connections),
            )
        application = self._application
        return close_idle(application.connections, application.crowd, application.clock.monotonic(), share)

    def _pause(self) -> None:
        """No descriptor is left: those that are connected go on, new ones wait in the socket's queue."""
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
        """Ends without cutting a request: takes what waits in the sockets' queues and closes them, tells every
        client to close, waits for what is in flight, then for `grace` seconds for what may still be on its way."""
        loop = asyncio.get_running_loop()
        quiet_since, until = loop.time(), loop.time() + at_most
        self._draining = self._parameters.no_keep_alive = True
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
        while loop.time() < until and (self._application.in_flight or self._application.connections):
            if self._application.in_flight:
                quiet_since = loop.time()
            elif loop.time() - quiet_since >= grace:
                self._close_quiet()
            await asyncio.sleep(0.01)
        if self._application.tasks:
            await asyncio.wait(self._application.tasks, timeout=max(0.0, until - loop.time()))
        for connection in list(self._application.connections):
            connection.stream.close()

    def _close_quiet(self) -> None:
        """Closes the connections on which nothing has come in: a request that is there is answered first."""
        for connection in list(self._application.connections):
            stream = connection.stream
            with contextlib.suppress(OSError, ValueError):
                if stream.closed() or readable(stream.socket):
                    continue
            stream.close()

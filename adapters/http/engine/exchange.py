"""Receives requests and writes answers, below Tornado's RequestHandler: every answer leaves by one door.

Tornado answers a body that is too large, or a path that does not exist, by itself, and a page's script cannot read that
answer. So the body is received here, counted as it comes in, and answered with the code and the CORS headers that
belong to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping
from enum import Enum
from http import HTTPStatus
from itertools import count
from typing import Any, cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream, StreamClosedError

from catchment.core.ports import Clock

from .addresses import Clients
from .connections import ConnectionCounts
from .memory import MemoryBudget, Reservation
from .message import Request, Response, Route, split_target
from .wire import be_strict, stays_open, write_whole

log = logging.getLogger(__name__)

_DRAINED = 16 * 1024 * 1024
"""So many bytes of a body that is too large are read and thrown away, so that the sender sees the answer: a connection
that is closed on unread data is reset."""

_SMALL = 64 * 1024
"""Bytes of an answer that are not counted against the memory budget."""
_DIGITS = 20

_REASONS = {status.value: status.phrase for status in HTTPStatus}


def _said_length(text: str) -> int:
    """Return the number in a Content-Length. Tornado refuses what is no number; one of too many digits is too large."""
    if not text.isdecimal():
        return 0
    return int(text) if len(text) <= _DIGITS else _DRAINED + 1


class Engine(HTTPServerConnectionDelegate, ABC):
    """Takes requests off connections, within bounds. A subclass answers them."""

    def __init__(self, *, clients: Clients, clock: Clock, receive_bytes: int) -> None:
        self.memory = MemoryBudget(receive_bytes)
        self.clients = clients
        self.counts = ConnectionCounts()
        self.clock = clock
        self.tasks: set[asyncio.Task[None]] = set()
        self.connections: dict[Any, Exchange] = {}
        """Each open connection of Tornado's, with its current exchange."""
        self._busy: set[Exchange] = set()
        self._ids = count(1)
        self._id_prefix = secrets.token_hex(6)

    @abstractmethod
    def route(self, method: str, path: str) -> Route | None:
        """Return the route of a request."""

    @abstractmethod
    async def respond(self, request: Request) -> Response:
        """Return the answer to a request. Never raises for a request's sake."""

    @abstractmethod
    def too_slow(self, request: Request) -> Response:
        """Return the answer to a request whose body did not come in time."""

    @abstractmethod
    def headers(self, request: Request, response: Response) -> Mapping[str, str]:
        """Return all headers of an answer."""

    @abstractmethod
    def measured(self, request: Request, response: Response) -> None:
        """Note that a request was answered."""

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> Exchange:
        context: Any = getattr(request_conn, "context", None)
        be_strict(request_conn)
        if server_conn in self.connections:
            server_conn.context.served = True  # type: ignore[attr-defined]
        exchange = Exchange(self, request_conn, getattr(context, "address", None))
        self.connections[server_conn] = exchange
        return exchange

    def on_close(self, server_conn: object) -> None:
        self.counts.remove(server_conn.context)  # type: ignore[attr-defined]
        exchange = self.connections.pop(server_conn, None)
        if exchange is not None:
            exchange.on_connection_close()

    def busy(self, exchange: Exchange) -> None:
        self._busy.add(exchange)

    def idle(self, exchange: Exchange) -> None:
        self._busy.discard(exchange)

    @property
    def in_flight(self) -> int:
        """The number of requests that have begun and have no answer yet."""
        return len(self._busy)

    def new_request_id(self) -> str:
        return f"{self._id_prefix}-{next(self._ids):x}"


class Phase(Enum):
    """The thing that a connection waits for."""

    HEADERS = 1
    """The client's next request."""
    BODY = 2
    ANSWER = 3
    """Ours."""
    TAKING = 4
    """The client, to take our answer."""
    LEAVING = 5
    """The client, to close: it has been answered before its request was whole."""


class Exchange(HTTPMessageDelegate):
    """Receives one request and answers it."""

    __slots__ = (
        "_answering",
        "_body",
        "_connection",
        "_dropped",
        "_engine",
        "_limit",
        "_peer",
        "_phase",
        "_request",
        "_said",
        "_since",
        "_size",
    )

    def __init__(self, engine: Engine, connection: HTTPConnection, peer: str | None) -> None:
        self._engine = engine
        self._connection = connection
        self._peer = peer
        self._request: Request | None = None
        self._limit = 0
        self._body: list[bytes] = []
        self._size = 0
        self._said = 0
        self._dropped = False
        self._answering = False
        self._phase = Phase.HEADERS
        self._since = engine.clock.monotonic()

    def waits_since(self, phase: Phase, now: float) -> float:
        """Return the seconds that it has waited in this phase; 0 if it is in another one."""
        return now - self._since if self._phase is phase else 0.0

    def waits(self, phase: Phase) -> bool:
        """Return True if the connection waits for this phase."""
        return self._phase is phase

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        path, query = split_target(start_line.path)  # type: ignore[union-attr]
        method = start_line.method  # type: ignore[union-attr]
        engine = self._engine
        client = engine.clients.read(self._peer, headers)
        memory = Reservation(engine.memory, client.share)
        request = Request(engine.new_request_id(), method, path, query, headers, client, memory)
        request.keeps_alive = start_line.version == "HTTP/1.1"
        request.route = engine.route(method, path)
        self._request = request
        if request.route is not None:
            self._limit = request.route.body_bytes
        self._phase, self._since = Phase.BODY, engine.clock.monotonic()
        engine.busy(self)
        length = _said_length(headers.get("Content-Length", "0"))
        self._said = length or self._limit  # of chunks nobody knows before their end
        if length > self._limit:
            request.too_large = True
            if length > _DRAINED:
                return self._answer()  # before Tornado tells the client to go on
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self._request is None:
            return None
        self._size += len(chunk)
        whole = self._size >= self._said
        if not self._dropped and self._size <= self._limit and self._request.memory.add(len(chunk), whole=whole):
            self._body.append(chunk)
            return None
        if not self._dropped:
            self._dropped = True
            self._request.no_memory = self._size <= self._limit
            self._request.memory.release()
            self._body.clear()
        if self._size > self._limit and self._request.route is not None:
            self._request.too_large = True
        if self._size > _DRAINED:
            self._answer()
        return None

    def finish(self) -> None:
        self._answer()

    def on_connection_close(self) -> None:
        """Forget a request that is not whole: the client went away, or an error ended the connection. A request that
        is being answered goes on: its events may be stored."""
        if not self._answering:
            if self._request is not None:
                self._request.memory.release()
            self._request = None
            self._body.clear()
            self._engine.idle(self)

    def _answer(self) -> Awaitable[None] | None:
        request = self._request
        if request is None:
            return None
        self._phase = Phase.ANSWER
        request.body, request.size = b"".join(self._body), self._size
        self._body.clear()
        request.received_at, request.monotonic = self._engine.clock.now(), self._engine.clock.monotonic()
        task = asyncio.get_running_loop().create_task(self._respond(request))
        self._answering, self._request = True, None
        self._engine.tasks.add(task)
        task.add_done_callback(self._engine.tasks.discard)
        return task

    def give_up(self) -> None:
        """Answer a request whose body comes too slowly, and end the connection. The rest is read and thrown away: a
        connection that is closed on unread data is reset, and the answer lost."""
        request, stream = self._request, self._connection.stream  # type: ignore[attr-defined]
        if request is None:
            stream.close()
            return
        self._request = None
        self._body.clear()
        request.memory.release()
        request.received_at, request.monotonic = self._engine.clock.now(), self._engine.clock.monotonic()
        response = self._engine.too_slow(request)
        self._phase, self._since = Phase.LEAVING, request.monotonic
        self._engine.idle(self)
        try:
            head = _head(response.status, {**self._engine.headers(request, response), "Connection": "close"})
            written = stream.write(head + response.body)
        except (StreamClosedError, OSError):
            return
        written.add_done_callback(lambda _: _say_no_more(stream))
        self._engine.measured(request, response)

    async def _respond(self, request: Request) -> None:
        try:
            response = await self._engine.respond(request)
            self._write(request, response)
            self._engine.measured(request, response)
        except BaseException:  # nobody answers this request any more: its client must not wait for it
            self._connection.stream.close()  # type: ignore[attr-defined]
            raise
        finally:
            request.memory.release()
            self._engine.idle(self)

    def _write(self, request: Request, response: Response) -> None:
        headers = self._engine.headers(request, response)
        body = response.body if request.method != "HEAD" else b""
        connection = self._connection
        try:
            if request.keeps_alive and stays_open(connection):
                written = write_whole(cast(HTTP1Connection, connection), _head(response.status, headers) + body)
            else:
                start_line = ResponseStartLine("HTTP/1.1", response.status, _REASONS.get(response.status, ""))
                written = connection.write_headers(start_line, cast(HTTPHeaders, headers), body or None)
            self._count_answer(request, len(body), written)
            self._phase, self._since = Phase.TAKING, self._engine.clock.monotonic()
            connection.finish()
        except (StreamClosedError, OSError):
            log.debug("the client of request %s is gone", request.id)

    def _count_answer(self, request: Request, size: int, written: asyncio.Future[None]) -> None:
        """Count a large answer against the memory budget until the client has taken it. If there is no memory, the
        connection ends: nobody may fill the memory of all others with answers."""
        stream = self._connection.stream  # type: ignore[attr-defined]
        if size <= _SMALL or not stream.writing():
            return
        memory = Reservation(self._engine.memory, request.client.share)
        if memory.add(size):
            written.add_done_callback(lambda _: memory.release())
        else:
            log.debug("the client of request %s takes no answers", request.id)
            stream.close()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n{lines}\r\n".encode("latin-1")


def _say_no_more(stream: IOStream) -> None:
    """Tell the client that nothing more comes. Its data is still read."""
    with contextlib.suppress(OSError, AttributeError):  # it may be closed by now
        stream.socket.shutdown(socket.SHUT_WR)

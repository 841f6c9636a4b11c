"""One request and its answer, below Tornado's RequestHandler: every answer, errors included, leaves by one door.

Tornado's own answer to a body that is too large, or a path that is not there, is a bare one, which a page's script
could not read. So the body is received here, counted while it comes in, and answered with the code and the CORS
headers that belong to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError

from .addresses import Client
from .room import Hold
from .wire import stays_open, write_whole

if TYPE_CHECKING:
    from ..application import Application

log = logging.getLogger(__name__)

_DRAINED = 16 * 1024 * 1024
"""So many bytes of a body that is too large are read and thrown away, so that the sender sees the answer: a
connection that is closed on unread data is reset."""

_SMALL = 64 * 1024
"""A connection may always have an answer of so many bytes under way."""
_DIGITS = 20
_ABSOLUTE = re.compile(r"https?://[^/?#@]+(/[^?]*)?(?:\?(.*))?", re.IGNORECASE)
"""A target as a client with a proxy sends it: scheme, host, path, query (RFC 9112, 3.2.2)."""


@dataclass(slots=True)
class Request:
    """One request, whole."""

    id: str
    method: str
    path: str
    query: str
    headers: HTTPHeaders
    client: Client
    """The sender of the request."""
    hold: Hold
    body: bytes = b""
    size: int = 0
    """Bytes of the body that came, thrown away or not."""
    keeps_alive: bool = False
    """HTTP/1.1, whose connections stay open unless somebody says otherwise."""
    large: bool = False
    """A batch that others pass."""
    too_large: bool = False
    no_memory: bool = False
    """Its body was thrown away: too many others are being received."""
    received_at: datetime = datetime.min
    """When its last byte came."""
    monotonic: float = 0.0


@dataclass(slots=True)
class Response:
    """One answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    handler: Callable[[Request], Awaitable[Response]]
    body_bytes: int = 0
    """The largest body that is received."""
    label: str | None = None
    """What it is called in the metrics, where that is not its path."""


Routes = Mapping[str, Mapping[str, Route]]
"""By path, by method. A word in braces in a path stands for anything without a slash or a dot."""

_REASONS = {status.value: status.phrase for status in HTTPStatus}


def split_target(target: str) -> tuple[str, str]:
    """The path and the query of a request's target. What is before them in an absolute one does not matter here."""
    if not target.startswith("/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is not None:
            return absolute[1] or "/", absolute[2] or ""
    path, _, query = target.partition("?")
    return path, query


def _said_length(text: str) -> int:
    """What a Content-Length says. What is none is Tornado's to refuse; of too many digits to convert it is huge."""
    if not text.isdecimal():
        return 0
    return int(text) if len(text) <= _DIGITS else _DRAINED + 1


class Phase(Enum):
    """What a connection waits for."""

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
        "_app",
        "_body",
        "_connection",
        "_dropped",
        "_peer",
        "_phase",
        "_request",
        "_route",
        "_said",
        "_since",
        "_size",
    )

    def __init__(self, app: Application, connection: HTTPConnection, peer: str | None) -> None:
        self._app = app
        self._connection = connection
        self._peer = peer
        self._request: Request | None = None
        self._route: Route | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._said = 0
        self._dropped = False
        self._answering = False
        self._phase = Phase.HEADERS
        self._since = app.clock.monotonic()

    def waits_since(self, phase: Phase, now: float) -> float:
        """For how many seconds the client has let it wait in this phase; 0 in another one."""
        return now - self._since if self._phase is phase else 0.0

    def waits(self, phase: Phase) -> bool:
        """Return True if the connection waits for this phase."""
        return self._phase is phase

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        path, query = split_target(start_line.path)  # type: ignore[union-attr]
        method = start_line.method  # type: ignore[union-attr]
        client = self._app.clients.read(self._peer, headers)
        self._request = Request(
            self._app.new_request_id(), method, path, query, headers, client, Hold(self._app.room, client.share)
        )
        self._request.keeps_alive = start_line.version == "HTTP/1.1"
        self._route = self._app.route(method, path)
        self._phase, self._since = Phase.BODY, self._app.clock.monotonic()
        self._app.busy(self)
        length = _said_length(headers.get("Content-Length", "0"))
        self._said = length or self._limit  # of chunks nobody knows before their end
        if length > self._limit:
            self._request.too_large = True
            if length > _DRAINED:
                return self._answer()  # before Tornado tells the client to go on
        return None

    @property
    def _limit(self) -> int:
        return self._route.body_bytes if self._route is not None else 0

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self._request is None:
            return None
        self._size += len(chunk)
        whole = self._size >= self._said
        if not self._dropped and self._size <= self._limit and self._request.hold.more(len(chunk), whole=whole):
            self._body.append(chunk)
            return None
        if not self._dropped:
            self._dropped = True
            self._request.no_memory = self._size <= self._limit
            self._request.hold.let_go()
            self._body.clear()
        if self._size > self._limit and self._route is not None:
            self._request.too_large = True
        if self._size > _DRAINED:
            self._answer()
        return None

    def finish(self) -> None:
        self._answer()

    def on_connection_close(self) -> None:
        """The client went away, or an error (there was no memory left) ended the connection. What is being answered
        goes on: it may be stored."""
        if not self._answering:
            if self._request is not None:
                self._request.hold.let_go()
            self._request = None
            self._body.clear()
            self._app.idle(self)

    def _answer(self) -> Awaitable[None] | None:
        request = self._request
        if request is None:
            return None
        self._phase = Phase.ANSWER
        request.body, request.size = b"".join(self._body), self._size
        self._body.clear()
        request.received_at, request.monotonic = self._app.clock.now(), self._app.clock.monotonic()
        task = asyncio.get_running_loop().create_task(self._respond(request))
        self._answering, self._request = True, None
        self._app.tasks.add(task)
        task.add_done_callback(self._app.tasks.discard)
        return task

    def give_up(self) -> None:
        """Answer a request whose body comes too slowly, and end the connection. What still comes is thrown away, so
        that the answer can be read: a connection that is closed on unread data is reset."""
        request, stream = self._request, self._connection.stream  # type: ignore[attr-defined]
        if request is None:
            stream.close()
            return
        self._request = None
        self._body.clear()
        request.hold.let_go()
        request.received_at, request.monotonic = self._app.clock.now(), self._app.clock.monotonic()
        response = self._app.too_slow(request)
        self._phase, self._since = Phase.LEAVING, request.monotonic
        self._app.idle(self)
        try:
            head = _head(response.status, {**self._app.headers(request, response), "Connection": "close"})
            written = stream.write(head + response.body)
        except (StreamClosedError, OSError):
            return
        written.add_done_callback(lambda _: _say_no_more(stream))
        self._app.measured(request, self._route, response)

    async def _respond(self, request: Request) -> None:
        try:
            response = await self._app.respond(request, self._route)
            self._write(request, response)
            self._app.measured(request, self._route, response)
        finally:
            request.hold.let_go()
            self._app.idle(self)

    def _write(self, request: Request, response: Response) -> None:
        headers = self._app.headers(request, response)
        body = response.body if request.method != "HEAD" else b""
        connection = self._connection
        try:
            if request.keeps_alive and stays_open(connection):
                written = write_whole(cast(HTTP1Connection, connection), _head(response.status, headers) + body)
            else:
                start_line = ResponseStartLine("HTTP/1.1", response.status, _REASONS.get(response.status, ""))
                written = connection.write_headers(start_line, cast(HTTPHeaders, headers), body or None)
            self._hold_answer(request, len(body), written)
            self._phase, self._since = Phase.TAKING, self._app.clock.monotonic()
            connection.finish()
        except (StreamClosedError, OSError):
            log.debug("the client of request %s is gone", request.id)

    def _hold_answer(self, request: Request, size: int, written: asyncio.Future[None]) -> None:
        """Count a large answer that the client does not take at once, as bodies are. If there is no room for it, the
        connection ends: nobody may fill the memory of all others with what they asked for."""
        stream = self._connection.stream  # type: ignore[attr-defined]
        if size <= _SMALL or not stream.writing():
            return
        hold = Hold(self._app.room, request.client.share)
        if hold.more(size):
            written.add_done_callback(lambda _: hold.let_go())
        else:
            log.debug("the client of request %s takes no answers", request.id)
            stream.close()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n{lines}\r\n".encode("latin-1")


def _say_no_more(stream: IOStream) -> None:
    """Tell the client that nothing more comes, while what it sends is still read."""
    with contextlib.suppress(OSError, AttributeError):  # it may be closed by now
        stream.socket.shutdown(socket.SHUT_WR)

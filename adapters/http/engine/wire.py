"""HTTP/1.1 on the wire: what is used of Tornado beyond its documentation, and why. Nothing of the kind is elsewhere.

- `HTTP1Connection._parse_headers` is overridden. Tornado takes some requests that another server in front of this one
  may read in another way; who tells the two apart can hide a second request in the first. They are refused here.
- `HTTP1Connection._disconnect_on_finish`, `_pending_write`: an answer is written whole, at once. `write_headers` looks
  at every line again, which is a tenth of a request's whole cost.
- `BaseIOStream._handle_read`, `_read_to_buffer`, `_read_buffer_size`, `_read_future`: a stream listens all the time.
  Tornado takes the descriptor out of the selector for every request, and puts it back: a twentieth of a request's whole
  cost.
- `httputil._normalize_header` is a cache that keeps header names of any length. It is emptied when it has grown.
"""

from __future__ import annotations

import contextlib
import re
import socket
from asyncio import Future

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPInputError, _normalize_header
from tornado.iostream import IOStream

_HEADER_NAMES = 200
_HEADERS = 256
"""In a request. Each takes time before anybody knows whose request it is: 1,500 of them as much as 30 events."""
_AHEAD = 4096
"""Bytes that nobody has asked for yet. The body of an event is shorter, and comes with its headers."""
_HOST = re.compile(r"[A-Za-z0-9._~%!$&'()*+;=:\[\]-]*")


class StrictConnection(HTTP1Connection):
    """A request that could be read in two ways is malformed: it gets a 400, and its connection ends."""

    def _parse_headers(self, data: bytes) -> tuple[str, HTTPHeaders]:
        alone = data.replace(b"\r\n", b"")
        if b"\n" in alone or b"\r" in alone:
            raise HTTPInputError("CR and LF come together, at a line's end")
        if len(data) - len(alone) > 2 * _HEADERS:
            raise HTTPInputError("too many headers")
        start_line, headers = super()._parse_headers(data)
        hosts = headers.get_list("Host")
        if start_line.endswith("HTTP/1.0"):
            if "Transfer-Encoding" in headers:
                raise HTTPInputError("HTTP/1.0 has no Transfer-Encoding")
            if len(hosts) > 1:
                raise HTTPInputError("more than one Host")
        elif len(hosts) != 1:
            raise HTTPInputError("one Host is required")
        if hosts and not _HOST.fullmatch(hosts[0]):
            raise HTTPInputError("Host is not a host")
        return start_line, headers


class RequestStream(IOStream):
    """A client's stream. It listens all the time, but reads little ahead: a chunk of 64 KiB if it holds less than
    `_AHEAD` bytes. It does without Nagle's delay: one system call a connection instead of two a request."""

    def __init__(self, connection: socket.socket, max_buffer_size: int) -> None:
        super().__init__(connection, max_buffer_size=max_buffer_size)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def set_nodelay(self, value: bool) -> None:
        return

    def reading(self) -> bool:
        return self._read_future is not None or self._read_buffer_size < _AHEAD

    def _handle_read(self) -> None:
        if self._read_future is not None:
            super()._handle_read()
        elif self._read_buffer_size < _AHEAD:
            with contextlib.suppress(OSError):  # the stream is closed then
                self._read_to_buffer()


def be_strict(connection: object) -> None:
    """Let a connection that has not read anything yet refuse what is ambiguous: Tornado makes its connections itself,
    and takes no class for them."""
    if type(connection) is HTTP1Connection:
        connection.__class__ = StrictConnection


def stays_open(connection: object) -> bool:
    """Return True if a connection goes on after its answer. Tornado decides that as a request begins. If the server
    begins to end later, the answer still tells the client to close."""
    if not isinstance(connection, HTTP1Connection):
        return False
    if connection.params.no_keep_alive:
        connection._disconnect_on_finish = True
    return not connection._disconnect_on_finish


def write_whole(connection: HTTP1Connection, answer: bytes) -> Future[None]:
    """Write an answer of which every byte is there; `finish` follows. The future is done when the client has taken it,
    or is gone."""
    written = connection._pending_write = connection.stream.write(answer)
    return written


def forget_header_names() -> None:
    """Empty Tornado's cache of header names if it has more than honest clients send."""
    if _normalize_header.cache_info().currsize > _HEADER_NAMES:
        _normalize_header.cache_clear()

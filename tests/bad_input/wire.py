"""A client on a raw socket: it sends any bytes, and reads what a strict client would read."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable

from ..support.answers import Answer

HANGS = 20.0
"""Seconds after which a client here gives up; nothing takes that long."""

Header = tuple[str, str | bytes | None]


def request(path: str, body: bytes = b"", headers: Iterable[Header] = (), method: str = "POST") -> bytes:
    """A request's bytes. A later header takes the place of an earlier one, and None leaves it out; a Content-Length is
    added where nothing else says how long the body is."""
    chosen: dict[str, Header] = {"host": ("Host", "localhost")}
    for name, value in headers:
        chosen[name.lower()] = (name, value)
    if "content-length" not in chosen and "transfer-encoding" not in chosen:
        chosen["content-length"] = ("Content-Length", str(len(body)))
    lines = [f"{method} {path} HTTP/1.1".encode()]
    for name, value in chosen.values():
        if value is not None:
            lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode("latin-1")))
    return b"\r\n".join([*lines, b"", b""]) + body


def chunked(body: bytes, size: int = 4096) -> bytes:
    """A body as Transfer-Encoding: chunked has it."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


class Wire:
    """One connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=HANGS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""
        self.closed = False
        """Whether the other end has closed it."""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Sends it all, or as much as the other end takes before it closes."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)

    def end(self) -> None:
        """Says that nothing more will be sent."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def answer(self) -> Answer | None:
        """The next answer; None where the connection is closed without one. Raises TimeoutError."""
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        status_line, *lines = head.decode("latin-1").split("\r\n")
        version, status = status_line.split(" ")[:2]
        assert version == "HTTP/1.1"
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value.strip()
        if status == "204" or status.startswith("1"):
            return Answer(int(status), headers, b"")
        length = headers.get("content-length")
        body = self._rest() if length is None else self._bytes(int(length))
        if headers.get("connection", "").lower() == "close":
            self._rest()
        return Answer(int(status), headers, body)

    def _more(self) -> bool:
        try:
            piece = self._socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        self._read += piece
        self.closed = self.closed or not piece
        return bool(piece)

    def _until(self, end: bytes) -> bytes | None:
        while end not in self._read:
            if not self._more():
                assert self._read == b"", f"closed within an answer: {self._read!r}"
                return None
        found, _, self._read = self._read.partition(end)
        return found

    def _bytes(self, count: int) -> bytes:
        while len(self._read) < count:
            assert self._more(), "closed within an answer"
        found, self._read = self._read[:count], self._read[count:]
        return found

    def _rest(self) -> bytes:
        while self._more():
            pass
        found, self._read = self._read, b""
        return found

"""HTTP with the standard library: one kept connection, verified TLS, proxies of the environment."""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import io
import os
import socket
import ssl
import sys
import time
import urllib.request
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from ._answers import Reply
from ._logs import log
from ._settings import Address
from ._version import VERSION

GZIP_FROM = 4096
"""Larger bodies are compressed."""
LONGEST_ANSWER = 32 * 1024 * 1024
"""The most bytes of an answer. A thousand receipts with all their warnings have less."""
LONGEST_RECEIPT = 256 * 1024
"""The most bytes of an answer for each event, and once more for the rest. A dry run shows the event's row. Decoded, an
answer may take thirty times its size, so a small batch gets a small one."""
TIMEOUT = "timeout"
"""The reason if there was no answer in time."""
_USER_AGENT = f"catchment-client/{VERSION} python/{sys.version_info[0]}.{sys.version_info[1]}"


class Unreachable(Exception):
    """No answer. `reason`: ``timeout``, ``tls``, ``network`` or ``not_understood``. `detail`: the same in words."""

    def __init__(self, reason: str, detail: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Transport:
    """Posts one request at a time, on one kept connection. Not thread-safe."""

    def __init__(self, address: Address, key: str, ssl_context: ssl.SSLContext | None) -> None:
        self._address = address
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Accept": "application/json, application/problem+json",
            "User-Agent": _USER_AGENT,
        }
        self._ssl_context = ssl_context
        self._connection: http.client.HTTPConnection | None = None
        self._limit = _Limit()
        self._prefix = address.path
        self._proxy_headers: dict[str, str] = {}

    def post(self, path: str, body: bytes, timeout: float, events: int = 1) -> Reply:
        """Return the answer. `timeout`: seconds for each step, and for the whole answer. `events`: their number, which
        bounds the answer. Raise `Unreachable`."""
        longest = min(LONGEST_ANSWER, (1 + events) * LONGEST_RECEIPT)
        headers = dict(self._headers)
        if len(body) >= GZIP_FROM:
            body = gzip.compress(body, 5)
            headers["Content-Encoding"] = "gzip"
        while True:
            is_kept = self._connection is not None
            try:
                return self._exchange(path, body, headers, timeout, longest)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.close()
                if not (is_kept and isinstance(error, ConnectionError)):  # else the server closed it while idle
                    raise Unreachable(_reason(error), _detail(error)) from error
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def abandon(self) -> None:
        """Close this process's end after a fork. Send nothing, and use no locks: their thread does not exist here."""
        connection, self._connection = self._connection, None
        sock = None if connection is None else connection.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                os.close(sock.detach())

    __del__ = close  # no ResourceWarning for a client that was dropped instead of closed

    def _exchange(self, path: str, body: bytes, headers: dict[str, str], timeout: float, longest: int) -> Reply:
        self._limit.at = time.monotonic() + timeout
        is_new = self._connection is None
        connection = self._connection = self._connection or self._connect(timeout)
        if connection.sock is None:
            connection.timeout = timeout
            connection.connect()
        connection.sock.settimeout(timeout)
        try:
            connection.request("POST", self._prefix + path, body, {**headers, **self._proxy_headers})
        except (BrokenPipeError, ConnectionResetError):
            if not is_new:
                raise
            # a server that answers before the whole body has come (413, say) may close the connection
        response = connection.getresponse()
        content = _read(response, longest)
        reply = Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, content)
        if response.will_close:
            self.close()
        return reply

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        connection = self._make_connection(timeout)
        connection.response_class = partial(_answer, self._limit)  # type: ignore[assignment]
        return connection

    def _make_connection(self, timeout: float) -> http.client.HTTPConnection:
        secure, host, port, path = self._address
        proxy = _proxy(self._address)
        self._prefix = path
        self._proxy_headers = {}
        if proxy is not None:
            where, authorization = proxy
            if not secure:
                shown = f"[{host}]" if ":" in host else host
                self._prefix = f"http://{shown}:{port}{path}"
                self._proxy_headers = authorization
                return http.client.HTTPConnection(*where, timeout=timeout)
            tunnel = http.client.HTTPSConnection(*where, timeout=timeout, context=self._context())
            tunnel.set_tunnel(host, port, authorization)
            return tunnel
        if secure:
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._context())
        return http.client.HTTPConnection(host, port, timeout=timeout)

    def _context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        return self._ssl_context


class _Limit:
    """The deadline of an answer, by the monotonic clock."""

    at = float("inf")


class _InTime(io.RawIOBase):
    """Reads from a socket until the limit, so that a very slow answer does not block the sender for ever."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, limit: _Limit) -> None:
        self._raw = raw
        self._sock = sock
        self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._limit.at - time.monotonic()
        if left <= 0:
            raise socket.timeout
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _answer(limit: _Limit, sock: socket.socket, *arguments: Any, **more: Any) -> http.client.HTTPResponse:
    response = http.client.HTTPResponse(sock, *arguments, **more)
    response.fp = io.BufferedReader(_InTime(response.fp.detach(), sock, limit))
    return response


def _read(response: http.client.HTTPResponse, longest: int) -> bytes:
    """Return the body of an answer."""
    most = longest + 1
    content = response.read(most if response.length is None else min(most, response.length))
    if len(content) > longest:
        raise http.client.HTTPException("the answer is too long")
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    response.close()
    return content


def _reason(error: Exception) -> str:
    if isinstance(error, socket.timeout):
        return TIMEOUT
    if isinstance(error, ssl.SSLError):
        return "tls"
    return "network" if isinstance(error, (OSError, http.client.IncompleteRead)) else "not_understood"


def _detail(error: Exception) -> str | None:
    """Return the system's message, which holds neither key nor data."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "").replace("_", " ").lower() or None
    if isinstance(error, socket.timeout) or not isinstance(error, OSError):
        return None
    return (error.strerror or str(error)).lower()[:200] or None


def _proxy(address: Address) -> tuple[tuple[str, int], dict[str, str]] | None:
    """Return the environment's proxy for this server (``https_proxy``, ``http_proxy``, ``no_proxy``)."""
    proxies = urllib.request.getproxies_environment()
    url = proxies.get("https" if address.secure else "http")
    if not url or urllib.request.proxy_bypass(f"{address.host}:{address.port}"):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        log.warning("the environment's proxy is not an http:// one; going without")
        return None
    headers = {}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = "Basic " + base64.b64encode(login.encode()).decode("ascii")
    return (parts.hostname, parts.port or 80), headers

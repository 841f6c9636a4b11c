"""HTTP by the standard library: one kept connection, TLS verified, proxies as the environment says."""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import socket
import ssl
import sys
import time
import urllib.request
from urllib.parse import unquote, urlsplit

from ._answers import Reply
from ._logs import log
from ._settings import Address
from ._version import VERSION

GZIP_FROM = 4096
"""Bytes from which a body is packed."""
LONGEST_ANSWER = 32 * 1024 * 1024
"""Bytes of an answer that are read; a thousand receipts with all their warnings have less."""
_USER_AGENT = f"catchment-client/{VERSION} python/{sys.version_info[0]}.{sys.version_info[1]}"


class Unreachable(Exception):
    """No answer. `reason`: ``timeout``, ``tls``, ``network`` or ``not_understood``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Transport:
    """Posts, one at a time, on one connection that is kept as long as it lasts. Not for several threads at once."""

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
        self._prefix = address.path
        self._proxy_headers: dict[str, str] = {}

    def post(self, path: str, body: bytes, timeout: float) -> Reply:
        """The answer. `timeout`: seconds for each step, and for the whole answer. Raises `Unreachable`."""
        headers = dict(self._headers)
        if len(body) >= GZIP_FROM:
            body = gzip.compress(body, 5)
            headers["Content-Encoding"] = "gzip"
        while True:
            is_kept = self._connection is not None
            try:
                return self._exchange(path, body, headers, timeout)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.close()
                if not (is_kept and isinstance(error, ConnectionError)):  # else the server closed it while it was idle
                    raise Unreachable(_reason(error)) from error
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    __del__ = close  # whoever drops a client instead of closing it hears no ResourceWarning

    def _exchange(self, path: str, body: bytes, headers: dict[str, str], timeout: float) -> Reply:
        deadline = time.monotonic() + timeout
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
            # whoever answers before the whole body has come, 413 say, may have said so before it hung up
        response = connection.getresponse()
        content = _read(response, connection.sock, deadline)
        reply = Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, content)
        if response.will_close:
            self.close()
        return reply

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
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


def _read(response: http.client.HTTPResponse, sock: socket.socket | None, deadline: float) -> bytes:
    """The body of an answer, in time: a byte now and then does not hold the sender up for ever.

    Not by `HTTPResponse.read1`: before Python 3.13 it waits for more after the end.
    """
    length = response.length
    if length is None:
        content = response.read(LONGEST_ANSWER + 1)
        length = 0
    else:
        content = b""
    parts = [content]
    size = len(content)
    while size <= LONGEST_ANSWER and size < length:
        left = deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout
        if sock is not None:
            sock.settimeout(left)
        part = response.fp.read1(min(length - size, 65536))
        if not part:
            raise http.client.IncompleteRead(b"", length - size)
        parts.append(part)
        size += len(part)
    if size > LONGEST_ANSWER:
        raise http.client.HTTPException("the answer is too long")
    response.close()
    return b"".join(parts)


def _reason(error: Exception) -> str:
    if isinstance(error, socket.timeout):
        return "timeout"
    if isinstance(error, ssl.SSLError):
        return "tls"
    return "network" if isinstance(error, (OSError, http.client.IncompleteRead)) else "not_understood"


def _proxy(address: Address) -> tuple[tuple[str, int], dict[str, str]] | None:
    """The proxy that the environment names for this server (``https_proxy``, ``http_proxy``, ``no_proxy``)."""
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

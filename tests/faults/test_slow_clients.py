"""Fault 15: clients that send byte by byte, stop in the middle, or never read."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from ..support.waiting import wait_until
from .load import event, new_id, request_of
from .rig import Rig
from .server import Server

IDLE, BODY = 1.0, 1.0
SLACK = 2.5
"""The server looks once a second; the rest is for a busy machine."""


@pytest.fixture
def server(rig: Rig) -> Server:
    return rig.serve(HTTP__IDLE_SECONDS=IDLE, HTTP__BODY_SECONDS=BODY)


def _seconds_until_closed(server: Server, first: bytes, next_byte: Callable[[int], bytes]) -> float:
    """How long a connection lives on which these bytes come, a first piece and then one more every 50 ms."""
    started = time.monotonic()
    with socket.create_connection(server.address, timeout=0.05) as sock:
        sock.sendall(first)
        for number in range(1000):
            try:
                if not sock.recv(65536):
                    break
            except TimeoutError:
                pass
            except OSError:
                break
            try:
                sock.sendall(next_byte(number))
            except OSError:
                break
            assert time.monotonic() - started < 30, "the server does not close it"
    return time.monotonic() - started


def _a_request(rig: Rig) -> tuple[bytes, bytes]:
    head, separator, body = request_of(rig.site.browser_key, [event(new_id())]).partition(b"\r\n\r\n")
    return head + separator, body


def _nothing(number: int) -> bytes:
    return b""


def test_a_client_that_says_nothing_is_closed(rig: Rig, server: Server) -> None:
    assert _seconds_until_closed(server, b"", _nothing) < IDLE + SLACK
    rig.judge()


def test_a_header_byte_by_byte_is_closed(rig: Rig, server: Server) -> None:
    assert _seconds_until_closed(server, b"", lambda n: b"POST /v1/events HTTP/1.1\r\n"[n % 26 :][:1]) < IDLE + SLACK
    rig.judge()


def test_headers_that_never_end_are_closed(rig: Rig, server: Server) -> None:
    head, _ = _a_request(rig)
    assert _seconds_until_closed(server, head[:-2], lambda n: b"X-%d: y\r\n" % n) < IDLE + SLACK
    rig.judge()


def test_a_body_that_stops_is_closed(rig: Rig, server: Server) -> None:
    head, body = _a_request(rig)
    assert _seconds_until_closed(server, head + body[:10], _nothing) < BODY + SLACK
    rig.judge()


def test_a_body_byte_by_byte_is_closed(rig: Rig, server: Server) -> None:
    head, body = _a_request(rig)
    longer = head.replace(b"Content-Length: %d" % len(body), b"Content-Length: 5000")
    assert _seconds_until_closed(server, longer, lambda n: b" ") < BODY + SLACK
    rig.judge()


def test_chunks_byte_by_byte_are_closed(rig: Rig, server: Server) -> None:
    head, body = _a_request(rig)
    chunked = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
    assert _seconds_until_closed(server, chunked, lambda n: b"1\r\n \r\n") < BODY + SLACK
    rig.judge()


def test_a_kept_connection_that_is_idle_is_closed(rig: Rig, server: Server) -> None:
    sent = event(new_id())
    request = request_of(rig.site.browser_key, [sent])
    with socket.create_connection(server.address, timeout=10) as sock:
        sock.sendall(request)
        assert b'"stored"' in sock.recv(65536)
        rig.book.acknowledged.add(sent["eventId"])
        started = time.monotonic()
        assert sock.recv(1) == b""
        assert time.monotonic() - started < IDLE + SLACK
    rig.judge()


def test_a_client_that_never_reads_takes_bounded_memory_and_holds_up_nobody(rig: Rig, server: Server) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(server.address)
        sock.settimeout(1)
        request = b"GET /openapi.json HTTP/1.1\r\nHost: collector.example\r\n\r\n"
        with pytest.raises(OSError, match=r"timed out|reset|Broken pipe"):
            sock.sendall(request * 100_000)
        assert rig.post().code == "stored"
    wait_until(lambda: server.readiness()["connections"] <= 1, "its end is seen")
    rig.judge(memory=250 * 2**20)


def test_many_slow_clients_hold_up_nobody(rig: Rig, server: Server) -> None:
    head, body = _a_request(rig)
    slow = [socket.create_connection(server.address, timeout=5) for _ in range(200)]
    try:
        for number, sock in enumerate(slow):
            sock.sendall((head + body[:5])[: 20 + 3 * number])
        seconds = [rig.post().seconds for _ in range(20)]
        assert max(seconds) < 0.5
        wait_until(lambda: server.readiness()["connections"] <= 2, "they are all closed", IDLE + BODY + SLACK)
    finally:
        for sock in slow:
            sock.close()
    rig.judge()

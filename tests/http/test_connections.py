"""Connections: targets, keep-alive, pipelining, clients that leave, and the end of the server."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import resource
import socket
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from ..support.waiting import eventually
from .serving import ORIGIN, PAGE, MakeSite, Site, Wire, check_common, check_problem, check_receipt, networks, request

pytestmark = pytest.mark.gen_test
HEADERS = [("Content-Type", "application/json"), ("Origin", ORIGIN)]


def posting(site: Site, headers: tuple[tuple[str, str], ...] = (), **fields: object) -> bytes:
    """The bytes of a request that posts a good event."""
    return request("POST", "/v1/events", json.dumps(site.event(**fields)).encode(), [*HEADERS, *headers])


# methods and targets


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
async def test_head_is_get_without_its_body(site: Site, path: str) -> None:
    wire = await site.connect()
    await wire.send(request("HEAD", path, b"", HEADERS) + request("GET", path, b"", HEADERS))
    head = await wire.answer("HEAD")
    get = await wire.answer("GET")
    check_common(head)
    assert head.status == get.status == 200
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert int(head.headers["Content-Length"]) > 0
    wire.close()


@pytest.mark.parametrize("target", ["http://x", "HTTP://collect.example:8080", "https://[::1]:8080"])
async def test_a_target_may_name_scheme_and_host(site: Site, target: str) -> None:
    assert (await site.ask("GET", f"{target}/healthz")).status == 200
    assert (await site.ask("GET", target)).headers["Content-Type"] == "text/html; charset=utf-8"
    assert (await site.ask("GET", f"{target}?x=1")).status == 200
    assert (await site.post(site.event(), f"{target}/v1/events?dry_run=1")).json["outcome"] == "dry_run"
    assert (await site.ask("OPTIONS", f"{target}/v1/events")).status == 204
    check_problem(await site.ask("GET", f"{target}/nowhere"), 404, "not_found")


@pytest.mark.parametrize("target", ["ftp://x/healthz", "http:///healthz", "http://a@x/healthz", "x/healthz", "x:80"])
async def test_a_target_of_another_form_is_nowhere(site: Site, target: str) -> None:
    check_problem(await site.ask("GET", target), 404, "not_found")


# connections


async def test_request_ids_differ(site: Site) -> None:
    ids = {(await site.ask("GET", "/healthz")).headers["X-Request-Id"] for _ in range(5)}
    assert len(ids) == 5


async def test_a_connection_is_kept_from_request_to_request(site: Site) -> None:
    wire = await site.connect()
    for number in range(3):
        await wire.send(posting(site, eventId=str(number)))
        check_receipt(await wire.answer(), "stored")
    await wire.send(request("GET", "/nowhere", b"", HEADERS))
    check_problem(await wire.answer(), 404, "not_found")
    await wire.send(posting(site))
    check_receipt(await wire.answer(), "stored")
    wire.close()


async def test_requests_that_come_at_once_are_answered_in_order(site: Site) -> None:
    wire = await site.connect()
    ids = [f"e-{number}" for number in range(20)]
    await wire.send(b"".join(posting(site, eventId=event_id) for event_id in ids))
    answers = [await wire.answer() for _ in ids]
    assert [check_receipt(answer, "stored")["event_id"] for answer in answers] == ids
    wire.close()


async def test_connection_close_is_heeded(site: Site) -> None:
    wire = await site.connect()
    await wire.send(posting(site, (("Connection", "close"),)))
    answer = await wire.answer()
    check_receipt(answer, "stored")
    assert answer.headers["Connection"] == "close"
    assert await wire.ended()


async def test_an_old_client_is_answered_and_closed(site: Site) -> None:
    wire = await site.connect()
    await wire.send(posting(site).replace(b"HTTP/1.1", b"HTTP/1.0"))
    check_receipt(await wire.answer(), "stored")
    assert await wire.ended()


async def test_who_asks_whether_to_go_on_is_told_to(site: Site) -> None:
    head, _, body = posting(site, (("Expect", "100-continue"),)).partition(b"\r\n\r\n")
    wire = await site.connect()
    await wire.send(head + b"\r\n\r\n")
    assert (await wire.answer()).status == 100
    await wire.send(body)
    check_receipt(await wire.answer(), "stored")
    wire.close()


async def test_who_asks_whether_to_go_on_with_far_too_much_is_told_that_at_once(site: Site) -> None:
    wire = await site.connect()
    too_much = [*HEADERS, ("Expect", "100-continue"), ("Content-Length", str(10**9))]
    await wire.send(request("POST", "/v1/events", b"", too_much))
    check_problem(await wire.answer(), 413, "too_large")
    wire.close()


@pytest.mark.parametrize(
    "start",
    [
        b"nonsense\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 6\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 17_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
    ],
)
async def test_what_is_no_http_ends_its_connection_and_nothing_else(site: Site, start: bytes) -> None:
    wire = await site.connect()
    await wire.send(start)
    async with asyncio.timeout(10):
        said = await wire.reader.read()
    assert said in (b"",) or said.startswith(b"HTTP/1.1 4")
    wire.close()
    assert site.application.in_flight == 0
    check_receipt(await site.post(site.event()), "stored")
    assert len(site.storage.events) == 1


async def test_more_headers_than_anybody_needs_are_not_taken_apart(site: Site) -> None:
    """They would cost time that is charged to nobody."""
    for headers, status in ((200, b"HTTP/1.1 200"), (1_000, b"HTTP/1.1 400")):
        wire = await site.connect()
        many = b"".join(b"X-%d: 1\r\n" % number for number in range(headers))
        await wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + many + b"\r\n")
        async with asyncio.timeout(10):
            assert (await wire.reader.read()).startswith(status)
        wire.close()


# clients that leave, and slow ones


async def test_a_client_that_leaves_before_its_request_is_whole_leaves_nothing_behind(site: Site) -> None:
    wire = await site.connect()
    await wire.send(posting(site)[:-10])
    await eventually(lambda: site.application.in_flight == 1, "the request has begun")
    wire.close()
    await eventually(lambda: site.application.in_flight == 0, "the request is given up")
    await eventually(lambda: not site.application.connections, "the connection is gone")
    assert site.storage.events == []
    check_receipt(await site.post(site.event()), "stored")


async def test_little_is_read_ahead_of_the_present_request(site: Site) -> None:
    site.sink.gate.clear()
    wire = await site.connect()
    requests = [posting(site, eventId=f"e-{n}", page_title="x" * 1000) for n in range(200)]
    sent = asyncio.ensure_future(wire.send(b"".join(requests)))
    await eventually(lambda: site.sink.waiting, "the first event waits to be stored")
    (connection,) = site.application.connections
    for _ in range(100):
        assert connection.stream._read_buffer_size <= 64 * 1024 + 4096
        await asyncio.sleep(0)
    site.sink.gate.set()
    for _ in requests:
        check_receipt(await wire.answer(), "stored")
    await sent
    assert [one.event_id for one in site.storage.events] == [f"e-{n}" for n in range(200)]


async def test_a_client_that_leaves_before_its_answer_has_its_event_stored_once(site: Site) -> None:
    site.sink.gate.clear()
    wire = await site.connect()
    await wire.send(posting(site, eventId="e-1"))
    await eventually(lambda: site.sink.waiting, "the event waits to be stored")
    wire.close()
    await eventually(lambda: not site.application.connections, "the connection is gone")
    site.sink.gate.set()
    await eventually(lambda: site.storage.events, "the event is stored")
    await eventually(lambda: site.application.in_flight == 0, "the request is over")
    check_receipt(await site.post(site.event(eventId="e-1")), "duplicate")


async def test_a_request_that_finds_no_memory_ends_its_connection_and_leaves_nothing_behind(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever can't be made for lack of memory between a request's last byte and its task."""
    now, full = site.clock.now, True

    def no_memory() -> datetime:
        if full:
            raise MemoryError
        return now()

    monkeypatch.setattr(site.clock, "now", no_memory)
    wire = await site.connect()
    await wire.send(posting(site))
    assert await wire.ended()
    await eventually(lambda: site.application.in_flight == 0, "the request is over")
    assert site.application.memory.held == 0
    full = False
    check_receipt(await site.post(site.event()), "stored")


async def test_a_client_that_sends_no_request_in_time_is_closed(site: Site) -> None:
    silent, slow, idle = [await site.connect() for _ in range(3)]
    await slow.send(b"POST /v1/events HTT")
    await idle.send(posting(site))
    check_receipt(await idle.answer(), "stored")
    await eventually(lambda: len(site.application.connections) == 3, "all are connected")
    site.clock.advance(timedelta(seconds=66))
    for wire in (silent, slow, idle):
        assert await wire.ended()
    assert not site.application.connections


@pytest.mark.parametrize("more", [b"", b"x" * 5, b"x" * 200_000], ids=["nothing", "a part", "more than all"])
async def test_a_client_whose_body_does_not_come_in_time_is_told_so_and_closed(site: Site, more: bytes) -> None:
    wire = await site.connect()
    await wire.send(posting(site)[:-10])
    await eventually(lambda: site.application.in_flight == 1, "the request has begun")
    site.clock.advance(timedelta(seconds=21))
    await eventually(lambda: site.application.in_flight == 0, "the request is given up")
    await wire.send(more)
    answer = await wire.answer()
    check_problem(answer, 408, "unavailable")
    assert answer.headers["Connection"] == "close"
    assert await wire.ended()
    site.clock.advance(timedelta(seconds=3))
    await eventually(lambda: not site.application.connections, "the connection is gone")
    assert site.storage.events == []
    assert site.application.memory.held == 0


async def test_a_client_that_does_not_take_its_answer_in_time_is_closed(site: Site) -> None:
    events = [site.event(event_data={f"k{n}": "x" * 1900 for n in range(20)}) for _ in range(50)]
    asking = request("POST", "/v1/batch?dry_run=1", json.dumps(events).encode(), HEADERS)
    wire = await site.connect()
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await eventually(lambda: site.application.connections, "it is connected")
    for connection in site.application.connections:
        connection.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    await wire.send(asking)
    await eventually(lambda: site.application.in_flight == 0, "the answer is on its way")
    await asyncio.sleep(1.1)
    assert site.application.connections, "there was no time to take it yet"
    site.clock.advance(timedelta(seconds=21))
    await eventually(lambda: not site.application.connections, "the connection is closed")


async def test_answers_that_nobody_takes_find_no_more_room_than_bodies(make_site: MakeSite) -> None:
    site = await make_site(receive_bytes=7 * 1024 * 1024)
    events = [site.event(event_data={f"k{n}": "x" * 1900 for n in range(20)}) for _ in range(50)]
    packed = gzip.compress(json.dumps(events).encode())
    asking = request("POST", "/v1/batch?dry_run=1", packed, [*HEADERS, ("Content-Encoding", "gzip")])
    wires = []
    for number in (1, 2):
        wires.append(await site.connect())
        wires[-1].writer.transport.pause_reading()  # type: ignore[attr-defined]
        await eventually(lambda number=number: len(site.application.connections) == number, "it is connected")
        for connection in site.application.connections:
            connection.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await wires[-1].send(asking)
        await eventually(lambda: site.application.memory.held > 1_900_000, "the first answer is counted")
    await eventually(lambda: len(site.application.connections) == 1, "there is no room for the second")
    check_receipt(await site.post(site.event()), "stored")
    wires[0].close()
    await eventually(lambda: site.application.memory.held == 0, "it is given back")


async def test_a_client_that_waits_for_us_is_not_closed(site: Site) -> None:
    site.sink.gate.clear()
    wire = await site.connect()
    await wire.send(posting(site))
    await eventually(lambda: site.sink.waiting, "the event waits to be stored")
    silent = await site.connect()
    await eventually(lambda: len(site.application.connections) == 2, "both are connected")
    site.clock.advance(timedelta(seconds=100))
    assert await silent.ended()  # so there was a look at all connections
    site.sink.gate.set()
    check_receipt(await wire.answer(), "stored")


# the end


async def ending(site: Site) -> asyncio.Task[None]:
    """The server is told to end, and its socket is closed."""
    task = asyncio.ensure_future(site.drain(grace=0.05, at_most=10))
    await asyncio.sleep(0)
    return task


async def test_the_end_waits_for_what_is_in_flight(site: Site) -> None:
    site.sink.gate.clear()
    wires = [await site.connect() for _ in range(3)]
    for wire in wires:
        await wire.send(posting(site))
    await eventually(lambda: site.sink.waiting == 3, "all wait to be stored")
    ended = await ending(site)
    with pytest.raises(ConnectionRefusedError):
        await site.connect()
    assert not ended.done()
    site.sink.gate.set()
    for wire in wires:
        check_receipt(await wire.answer(), "stored")
        assert await wire.ended()
        wire.close()
    async with asyncio.timeout(10):
        await ended


async def test_the_end_takes_what_waits_in_the_socket_s_queue(site: Site) -> None:
    """Connections that the kernel has taken and the server has not: closing the socket would reset them."""
    waiting: list[Wire] = []
    # between here and `ending` the event loop never gets to accept: connecting blocks it
    sockets = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(30)]
    for sock in sockets:
        sock.sendall(posting(site))
    ended = await ending(site)
    for sock in sockets:
        reader, writer = await asyncio.open_connection(sock=sock)
        waiting.append(Wire(reader, writer))
    for wire in waiting:
        answer = await wire.answer()
        check_receipt(answer, "stored")
        assert answer.headers["Connection"] == "close"
        wire.close()
    async with asyncio.timeout(10):
        await ended


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has packet filters")
async def test_the_end_resets_no_connection_however_late_it_is_made(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that connects between the last look at the queue and the closing of the socket."""
    came: list[socket.socket | None] = []
    accept = site.server._accept

    def accept_then_connect(listening: socket.socket) -> bool:
        more = accept(listening)
        try:
            came.append(socket.create_connection(("127.0.0.1", site.port), timeout=0.05))
        except TimeoutError:
            came.append(None)
        return more

    monkeypatch.setattr(site.server, "_accept", accept_then_connect)
    async with asyncio.timeout(10):
        await site.drain(grace=0.05, at_most=10)
    assert came
    for sock in filter(None, came):
        with sock:
            assert sock.recv(1) == b""  # closed, not reset


async def test_the_end_without_a_descriptor_takes_the_queue_when_there_are_some_again(site: Site) -> None:
    sockets = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(3)]
    for sock in sockets:
        sock.sendall(posting(site))
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, usual[1]))
    try:
        ended = await ending(site)
        assert not site.application.connections
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
    for sock in sockets:
        wire = Wire(*await asyncio.open_connection(sock=sock))
        check_receipt(await wire.answer(), "stored")
        wire.close()
    async with asyncio.timeout(10):
        await ended


async def test_the_end_closes_a_connection_that_is_idle(site: Site) -> None:
    wire = await site.connect()
    await wire.send(posting(site))
    check_receipt(await wire.answer(), "stored")
    ended = await ending(site)
    assert await wire.ended()
    wire.close()
    async with asyncio.timeout(10):
        await ended


async def test_a_kept_connection_may_post_once_more_at_the_end(site: Site) -> None:
    wire = await site.connect()
    await wire.send(posting(site))
    check_receipt(await wire.answer(), "stored")
    ended = await ending(site)
    await wire.send(posting(site))
    answer = await wire.answer()
    check_receipt(answer, "stored")
    assert answer.headers["Connection"] == "close"
    wire.close()
    async with asyncio.timeout(10):
        await ended


async def test_the_end_does_not_wait_for_ever(site: Site) -> None:
    site.sink.gate.clear()
    wire = await site.connect()
    await wire.send(posting(site, url=PAGE))
    await eventually(lambda: site.sink.waiting == 1, "it waits to be stored")
    async with asyncio.timeout(10):
        await site.drain(grace=0.05, at_most=0.2)
    assert await wire.ended()
    wire.close()


# more connections than there is room for


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Let this process open no descriptor more."""
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), usual[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
        for descriptor in taken:
            os.close(descriptor)


async def test_without_a_descriptor_who_said_nothing_longest_gives_way(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    kept = await site.connect()
    await kept.send(posting(site))
    check_receipt(await kept.answer(), "stored")
    begun = await site.connect()
    await begun.send(posting(site)[:-10])
    await eventually(lambda: site.application.in_flight == 1, "a request has begun")
    longest = await site.connect()
    await eventually(lambda: len(site.application.connections) == 3, "it is connected")
    site.clock.advance(timedelta(seconds=1))
    for _ in range(30):
        await site.connect()
    await eventually(lambda: len(site.application.connections) == 33, "all are connected")
    waiting = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(10)]
    with no_descriptors():
        for sock in waiting:
            sock.sendall(posting(site))
        await eventually(lambda: len(site.storage.events) == 11, "everybody's event is stored")
    await kept.send(posting(site))
    check_receipt(await kept.answer(), "stored")
    await begun.send(posting(site)[-10:])
    check_receipt(await begun.answer(), "stored")
    assert await longest.ended()
    assert [record for record in caplog.records if "descriptor" in record.message] == caplog.records[:1]
    for sock in waiting:
        sock.close()


async def test_an_address_gives_way_to_itself_alone(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catchment.adapters.http.engine.connections.MOST", 20)
    site = await make_site()
    longest = await site.connect()
    await eventually(lambda: site.application.connections, "it is connected")
    site.clock.advance(timedelta(seconds=1))
    wires = [await site.connect() for _ in range(60)]
    await wires[-1].send(posting(site))
    check_receipt(await wires[-1].answer(), "stored")
    assert len(site.application.connections) <= 20
    assert await longest.ended()
    proxied = await make_site(trusted=networks("127.0.0.0/8"))
    [await proxied.connect() for _ in range(30)]
    await eventually(lambda: len(proxied.application.connections) == 30, "a proxy has as many as it likes")

"""Fault 14: more than it can carry, and less than it needs."""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import socket
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from ..support.answers import Answer
from ..support.waiting import wait_until
from .load import connect, event, exchange, new_id, post_once, request_of
from .processes import memory_of
from .rig import BACK, Rig
from .server import Address, Server

DEADLINE = 2.0


def test_ten_times_the_load_it_can_carry_is_refused_in_time_and_bounded(rig: Rig) -> None:
    """More than its database can carry. An open loop: the clients do not wait for one another, as websites do not."""
    proxy = rig.proxy()
    server = rig.serve(rig.through(proxy), COLLECT__DEADLINE=DEADLINE, COLLECT__QUEUE_EVENTS=20)
    rig.post()
    proxy.delay = 0.25
    answers = asyncio.run(_open_loop(rig, server.address, count=1500, rate=500))
    assert 200 in answers, "some of it must be stored"
    assert answers.count(503) > len(answers) // 2, "most of it must be refused"
    assert set(answers) == {200, 503}
    proxy.delay = 0
    assert rig.wait_stores() < BACK
    rig.judge(memory=250 * 2**20)
    assert rig.book.slowest < DEADLINE + 1


async def _open_loop(rig: Rig, address: Address, *, count: int, rate: float) -> list[int]:
    async def one(number: int) -> int:
        await asyncio.sleep(number / rate)
        ids = [new_id()]
        rig.book.sent(ids)
        answer = await post_once(address, request_of(rig.site.browser_key, [event(ids[0])]), 20)
        rig.book.answered(ids, answer)
        return answer.status

    return list(await asyncio.gather(*map(one, range(count))))


def test_more_work_than_its_processor_can_do_is_refused_and_bounded(rig: Rig) -> None:
    """On a database in good health: here it is the checking of events that takes the time. It can carry some ten
    thousands of events a second; 140,000 are sent within half a second, by clients that do not wait."""
    _allow_sockets(2500)
    server = rig.serve(COLLECT__DEADLINE=DEADLINE)
    server.limit(resource.RLIMIT_NOFILE, 4096)
    assert rig.post().code == "stored"
    sent = [[event(new_id()) for _ in range(1 if number % 16 == 0 else 100)] for number in range(1500)]
    health = rig.health()
    before = _processor_seconds(server)
    answers = asyncio.run(_burst(rig, server.address, sent, rate=3000))
    health.stop()  # raises where an answer was missing
    assert len(health.seconds) >= 3
    assert {answer.status for answer in answers} <= {200, 503}, f"{rig.book}"
    spent = _processor_seconds(server) - before
    # By its own processor time: on a busy machine it has less of it before the deadline.
    assert rig.book.codes["stored"] > 1000 * spent, f"what it can carry must be stored all the same: {spent:.1f} s"
    assert rig.book.codes["unavailable"] > 100, "that was not more than it can carry"
    assert rig.wait_stores() < BACK
    wait_until(lambda: server.readiness()["requests_in_flight"] <= 1, "no request is thought to be in flight")
    assert server.readiness()["queue"]["events"] == 0
    rig.judge()
    assert not rig.book.unanswered
    # Counted by the server from a request's last byte on: the client shares its processor, and is late itself.
    text = server.ask("/metrics")[1]
    (answered,) = re.findall(r"^catchment_http_response_seconds_count (\S+)$", text, re.MULTILINE)
    (in_time,) = re.findall(r'^catchment_http_response_seconds_bucket{le="2.5"} (\S+)$', text, re.MULTILINE)
    assert float(answered) >= len(sent)
    assert in_time == answered, "refusals came long after the deadline"


def _processor_seconds(server: Server) -> float:
    """Return how much processor time the server has used, which its neighbours do not change."""
    times = psutil.Process(server.process.pid).cpu_times()
    return float(times.user + times.system)


async def _burst(rig: Rig, address: Address, sent: list[list[dict[str, Any]]], *, rate: float) -> list[Answer]:
    """The answers to requests on connections that are there already, so many a second, whatever is answered."""
    requests = [request_of(rig.site.browser_key, events) for events in sent]
    connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    while len(connections) < len(requests):
        at_once = min(50, len(requests) - len(connections))
        connections += await asyncio.gather(*(connect(address) for _ in range(at_once)))

    async def one(number: int) -> Answer:
        await asyncio.sleep(number / rate)
        return await exchange(*connections[number], requests[number])

    ids = [[one["eventId"] for one in events] for events in sent]
    for some in ids:
        rig.book.sent(some)
    try:
        async with asyncio.timeout(60):
            answers = await asyncio.gather(*map(one, range(len(requests))))
    finally:
        for _, writer in connections:
            writer.close()
    for some, answer in zip(ids, answers, strict=True):
        rig.book.answered(some, answer)
    return answers


def test_the_queue_is_bounded_in_bytes(rig: Rig) -> None:
    server = rig.serve(COLLECT__DEADLINE=DEADLINE, COLLECT__QUEUE_BYTES=300_000)
    rig.post()
    large = {"event_data": {f"key{n}": "x" * 1900 for n in range(20)}}
    with rig.locked("catchment.event"):
        answers = rig.post_at_once([[event(new_id(), **large)] for _ in range(100)])
    assert {answer.status for answer in answers} == {503}
    assert min(answer.seconds for answer in answers) < 1, "those that find it full are told so at once"
    assert rig.wait_stores() < BACK
    rig.judge()
    assert server.running


def test_little_memory_costs_requests_and_not_the_server(rig: Rig) -> None:
    """As much address space as it has, and a little more: what can't even be read can't be answered."""
    server = rig.serve(HTTP__DRAIN_SECONDS=3)
    load = rig.load(clients=8, rate=100)
    load.wait_for(10)
    address_space = int(_status_of(server.process.pid, "VmSize")) * 1024
    server.limit(resource.RLIMIT_AS, address_space + 16 * 2**20)
    large = {"event_data": {f"key{n}": "x" * 1900 for n in range(20)}}
    rig.post_at_once([[event(new_id(), **large) for _ in range(40)] for _ in range(20)])
    server.limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
    wait_until(lambda: not server.running or server.status("/readyz") == 200, "it works again, or has ended", 20)
    if server.running:
        load.wait_for(10, within=BACK)
        load.settle()
        wait_until(lambda: server.readiness()["requests_in_flight"] <= 1, "no request is thought to be in flight")
        server.ask_to_stop()
        assert server.ended(within=10) == 0
    else:  # it died of it: who looks after it is told so, and starts it again
        assert server.ended() != 0
        rig.serve()
        load.settle()
    # an error in the middle of a request is answered by somebody who does not know its events any more
    rig.book.wrong = [wrong for wrong in rig.book.wrong if "names other event ids" not in wrong]
    rig.judge()


def _status_of(pid: int, name: str) -> str:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(line.split()[1] for line in status if line.startswith(f"{name}:"))


def test_few_descriptors_cost_those_who_say_nothing(rig: Rig) -> None:
    server = rig.serve()

    assert rig.post().code == "stored"
    server.limit(resource.RLIMIT_NOFILE, 64)
    with _idle_sockets(server.address, 100):
        wait_until(lambda: "those idle the longest are closed" in server.log_text(), "idle ones give way")
        for _ in range(20):
            assert rig.post().code == "stored"
        for _ in range(3):  # the database's sessions are lost, and others take their descriptors
            rig.terminate_sessions()
            answer = rig.post()
            assert answer.status in (200, 503)
            assert answer.seconds < BACK
    assert rig.wait_stores() < BACK
    wait_until(lambda: server.readiness()["database"]["announcements"], "it hears of changes again", BACK + 5)
    rig.judge()
    assert server.running


def test_more_sockets_than_select_can_name_do_not_keep_the_database_away(rig: Rig) -> None:
    """aiopg asks `select()`, which raises for descriptors of 1,024 and above: a query hung until its timeout."""
    _allow_sockets(2500)
    server = rig.serve()
    server.limit(resource.RLIMIT_NOFILE, 4096)
    assert rig.post().code == "stored"
    with _idle_sockets(server.address, 1100):
        wait_until(lambda: server.readiness()["connections"] >= 1100, "all of them are connected")
        for _ in range(3):
            rig.terminate_sessions()
            assert rig.wait_stores() < BACK
            wait_until(lambda: server.readiness()["database"]["announcements"], "it hears of changes again", BACK + 5)
        assert rig.post(key=rig.other_site.browser_key).code == "stored"
        rig.cluster.kill()
        rig.cluster.start()
        assert rig.wait_stores() < BACK
        started = time.monotonic()
        assert server.status("/healthz") == 200
        assert time.monotonic() - started < 0.5
    rig.judge()
    assert rig.book.slowest < BACK + 1


def test_many_idle_sockets_take_little_memory(rig: Rig) -> None:
    _allow_sockets(2500)
    server = rig.serve()
    server.limit(resource.RLIMIT_NOFILE, 4096)
    rig.post()
    before = memory_of(server.process)
    with _idle_sockets(server.address, 2000):
        wait_until(lambda: server.readiness()["connections"] >= 2000, "all of them are connected")
        assert memory_of(server.process) - before < 100 * 2**20
    wait_until(lambda: server.readiness()["connections"] < 10, "their ends are seen")
    rig.judge()


def _allow_sockets(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            pytest.skip(f"this machine allows {hard} descriptors, and {count} are needed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


@contextlib.contextmanager
def _idle_sockets(address: Address, count: int) -> Iterator[None]:
    with contextlib.ExitStack() as sockets:
        for _ in range(count):
            sockets.enter_context(socket.create_connection(address, timeout=5))
        yield

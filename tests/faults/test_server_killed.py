"""Faults 5, 6 and 16: the server is killed or restarted, or the client is gone."""

from __future__ import annotations

import os
import random
import signal
import socket

import psutil
import pytest

from ..support.waiting import wait_until
from .load import event, new_id, request_of
from .processes import family
from .rig import KILLS, Rig
from .server import Server


@pytest.mark.at_most(60 + 8 * KILLS)
def test_no_acknowledged_event_is_lost_when_the_server_is_killed_again_and_again(rig: Rig) -> None:
    server = rig.serve()
    load = rig.load()
    chance = random.Random(2)
    for _ in range(KILLS):
        load.wait_for(chance.randrange(1, 80))
        server.kill()
        server.close()
        server = rig.serve()
    load.settle()
    rig.judge()


def test_killed_workers_are_replaced_and_cost_no_event(rig: Rig) -> None:
    server = rig.serve(workers=2)
    load = rig.load()
    for _ in range(3):
        load.wait_for(50)
        before = {worker.pid for worker in family(server.process)}
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda before=before: len({w.pid for w in family(server.process)} - before) == 1, "a new worker")
    load.settle()
    rig.judge()
    assert server.running


def test_workers_do_not_outlive_their_parent(rig: Rig) -> None:
    """They would hold the port, and answer for an installation that nobody looks after any more."""
    server = rig.serve(workers=2)
    workers = family(server.process)
    server.process.kill()
    server.process.wait(10)
    try:
        wait_until(lambda: not any(map(_lives, workers)), "the workers end as well", 20)
    finally:
        for worker in filter(_lives, workers):
            worker.kill()
    rig.judge()


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("workers", [1, 2])
def test_a_rolling_restart_cuts_and_loses_no_request(rig: Rig, workers: int) -> None:
    """Two servers behind a balancer that tries the other one where one refuses a connection."""
    old = [rig.serve(workers=workers), rig.serve(workers=workers)]
    load = rig.load(clients=32)
    for turn in range(4):
        load.wait_for(100)
        new = rig.serve(workers=workers)
        old[turn % 2].ask_to_stop()
        assert old[turn % 2].ended() == 0
        old[turn % 2] = new
    load.wait_for(50)
    load.settle()
    rig.judge()
    assert not rig.book.unanswered, "requests were cut"
    assert set(rig.book.codes) == {"stored"}, "requests were refused"


@pytest.mark.parametrize("workers", [1, 2])
def test_what_waits_in_the_sockets_queue_is_answered_before_the_end(rig: Rig, workers: int) -> None:
    """Connections that no worker has accepted yet, each with its request: closing the socket would reset them."""
    server = rig.serve(workers=workers)
    signal_workers(server, signal.SIGSTOP)
    waiting = []
    try:
        for _ in range(20):
            ids = [new_id()]
            sock = socket.create_connection(server.address, timeout=15)
            sock.sendall(request_of(rig.site.browser_key, [event(ids[0])]))
            waiting.append((ids, sock))
        server.ask_to_stop()
        signal_workers(server, signal.SIGCONT)
        answers = [sock.recv(65536) for _, sock in waiting]
    finally:
        for _, sock in waiting:
            sock.close()
    assert [answer[9:12] for answer in answers] == [b"200"] * 20, "connections that waited were cut"
    assert all(b'"stored"' in answer for answer in answers)
    rig.book.acknowledged.update(ids[0] for ids, _ in waiting)
    assert server.ended() == 0
    rig.judge()


def signal_workers(server: Server, number: signal.Signals) -> None:
    for pid in [worker.pid for worker in family(server.process)] or [server.process.pid]:
        os.kill(pid, number)


def test_a_request_in_flight_is_answered_before_the_end(rig: Rig) -> None:
    server = rig.serve()
    load = rig.load(clients=4, rate=50, again=False)
    load.wait_for(5)
    with rig.locked("catchment.event"):
        rig.wait_for_sessions("Lock")
        server.ask_to_stop()
        wait_until(lambda: server.status("/healthz") == 0, "no connection is taken any more")
    assert server.ended() == 0
    load.stop()
    rig.judge()
    assert not rig.book.unanswered


def test_an_event_whose_client_is_gone_is_stored_and_its_retry_a_duplicate(rig: Rig) -> None:
    server = rig.serve()
    sent = [event(new_id()) for _ in range(20)]
    rig.book.sent([one["eventId"] for one in sent])
    rig.book.lost([one["eventId"] for one in sent])
    for number, one in enumerate(sent):
        with socket.create_connection(server.address, timeout=5) as sock:
            sock.sendall(request_of(rig.site.browser_key, [one]))
            if number % 2:  # a reset instead of an end
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                wait_until(lambda one=one: rig.stored(one["eventId"]), "the event is stored")
        wait_until(lambda one=one: rig.stored(one["eventId"]), "the event is stored")
    assert {rig.post(one).code for one in sent} == {"duplicate"}
    rig.judge()


def test_an_event_whose_client_leaves_while_it_is_written_is_stored_once(rig: Rig) -> None:
    server = rig.serve()
    assert rig.post().code == "stored"
    sent = event(new_id())
    rig.book.sent([sent["eventId"]])
    rig.book.lost([sent["eventId"]])
    with rig.locked("catchment.event"):
        with socket.create_connection(server.address, timeout=5) as sock:
            sock.sendall(request_of(rig.site.browser_key, [sent]))
            rig.wait_for_sessions("Lock")
        assert rig.post(sent, timeout=10).status == 503  # the first one still waits, and so does its retry
    wait_until(lambda: rig.stored(sent["eventId"]) == 1, "the event is stored")
    assert rig.post(sent).code == "duplicate"
    rig.judge()

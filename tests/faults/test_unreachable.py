"""Fault 7: PostgreSQL is frozen, stopped, or behind a network that swallows everything."""

from __future__ import annotations

import signal
import statistics
import time

import pytest

from ..support.waiting import wait_until
from .load import event, new_id
from .proxy import Proxy
from .rig import BACK, Rig

DEADLINE = 2.0
LATE = 0.5
"""Seconds after its deadline by which an answer must be there, on a busy machine."""


@pytest.fixture
def proxy(rig: Rig) -> Proxy:
    return rig.proxy()


def test_a_frozen_postgresql_is_answered_503_by_the_deadline(rig: Rig) -> None:
    rig.serve(COLLECT__DEADLINE=DEADLINE)
    load = rig.load(clients=8, rate=40)
    load.wait_for(10)
    health = rig.health()
    rig.cluster.freeze()
    refused = rig.book.codes["unavailable"] + rig.book.codes["commit_unknown"]
    wait_until(
        lambda: rig.book.codes["unavailable"] + rig.book.codes["commit_unknown"] > refused + 40, "many are answered 503"
    )
    rig.cluster.thaw()
    load.wait_for(10, within=BACK)
    health.judge()
    load.settle()
    rig.judge()
    assert not rig.book.unanswered
    assert rig.book.slowest < DEADLINE + LATE


def test_a_black_hole_is_answered_503_by_the_deadline(rig: Rig, proxy: Proxy) -> None:
    server = rig.serve(rig.through(proxy), COLLECT__DEADLINE=DEADLINE)
    load = rig.load(clients=8, rate=40)
    load.wait_for(10)
    health = rig.health()
    proxy.silent = True
    wait_until(lambda: server.status("/readyz") == 503, "the server is not ready", 3 * DEADLINE + BACK)
    proxy.silent = False
    load.wait_for(10, within=BACK)
    wait_until(lambda: server.status("/readyz") == 200, "the server is ready", BACK)
    health.judge()
    load.settle()
    rig.judge()
    assert not rig.book.unanswered
    assert rig.book.slowest < DEADLINE + LATE


def test_a_key_that_was_not_looked_up_yet_waits_no_longer_than_the_deadline(rig: Rig, proxy: Proxy) -> None:
    """The look-up is a query of its own, on other sessions, which must be made first."""
    rig.serve(rig.through(proxy), COLLECT__DEADLINE=DEADLINE)
    assert rig.post().code == "stored"
    proxy.silent = True
    ids = [new_id() for _ in range(8)]
    key = rig.other_site.browser_key
    keys = [key, rig.other_site.server_key, rig.site.server_key]  # more of them than sessions that look them up
    answers = [rig.post(event(one), key=key) for one in ids[:2]]
    answers += rig.post_at_once([[event(one)] for one in ids[2:]], keys=keys)
    assert [answer.status for answer in answers] == [503] * len(ids)
    assert max(answer.seconds for answer in answers) < DEADLINE + LATE
    proxy.silent = False
    rig.wait_stores()
    assert {rig.post(event(one), key=key).status for one in ids} == {200}
    rig.judge()


def test_a_postgresql_that_is_stopped_is_said_at_once(rig: Rig) -> None:
    server = rig.serve()
    load = rig.load(clients=8, rate=100)
    load.wait_for(10)
    health = rig.health()
    rig.cluster.stop(signal.SIGINT)
    wait_until(lambda: server.status("/readyz") == 503, "the server is not ready")
    seconds = [rig.post().seconds for _ in range(50)]
    assert statistics.median(seconds) < 0.05
    assert max(seconds) < 0.5
    rig.cluster.start()
    load.wait_for(10, within=BACK)
    health.judge()
    load.settle()
    rig.judge()
    assert not rig.book.unanswered


def test_an_idle_server_knows_that_its_database_is_gone(rig: Rig) -> None:
    """And is not ready: a balancer would send it events that it can't store."""
    server = rig.serve()
    assert rig.post().code == "stored"
    rig.cluster.stop(signal.SIGINT)
    wait_until(lambda: server.status("/readyz") == 503, "the server is not ready", BACK)
    rig.cluster.start()
    wait_until(lambda: server.status("/readyz") == 200, "the server is ready", BACK)
    assert rig.post().code == "stored"
    rig.judge()


def test_a_server_that_starts_without_its_database_says_so_and_ends(rig: Rig) -> None:
    rig.cluster.stop(signal.SIGINT)
    with pytest.raises(AssertionError, match=r"the server ended with 1: catchment: no connection with the database"):
        rig.serve()
    rig.cluster.start()
    rig.serve()
    assert rig.post().code == "stored"
    rig.judge()


def test_a_server_stops_in_time_while_its_database_is_frozen(rig: Rig) -> None:
    server = rig.serve(COLLECT__DEADLINE=DEADLINE, HTTP__DRAIN_SECONDS=4)
    load = rig.load(clients=4, rate=20, again=False)
    load.wait_for(5)
    rig.cluster.freeze()
    started = time.monotonic()
    server.ask_to_stop()
    assert server.ended(within=15) == 0
    assert time.monotonic() - started < 10
    load.stop()
    rig.cluster.thaw()
    rig.judge()
    assert not rig.book.unanswered, f"{rig.book} {server.log_text()}"


def test_a_slow_network_is_no_fault(rig: Rig, proxy: Proxy) -> None:
    rig.serve(rig.through(proxy))
    proxy.delay = 0.1
    load = rig.load()
    load.wait_for(300, within=30)
    load.settle()
    rig.judge()
    assert set(rig.book.codes) == {"stored"}

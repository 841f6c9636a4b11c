"""Faults 1 to 3: PostgreSQL, or a part of it, is killed, terminated or restarted."""

from __future__ import annotations

import random
import signal

import psutil
import pytest

from ..support.waiting import wait_until
from .load import event, new_id
from .postgres import ROLE
from .rig import BACK, DEADLINE, KILLS, Rig


@pytest.mark.at_most(60 + 8 * KILLS)
def test_no_acknowledged_event_is_lost_when_postgresql_is_killed_again_and_again(rig: Rig) -> None:
    rig.serve()
    load = rig.load()
    chance = random.Random(1)
    for _ in range(KILLS):
        load.wait_for(chance.randrange(1, 80))
        rig.cluster.kill()
        rig.cluster.start()
    load.settle()
    rig.judge()
    assert rig.servers[0].running


def test_the_server_asks_for_commits_that_are_on_disk(rig: Rig) -> None:
    """The cluster's default is `synchronous_commit = off`: a session that stores tells what it has instead."""
    rig.serve()
    rig.execute("CREATE TABLE public.seen (setting text); GRANT ALL ON public.seen TO public")
    rig.before_each_event("INSERT INTO public.seen VALUES (current_setting('synchronous_commit'))")
    assert rig.post().code == "stored"
    rig.terminate_sessions()
    rig.wait_stores()
    settings = {setting for (setting,) in rig.execute("SELECT setting FROM public.seen")}
    assert settings == {"on"}, "commits are answered that are not on disk"
    rig.judge()


def test_a_killed_backend_costs_seconds_and_no_event(rig: Rig) -> None:
    """PostgreSQL ends all sessions and recovers, when one of its processes is killed."""
    rig.serve()
    load = rig.load()
    load.wait_for(50)
    (pid,) = rig.execute("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'catchment writer%%' LIMIT 1")[0]
    psutil.Process(pid).kill()
    rig.wait_answers()
    load.wait_for(50, within=BACK)
    load.settle()
    rig.judge()
    assert rig.book.slowest < DEADLINE


def test_idle_sessions_that_are_terminated_cost_no_event(rig: Rig) -> None:
    rig.serve()
    assert rig.post().code == "stored"
    for _ in range(5):
        rig.terminate_sessions()
        assert rig.wait_stores() < BACK
    rig.judge()
    assert rig.book.slowest < DEADLINE


def test_a_busy_session_that_is_terminated_costs_no_event(rig: Rig) -> None:
    rig.serve()
    load = rig.load()
    load.wait_for(20)
    for _ in range(3):
        with rig.locked("catchment.event"):
            rig.wait_for_sessions("Lock")
            rig.terminate_sessions()
        load.wait_for(20, within=BACK)
    load.settle()
    rig.judge()
    assert rig.book.slowest < DEADLINE


def test_a_request_whose_session_is_terminated_is_answered_at_once(rig: Rig) -> None:
    """And not left hanging: aiopg's pool woke nobody who waited for a busy connection that died."""
    rig.serve()
    load = rig.load(clients=8, rate=100, again=False)
    load.wait_for(10)
    with rig.locked("catchment.event"):
        rig.wait_for_sessions("Lock")
        rig.terminate_sessions()
        rig.wait_for_sessions("Lock")  # the writers are back, with new requests
    load.wait_for(10)
    load.stop()
    rig.judge()
    assert not rig.book.unanswered
    assert rig.book.codes["commit_unknown"] > 0


def test_what_waits_when_the_database_goes_is_answered_at_once(rig: Rig) -> None:
    """Those in the queue as well as those that are being written: nobody is forgotten."""
    rig.serve(DATABASE__WRITERS=1)
    load = rig.load(clients=32, again=False)
    load.wait_for(20)
    with rig.locked("catchment.event"):
        rig.wait_for_sessions("Lock")
        wait_until(lambda: rig.servers[0].readiness()["queue"]["events"] > 10, "many wait in the queue")
        rig.cluster.stop(signal.SIGQUIT)
    wait_until(lambda: rig.book.codes["unavailable"] > 50, "they are told so")
    rig.cluster.start()
    load.wait_for(20, within=BACK)
    load.stop()
    rig.judge()
    assert not rig.book.unanswered, "requests that waited were never answered"
    assert rig.book.slowest < DEADLINE


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_a_restart_of_postgresql_costs_no_event(rig: Rig, how: signal.Signals) -> None:
    rig.serve()
    load = rig.load()
    for _ in range(5):
        load.wait_for(50)
        rig.cluster.restart(how)
        load.wait_for(20, within=BACK)
    load.settle()
    rig.judge()
    assert not rig.book.unanswered


def test_a_cancelled_statement_is_told_and_kills_no_writer(rig: Rig) -> None:
    """aiopg turns it into a `CancelledError`, of which a task dies in silence."""
    rig.serve(COLLECT__DEADLINE=2)
    load = rig.load(clients=4, rate=50)
    load.wait_for(5)
    for _ in range(3):
        with rig.locked("catchment.event"):
            rig.wait_for_sessions("Lock")
            rig.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = %s", ROLE)
        load.wait_for(5, within=BACK)
    load.settle()
    rig.judge()
    assert not rig.book.unanswered


def test_two_servers_on_one_database_lose_and_double_nothing_when_it_is_killed(rig: Rig) -> None:
    rig.serve(workers=2)
    rig.serve()
    load = rig.load()
    sent = event(new_id())
    for _ in range(3):
        load.wait_for(50)
        rig.cluster.kill()
        rig.cluster.start()
        # not every worker has found that the database is back when the first one has
        wait_until(lambda: {answer.status for answer in rig.post_at_once([[sent]] * 10)} == {200}, "all are back")
    load.settle()
    assert rig.stored(sent["eventId"]) == 1
    rig.judge()

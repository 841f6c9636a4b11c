"""Faults 4 and 5: the commit is done and its answer lost, or it never reached the database."""

from __future__ import annotations

import pytest

from ..support.waiting import wait_until
from .load import event, new_id
from .proxy import Proxy
from .rig import BACK, DEADLINE, Rig


@pytest.fixture
def proxy(rig: Rig) -> Proxy:
    return rig.proxy()


def test_a_commit_whose_answer_is_lost_is_unknown_and_its_retry_a_duplicate(rig: Rig, proxy: Proxy) -> None:
    rig.serve(rig.through(proxy))
    assert rig.post().code == "stored"
    for _ in range(5):
        sent = event(new_id())
        proxy.to_swallow = 1
        answer = rig.post(sent)
        assert (answer.status, answer.code) == (503, "commit_unknown")
        assert answer.seconds < DEADLINE
        assert rig.stored(sent["eventId"]) == 1
        again = rig.post(sent)
        assert (again.status, again.code) == (200, "duplicate"), f"what is stored is answered {again.code}"
    rig.judge()


def test_the_id_that_a_503_names_is_the_one_that_is_stored(rig: Rig, proxy: Proxy) -> None:
    """An event without an id of its own gets one before the queue: sent again with it, it is stored once."""
    server = rig.serve(rig.through(proxy))
    assert rig.post().code == "stored"
    before = rig.stored()
    proxy.to_swallow = 1
    answer = rig.post_without_id(server)
    assert answer.code == "commit_unknown"
    again = rig.post(event(answer.json["event_id"]))
    assert again.code == "duplicate", f"the id that was named is answered {again.code}"
    assert rig.stored() == before + 1
    rig.judge()


def test_the_ids_that_a_503_names_for_a_batch_are_those_that_are_stored(rig: Rig, proxy: Proxy) -> None:
    server = rig.serve(rig.through(proxy))
    assert rig.post().code == "stored"
    before = rig.stored()
    proxy.to_swallow = 1
    answer = rig.post_without_id(server, count=7)
    assert answer.code == "commit_unknown"
    ids = answer.json["event_ids"]
    again = rig.post(*map(event, ids))
    counts = {name: count for name, count in again.json.items() if name != "results"}
    assert counts["duplicate"] == len(ids) == 7, f"the ids that were named are answered {counts}"
    assert rig.stored() == before + 7
    rig.judge()


def test_an_answer_that_never_comes_is_unknown_by_the_deadline(rig: Rig, proxy: Proxy) -> None:
    rig.serve(rig.through(proxy), COLLECT__DEADLINE=1.5)
    assert rig.post().code == "stored"
    sent = event(new_id())
    proxy.mute, proxy.to_swallow = True, 1
    answer = rig.post(sent)
    assert answer.code == "commit_unknown"
    assert answer.seconds < 2.5
    proxy.mute = False
    assert rig.wait_stores() < BACK
    assert rig.post(sent).code == "duplicate"
    rig.judge()


def test_answers_lost_under_load_double_nothing(rig: Rig, proxy: Proxy) -> None:
    rig.serve(rig.through(proxy))
    load = rig.load()
    for number in range(1, 21):
        load.wait_for(10)
        proxy.to_swallow = 1
        proxy.wait_swallowed(number)
    load.settle()
    rig.judge()
    assert rig.book.codes["commit_unknown"] >= 20
    assert rig.book.codes["duplicate"] >= 20
    assert not rig.book.unanswered


def test_sessions_that_are_cut_under_load_cost_no_event(rig: Rig, proxy: Proxy) -> None:
    rig.serve(rig.through(proxy))
    load = rig.load()
    for _ in range(10):
        load.wait_for(20, within=BACK + 1)
        proxy.cut()
    load.settle()
    rig.judge()
    assert not rig.book.unanswered
    assert rig.book.slowest < DEADLINE


def test_a_server_killed_before_its_commit_has_acknowledged_and_stored_nothing(rig: Rig, proxy: Proxy) -> None:
    server = rig.serve(rig.through(proxy))
    assert rig.post().code == "stored"
    load = rig.load(clients=1, rate=10)
    proxy.to_hold = 1
    proxy.wait_held(1)
    stored = rig.stored()
    server.kill()
    wait_until(lambda: rig.book.unanswered.total() > 0, "the client sees that the connection ended")
    assert rig.stored() == stored
    rig.serve(rig.through(proxy))
    load.settle()
    rig.judge()
    assert rig.book.codes["duplicate"] == 0


def test_a_server_killed_after_its_commit_has_stored_what_the_retry_finds(rig: Rig, proxy: Proxy) -> None:
    server = rig.serve(rig.through(proxy))
    assert rig.post().code == "stored"
    proxy.mute, proxy.to_swallow = True, 1
    load = rig.load(clients=1, rate=10)
    proxy.wait_swallowed(1)
    server.kill()
    proxy.mute = False
    rig.serve(rig.through(proxy))
    load.wait_for(1)
    load.settle()
    rig.judge()
    assert rig.book.codes["duplicate"] >= 1

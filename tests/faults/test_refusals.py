"""Faults 8, 11 and 12: PostgreSQL answers, and refuses: for now, until somebody mends it, or this event alone."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from ..support.waiting import wait_until
from .load import event, new_id
from .postgres import ROLE
from .rig import BACK, Rig

DEADLINE = 2.0


@pytest.mark.parametrize("table", ["event", "event_id", "usage_count"])
def test_a_locked_table_is_answered_503_and_stores_nothing_by_halves(rig: Rig, table: str) -> None:
    rig.serve(COLLECT__DEADLINE=DEADLINE)
    load = rig.load(clients=8, rate=50)
    load.wait_for(10)
    before = rig.stored()
    with rig.locked(f"catchment.{table}"):
        answer = rig.post()
        refused = answer.code in ("unavailable", "commit_unknown")
        assert refused, f"an event that can't be stored is answered {answer.code}"
        assert answer.status == 503
        assert answer.seconds < DEADLINE + 0.5
        if table != "event":  # which nobody can read while it is locked
            before = max(before, rig.stored())
            assert rig.post().status == 503
            assert rig.stored() == before, "events are stored that can't be counted"
    load.wait_for(10, within=BACK)
    load.settle()
    rig.judge()
    assert not rig.book.unanswered


def test_a_look_up_of_a_locked_table_is_answered_503(rig: Rig) -> None:
    rig.serve(COLLECT__DEADLINE=DEADLINE)
    with rig.locked("catchment.key"):
        answer = rig.post(key=rig.other_site.browser_key)
        assert answer.code == "unavailable"
        assert answer.seconds < DEADLINE + 0.5
    rig.wait_stores()
    rig.judge()


def test_a_statement_that_takes_too_long_is_answered_503_and_kills_no_writer(rig: Rig) -> None:
    server = rig.serve(COLLECT__DEADLINE=DEADLINE)
    load = rig.load(clients=8, rate=50)
    load.wait_for(10)
    rig.before_each_event("PERFORM pg_sleep(60)")
    for _ in range(3):
        answer = rig.post()
        assert answer.status == 503
        assert answer.seconds < DEADLINE + 0.5
    rig.no_fault()
    load.wait_for(10, within=BACK + DEADLINE)
    load.settle()
    rig.judge()
    assert not rig.book.unanswered
    assert server.running
    assert server.metric("catchment_database_failures_total", 'sqlstate="57014"') > 0


@pytest.mark.parametrize("of", ["SYSTEM", "DATABASE {database}", f"ROLE {ROLE}"], ids=["server", "database", "role"])
def test_a_database_that_is_read_only_is_answered_503_until_it_is_not(rig: Rig, of: str) -> None:
    """A session keeps what its database and role said when it began: it must be made anew."""
    server = rig.serve()
    assert rig.post().code == "stored"
    target = of.format(database=rig.database)
    rig.execute(f"ALTER {target} SET default_transaction_read_only = on")
    try:
        rig.execute("SELECT pg_reload_conf()")
        rig.terminate_sessions()
        wait_until(lambda: rig.post().status == 503 and _failures(server, "25006"), "it is refused as read-only")
        assert rig.post().code == "unavailable"
    finally:
        rig.execute(f"ALTER {target} RESET default_transaction_read_only")
        rig.execute("SELECT pg_reload_conf()")
    assert rig.wait_stores() < BACK
    rig.judge()
    assert rig.one("SELECT count(*) FROM catchment.quarantine") == 0


def _failures(server: object, sqlstate: str) -> bool:
    return server.metric("catchment_database_failures_total", f'sqlstate="{sqlstate}"') > 0  # type: ignore[attr-defined]


def test_a_database_with_too_many_connections_is_answered_503_until_there_is_room(rig: Rig) -> None:
    server = rig.serve()
    assert rig.post().code == "stored"
    rig.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0")
    try:
        rig.terminate_sessions()
        wait_until(lambda: rig.post().status == 503 and server.status("/readyz") == 503, "it is not ready")
    finally:
        rig.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")
    assert rig.wait_stores() < BACK
    wait_until(lambda: server.status("/readyz") == 200, "it is ready", BACK)
    rig.judge()


@pytest.mark.parametrize("sqlstate", ["53100", "53200", "58030", "40001", "55P03", "57P03", "08006", "25006"])
def test_what_the_database_can_t_do_now_is_sent_again_and_never_taken_for_bad_data(rig: Rig, sqlstate: str) -> None:
    """A full disk (53100) among them, on machines where no disk can be filled up."""
    rig.serve(COLLECT__DEADLINE=0.5)
    sent = [event(new_id()) for _ in range(5)]
    rig.before_each_event(f"RAISE EXCEPTION 'a fault' USING ERRCODE = '{sqlstate}'")
    codes = {rig.post(one).code for one in sent}
    assert codes <= {"unavailable", "commit_unknown"}, f"good events are answered {codes}"
    assert rig.post(*sent).status == 503
    rig.no_fault()
    rig.wait_stores()
    for one in sent:  # a duplicate where the writer tried again by itself
        wait_until(lambda one=one: rig.post(one).status == 200, "it is stored, however slow the disk is")  # type: ignore[misc]
    rig.judge()
    assert rig.one("SELECT count(*) FROM catchment.quarantine") == 0


@pytest.mark.parametrize("sqlstate", ["XX000", "XX001", "42501", "42P01", "0A000", "P0001", "3F000"])
def test_what_an_operator_must_mend_is_held_and_an_alert(rig: Rig, sqlstate: str) -> None:
    server = rig.serve()
    sent = [event(new_id()) for _ in range(5)]
    rig.before_each_event(f"RAISE EXCEPTION 'a fault' USING ERRCODE = '{sqlstate}'")
    assert {rig.post(one).code for one in sent} == {"unavailable"}
    assert sqlstate in server.readiness()["database"]["alert"]
    rig.no_fault()
    assert {rig.post(one).code for one in sent} == {"stored"}
    assert server.readiness()["database"]["alert"] is None
    rig.judge()
    assert rig.one("SELECT count(*) FROM catchment.quarantine") == 0


def test_a_missing_procedure_is_held_and_an_alert_until_it_is_back(rig: Rig) -> None:
    server = rig.serve()
    load = rig.load(clients=8, rate=100)
    load.wait_for(10)
    text = rig.one("SELECT pg_get_functiondef('catchment.log_events'::regproc)")
    rig.execute("DROP FUNCTION catchment.log_events(jsonb)")
    wait_until(lambda: server.readiness()["database"]["alert"], "an operator is alerted")
    assert "42883" in server.readiness()["database"]["alert"]
    assert rig.post().code == "unavailable"
    rig.execute(text)
    load.wait_for(10, within=BACK)
    load.settle()
    rig.judge()
    assert server.readiness()["database"]["alert"] is None
    assert rig.one("SELECT count(*) FROM catchment.quarantine") == 0
    assert '"critical"' in server.log_text()


def test_events_of_a_month_without_a_partition_are_caught_by_the_default_one(rig: Rig) -> None:
    rig.serve()
    load = rig.load()
    load.wait_for(20)
    rig.execute(f"ALTER TABLE catchment.event DETACH PARTITION catchment.{_this_month()}")
    load.wait_for(20, within=BACK)
    assert rig.one("SELECT count(*) FROM catchment.event_default") > 0
    load.settle()
    _put_back(rig)
    rig.judge()


def test_without_any_partition_events_are_held_and_not_taken_for_bad_data(rig: Rig) -> None:
    server = rig.serve()
    assert rig.post().code == "stored"
    rig.execute(f"ALTER TABLE catchment.event DETACH PARTITION catchment.{_this_month()}")
    rig.execute("ALTER TABLE catchment.event DETACH PARTITION catchment.event_default")
    sent = event(new_id())
    assert rig.post(sent).code == "unavailable"
    assert "23514" in server.readiness()["database"]["alert"]
    rig.execute("ALTER TABLE catchment.event ATTACH PARTITION catchment.event_default DEFAULT")
    assert rig.post(sent).code == "stored"
    _put_back(rig)
    rig.judge()
    assert rig.one("SELECT count(*) FROM catchment.quarantine") == 0


def _this_month() -> str:
    return f"event_{datetime.now(UTC):%Y_%m}"


def _put_back(rig: Rig) -> None:
    """The detached partition's rows, so that the oracle sees them."""
    rig.execute(f"INSERT INTO catchment.event SELECT * FROM catchment.{_this_month()}")  # noqa: S608


def _refuse_long_labels(rig: Rig) -> None:
    """An index that an operator made: it holds no text of more than a third of a page (54000)."""
    rig.execute("CREATE INDEX own ON catchment.event (label)")


def _bad_event(chance: random.Random) -> dict[str, Any]:
    """A good event, but for that index. No part of its label repeats, so that nothing makes it shorter."""
    return event(new_id(), event_data={"label": "".join(map(chr, chance.sample(range(0x20000, 0x2A000), 2_000)))})


def test_bad_rows_past_validation_are_refused_alone_and_kept_in_quarantine(rig: Rig) -> None:
    server = rig.serve()
    _refuse_long_labels(rig)
    chance = random.Random(3)
    bad = [_bad_event(chance) for _ in range(3)]
    sent = [event(new_id()) for _ in range(197)]
    for place, one in zip((0, 60, 199), bad, strict=True):
        sent.insert(place, one)
    answer = rig.post(*sent)
    assert {name: answer.json[name] for name in ("stored", "refused")} == {"stored": 197, "refused": 3}
    refused = [receipt for receipt in answer.json["results"] if receipt["outcome"] == "refused"]
    assert [receipt["reason"] for receipt in refused] == ["invalid_event"] * 3
    assert rig.stored() == 197
    assert rig.one("SELECT count(*) FROM catchment.quarantine") == 3
    assert server.metric("catchment_quarantined_events_total") == 3
    assert rig.post(bad[0]).status == 400
    assert rig.post().code == "stored"
    rig.judge()
    labels = [one["event_data"]["label"][:30] for one in bad]
    assert not any(label in text for label in labels for text in (server.log_text(), rig.database_log()))


def test_a_bad_row_hurts_no_other_request_of_its_group(rig: Rig) -> None:
    rig.serve()
    _refuse_long_labels(rig)
    chance = random.Random(4)
    load = rig.load()
    for _ in range(10):
        load.wait_for(20)
        assert rig.post(_bad_event(chance)).code == "invalid_event"
    load.settle()
    rig.judge()
    assert set(rig.book.codes) == {"stored", "invalid_event"}
    assert rig.one("SELECT count(*) FROM catchment.quarantine") == 10

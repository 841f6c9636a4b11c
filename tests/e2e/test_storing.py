"""What is answered is what is stored is what is billed, on every PostgreSQL there is."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2.extras
import pytest

from ..support.database import Database
from ..support.running import BROWSER, ORIGIN, Installation, Project, Serving
from ..support.waiting import wait_until

POSTER = Path(__file__).with_name("poster.py")


def rows_of(database: Database, project: Project) -> int:
    return int(database.one("SELECT count(*) FROM catchment.event WHERE project_id = %s", project.id))


def test_twenty_processes_at_a_hard_quota_leave_exactly_the_quota(
    shared: Installation, shared_database: Database, shared_server: Serving, shared_project: Project
) -> None:
    shared.json("quota", "set", "--project", shared_project.id, "--window", "month", "--hard", "1000")
    client = [sys.executable, "-S", str(POSTER), str(shared_server.port), shared_project.browser_key, ORIGIN]
    posters = [subprocess.Popen([*client, f"p{n}", "200"], stdout=subprocess.PIPE) for n in range(20)]
    became: dict[str, list[str]] = {}
    try:
        for poster in posters:
            said, _ = poster.communicate(timeout=120)
            for outcome, ids in json.loads(said).items():
                became.setdefault(outcome, []).extend(ids)
    finally:
        for poster in posters:
            poster.kill()
            poster.wait()
    assert {outcome: len(ids) for outcome, ids in became.items()} == {"stored": 1000, "quota_exceeded": 3000}
    assert rows_of(shared_database, shared_project) == 1000
    ids = shared_database.execute("SELECT event_id FROM catchment.event WHERE project_id = %s", shared_project.id)
    assert {event_id for (event_id,) in ids} == set(became["stored"])
    assert [one["events"] for one in shared.json("usage", "--project", shared_project.id)] == [1000]
    again = shared_server.post(shared_project.event(eventId=became["stored"][-1]))
    assert (again.status, again.code) == (200, "duplicate")
    refused = shared_server.post(shared_project.event(eventId=became["quota_exceeded"][0]))
    assert (refused.status, refused.code) == (402, "quota_exceeded")
    assert rows_of(shared_database, shared_project) == 1000
    assert shared.json("audit") == {"ok": True, "differences": []}


def test_in_a_batch_no_event_hurts_another(
    shared: Installation, shared_database: Database, shared_server: Serving, shared_project: Project
) -> None:
    batch = [shared_project.event(eventId=f"b-{number}", event_data={"n": number}) for number in range(200)]
    batch[20]["event_name"] = 7
    batch[40]["url"] = "https://evil.example/"
    batch[60]["event_data"] = {"text": "a\x00b\ud800c", "k\x00": 1}
    batch[80]["eventId"] = "b-79"
    reply = shared_server.post(batch, "/v1/batch")
    assert reply.status == 200
    counts = {name: reply.json[name] for name in ("stored", "duplicate", "filtered", "refused")}
    assert counts == {"stored": 197, "duplicate": 1, "filtered": 0, "refused": 2}
    results = reply.json["results"]
    assert (results[20]["reason"], results[40]["reason"]) == ("invalid_event", "origin_not_allowed")
    assert results[80]["outcome"] == "duplicate"
    assert [w["code"] for w in results[60]["warnings"]] == ["characters_replaced", "characters_replaced"]
    assert rows_of(shared_database, shared_project) == 197
    data = shared_database.one(
        "SELECT data FROM catchment.event WHERE project_id = %s AND event_id = 'b-60'", shared_project.id
    )
    assert data == {"text": "a\ufffdb\ufffdc", "k\ufffd": 1}
    assert [one["events"] for one in shared.json("usage", "--project", shared_project.id)] == [197]
    again = shared_server.post(batch, "/v1/batch").json
    assert (again["stored"], again["duplicate"], again["refused"]) == (0, 198, 2)
    assert shared.json("audit")["ok"]


def row_of(database: Database, project: Project) -> dict[str, Any]:
    """The only row of a project, by column."""
    connection = database.connect()
    try:
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute("SELECT * FROM catchment.event WHERE project_id = %s", (project.id,))
            (row,) = cursor.fetchall()
            return dict(row)
    finally:
        connection.close()


def test_every_column_is_filled_that_a_payload_and_a_loopback_address_can_fill(
    shared_database: Database, shared_server: Serving, shared_project: Project
) -> None:
    happened = datetime.now(UTC).replace(microsecond=123_000) - timedelta(minutes=1)
    tags = "utm_source=news&utm_medium=email&utm_campaign=autumn&utm_term=coffee&utm_content=hero"
    event = shared_project.event(
        event_data={
            "category": "CTA",
            "label": "Homepage Hero",
            "value": 1.5,
            "custom_field": "custom value",
            "big": 2**70,
            "nested": {"list": [1, None, True, "\U0001f4a7"]},
        },
        url=f"{ORIGIN}/page?{tags}#top",
        page_title="Home",
        referrer="https://referrer.com/from?x=1",
        language="de-CH",
        sessionId="s-1",
        userId="u-1",
        eventId="e-1",
        timestamp=happened.isoformat().replace("+00:00", "Z"),
    )
    before = datetime.now(UTC)
    reply = shared_server.post(event)
    after = datetime.now(UTC)
    assert reply.json == {"outcome": "stored", "event_id": "e-1", "session_id": "s-1", "warnings": []}
    row = row_of(shared_database, shared_project)
    received_at = row.pop("received_at")
    assert before <= received_at <= after
    assert len(row.pop("visitor")) == 16
    assert row == {
        "project_id": shared_project.id,
        "event_id": "e-1",
        "name": "ButtonClick",
        "category": "CTA",
        "label": "Homepage Hero",
        "value": 1.5,
        "data": {"custom_field": "custom value", "big": 2**70, "nested": {"list": [1, None, True, "\U0001f4a7"]}},
        "session_id": "s-1",
        "user_id": "u-1",
        "url": f"{ORIGIN}/page?{tags}#top",
        "page_title": "Home",
        "page_path": "/page",
        "referrer": "https://referrer.com/from?x=1",
        "referrer_host": "referrer.com",
        "language": "de-CH",
        "user_agent": BROWSER,
        "browser": "Chrome",
        "browser_version": row["browser_version"],
        "os": "Windows",
        "os_version": row["os_version"],
        "device": "desktop",
        "ip": "127.0.0.0",
        "country": None,
        "region": None,
        "city": None,
        "utm_source": "news",
        "utm_medium": "email",
        "utm_campaign": "autumn",
        "utm_term": "coffee",
        "utm_content": "hero",
        "is_bot": False,
        "properties": {},
        "occurred_at": happened,
    }
    assert row["browser_version"].startswith("142")
    assert row["os_version"]


def test_a_server_key_s_event_has_the_place_of_its_address_and_its_own_time(
    shared: Installation, shared_database: Database, shared_server: Serving, shared_project: Project
) -> None:
    key = shared.json("key", "create", shared_project.id, "--kind", "server")["key"]
    event = {"event_name": "Renewal", "ip": "8.8.8.8", "timestamp": "2019-05-06T07:08:09.123456+02:00"}
    reply = shared_server.post(event, Authorization=f"Bearer {key}", User_Agent="curl/8", DNT="1")
    assert (reply.status, reply.code) == (200, "stored")
    row = row_of(shared_database, shared_project)
    assert (row["ip"], row["country"]) == ("8.8.8.0", "US")
    assert row["occurred_at"] == datetime(2019, 5, 6, 5, 8, 9, 123_456, tzinfo=UTC)
    assert (row["user_agent"], row["url"], row["browser"]) == (None, None, None)


@pytest.mark.parametrize("mode", ["hash", "drop", "full"])
def test_what_is_kept_of_an_address_is_the_project_s_to_say(
    shared: Installation, shared_database: Database, shared_server: Serving, shared_project: Project, mode: str
) -> None:
    shared.json("project", "set", shared_project.id, "--privacy", mode)
    wait_until(lambda: dry_run(shared_server, shared_project) != "127.0.0.0", "the server knows")
    assert shared_server.post(shared_project.event()).status == 200
    ip = row_of(shared_database, shared_project)["ip"]
    if mode == "hash":
        assert len(ip) == 32
        assert dry_run(shared_server, shared_project) == ip
    else:
        assert ip == {"drop": None, "full": "127.0.0.1"}[mode]


def dry_run(server: Serving, project: Project) -> str | None:
    """The address as it would be stored."""
    ip: str | None = server.post(project.event(), "/v1/events?dry_run=1").json["row"]["ip"]
    return ip

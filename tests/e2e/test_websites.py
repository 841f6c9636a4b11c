"""What websites and mail use: the script, its versions, the picture, and reports of what was lost."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from urllib.parse import urlencode

import psycopg2
import pytest

from catchment.adapters.http.tracker.handing_out import shipped_scripts
from catchment.adapters.http.tracker.tag import tag, versioned_path
from catchment.config.management import open_management
from catchment.config.settings import load
from catchment.core.accounts.scripts import NAMES, Script

from ..support.running import BROWSER, ORIGIN, Installation, Project, Serving

OLD = Script(name="catchment", content=b"/* as an earlier version was shipped */\n" * 20)


def pin(installation: Installation, project: Project, script: Script) -> None:
    """What an earlier version's `catchment project snippet --sri` did."""

    async def run() -> None:
        async with open_management(
            load(None, {"CATCHMENT_DATABASE__URL": installation.dsn}), installation.dsn
        ) as management:
            await management.snippets.make(project.id, script)

    asyncio.run(run())


def rows(installation: Installation, project: Project, columns: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(psycopg2.connect(installation.dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM catchment.event WHERE project_id = %s", (project.id,))  # noqa: S608
        return list(cursor.fetchall())


@pytest.mark.parametrize("name", NAMES)
def test_the_script_of_this_installation_is_served(shared_server: Serving, name: str) -> None:
    """Where it was built; else the answer says how to."""
    script = shipped_scripts().get(name)
    answer = shared_server.get(f"/{name}.js")
    if script is None:
        assert answer.status == 404
        assert "make assets" in answer.json["detail"]
    else:
        assert (answer.status, answer.body) == (200, script.content)
        assert shared_server.get(versioned_path(script)).body == script.content


@pytest.mark.parametrize("name", NAMES)
def test_a_pinned_tag_is_printed_and_its_address_answers(
    shared: Installation, shared_server: Serving, shared_project: Project, name: str
) -> None:
    options = ["--plus"] if name.endswith("plus") else []
    done = shared.run("project", "snippet", shared_project.id, "--sri", *options)
    script = shipped_scripts().get(name)
    if script is None:
        assert done.returncode == 1
        assert "make assets" in done.stderr
        return
    address = f"http://localhost:8080{versioned_path(script)}"
    assert done.stdout.strip() == tag(address, shared_project.browser_key, script.integrity)
    answer = shared_server.get(versioned_path(script))
    assert (answer.status, answer.body) == (200, script.content)


def test_the_short_tag_needs_no_script(shared: Installation, shared_project: Project) -> None:
    found = shared.json("project", "snippet", shared_project.id)
    assert found["snippet"] == tag("http://localhost:8080/catchment.js", shared_project.browser_key)


def test_a_version_that_was_handed_out_is_served_by_every_server_from_then_on(
    installation: Installation, project: Project
) -> None:
    pin(installation, project, OLD)
    for _ in range(2):
        with installation.serving(workers=2) as server:
            answer = server.get(versioned_path(OLD))
            assert (answer.status, answer.body) == (200, OLD.content)
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert server.get("/catchment.0123456789abcdef.js").status == 404


def test_a_picture_in_a_mail_is_an_event(shared: Installation, shared_server: Serving, shared_project: Project) -> None:
    fields = {
        "k": shared_project.browser_key,
        "n": "MailOpened",
        "u": f"{ORIGIN}/mails/17?utm_campaign=autumn",
        "t": "Herbst ☕",
        "e": "mail-17",
        "uid": "u-1",
        "d.category": "mail",
        "d.value": "2.5",
        "d.list": "de",
    }
    path = f"/v1/pixel.gif?{urlencode(fields)}"
    assert shared_server.ask("HEAD", path).status == 200
    for outcome in ("stored", "duplicate"):
        answer = shared_server.ask("GET", path, User_Agent=BROWSER)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/gif")
        assert answer.headers["X-Catchment-Outcome"] == outcome
        assert answer.body.startswith(b"GIF89a")
    columns = "event_id, name, page_title, user_id, category, value, data, url, browser, utm_campaign, ip"
    assert rows(shared, shared_project, columns) == [
        (
            "mail-17", "MailOpened", "Herbst ☕", "u-1", "mail", 2.5, {"list": "de"},
            f"{ORIGIN}/mails/17?utm_campaign=autumn", "Chrome", "autumn", "127.0.0.0",
        )
    ]  # fmt: skip


def test_a_page_without_scripts_is_named_by_its_referer(
    shared: Installation, shared_server: Serving, shared_project: Project
) -> None:
    path = f"/v1/pixel.gif?{urlencode({'k': shared_project.browser_key, 'n': 'PageView'})}"
    assert shared_server.ask("GET", path, Referer=f"{ORIGIN}/a").headers["X-Catchment-Outcome"] == "stored"
    assert shared_server.ask("GET", path, Referer="https://x.example/").headers["X-Catchment-Reason"] == (
        "origin_not_allowed"
    )
    assert rows(shared, shared_project, "url, referrer") == [(f"{ORIGIN}/a", None)]


def test_no_log_has_a_word_of_a_query(shared: Installation, shared_server: Serving, shared_project: Project) -> None:
    word = "Zyzzogeton"
    fields = {"k": shared_project.browser_key, "n": word, "u": f"{ORIGIN}/{word}", "e": f"{word}\x00"}
    shared_server.get(f"/v1/pixel.gif?{urlencode(fields)}")
    shared_server.get(f"/catchment.js?{word}")
    shared_server.get(f"/v1/pixel.gif/{word}?{word}")
    log = shared_server.log.read_text(encoding="utf-8")
    assert word not in log
    assert shared_project.browser_key not in log


def batch(project: Project, event_id: str, report_id: str, **counts: int) -> dict[str, Any]:
    return {
        "projectKey": project.browser_key,
        "events": [project.event(eventId=event_id)],
        "losses": {"id": report_id, "counts": counts},
    }


def losses(installation: Installation, project: Project) -> dict[str, int]:
    return {one["reason"]: one["events"] for one in installation.json("losses", "--project", project.id)}


def test_losses_are_counted_once_over_retries_workers_and_restarts(
    installation: Installation, project: Project
) -> None:
    for _ in range(2):
        with installation.serving(workers=2) as server:
            for _ in range(4):
                answer = server.post(batch(project, "e-1", "r-1", queue_full=5, expired=1), "/v1/batch", Origin=ORIGIN)
                assert (answer.status, answer.json["losses"]) == (200, "recorded")
    assert losses(installation, project) == {"queue_full": 5, "expired": 1}
    assert [one["events"] for one in installation.json("usage")] == [1]
    assert installation.json("audit")["ok"]


def test_a_report_alone_and_one_of_a_stranger(
    shared: Installation, shared_server: Serving, shared_project: Project
) -> None:
    report = {**batch(shared_project, "", "r-1", too_large=2), "events": []}
    assert shared_server.post(report, "/v1/batch", Origin="https://evil.example").status == 403
    assert shared_server.post(report, "/v1/batch").json["losses"] == "refused"
    assert losses(shared, shared_project) == {}
    assert shared_server.post(report, "/v1/batch", Origin=ORIGIN).json["losses"] == "recorded"
    assert losses(shared, shared_project) == {"too_large": 2}


def test_losses_that_can_t_be_recorded_change_no_event(installation: Installation, project: Project) -> None:
    """The procedure is missing, as in an installation that somebody has half restored."""

    def execute(text: str) -> None:
        with contextlib.closing(psycopg2.connect(installation.dsn)) as connection:
            connection.autocommit = True
            connection.cursor().execute(text)

    with installation.serving() as server:
        execute("ALTER FUNCTION catchment.record_losses RENAME TO gone")
        sent = batch(project, "e-1", "r-1", expired=1)
        answer = server.post(sent, "/v1/batch", Origin=ORIGIN)
        assert (answer.status, answer.json["stored"], "losses" in answer.json) == (200, 1, False)
        warned = [line for line in server.lines() if line["level"] == "warning" and "losses" in line["message"]]
        assert len(warned) == 1
        assert "r-1" not in warned[0]["message"]
        execute("ALTER FUNCTION catchment.gone RENAME TO record_losses")
        answer = server.post(sent, "/v1/batch", Origin=ORIGIN)
        assert (answer.json["duplicate"], answer.json["losses"]) == (1, "recorded")
        text = server.get("/metrics").body.decode()
        assert 'catchment_client_losses_total{reason="expired"} 1.0' in text
        assert 'catchment_loss_reports_total{outcome="unavailable"} 1.0' in text
    assert losses(installation, project) == {"expired": 1}

"""What the command line changes, a running server sees at once."""

from __future__ import annotations

from ..support.running import ORIGIN, Installation, Project, Serving
from ..support.waiting import wait_until


def outcome(server: Serving, event: dict[str, object], **headers: str) -> str:
    return server.post(event, **headers).code


def test_a_revoked_key_is_refused_at_once(
    shared: Installation, shared_server: Serving, shared_project: Project
) -> None:
    assert outcome(shared_server, shared_project.event()) == "stored"
    shared.json("key", "revoke", shared_project.browser_key)
    wait_until(lambda: outcome(shared_server, shared_project.event()) == "revoked_key", "the server knows", within=4)


def test_a_disabled_project_is_refused_at_once_and_taken_again(
    shared: Installation, shared_server: Serving, shared_project: Project
) -> None:
    assert outcome(shared_server, shared_project.event()) == "stored"
    shared.json("project", "set", shared_project.id, "--disable")
    wait_until(
        lambda: outcome(shared_server, shared_project.event()) == "project_disabled", "the server knows", within=4
    )
    shared.json("project", "set", shared_project.id, "--enable")
    wait_until(lambda: outcome(shared_server, shared_project.event()) == "stored", "the server knows", within=4)


def test_an_added_origin_is_allowed_at_once_and_a_removed_one_refused(
    shared: Installation, shared_server: Serving, shared_project: Project
) -> None:
    elsewhere = shared_project.event(url="https://app.elsewhere.example/")
    assert outcome(shared_server, elsewhere) == "origin_not_allowed"
    shared.json("project", "set", shared_project.id, "--add-origin", "https://*.elsewhere.example")
    wait_until(lambda: outcome(shared_server, elsewhere) == "stored", "the server knows", within=4)
    assert outcome(shared_server, elsewhere, Origin=ORIGIN) == "stored"
    shared.json("project", "set", shared_project.id, "--remove-origin", ORIGIN)
    wait_until(
        lambda: outcome(shared_server, shared_project.event()) == "origin_not_allowed", "the server knows", within=4
    )


def test_a_new_key_is_known_at_once_though_it_was_asked_for_before(
    shared: Installation, shared_server: Serving, shared_project: Project
) -> None:
    assert outcome(shared_server, shared_project.event(projectKey=shared_project.browser_key + "x")) == "unknown_key"
    made = shared.json("key", "create", shared_project.id, "--kind", "server")
    wait_until(
        lambda: outcome(shared_server, shared_project.event(projectKey=made["key"])) == "stored",
        "the server knows",
        within=4,
    )


def test_a_quota_of_the_account_holds_at_once(
    shared: Installation, shared_server: Serving, shared_project: Project
) -> None:
    assert outcome(shared_server, shared_project.event()) == "stored"
    shared.json("quota", "set", "--account", shared_project.name, "--window", "day", "--hard", "1")
    assert outcome(shared_server, shared_project.event()) == "quota_exceeded"
    shared.json("quota", "set", "--account", shared_project.name, "--window", "day", "--hard", "2")
    assert outcome(shared_server, shared_project.event()) == "stored"
    rows = shared.json("quota", "list")
    assert [row["hard"] for row in rows if row["name"] == shared_project.name] == [2]


def test_what_robots_and_quiet_visitors_send_is_the_project_s_to_say(
    shared: Installation, shared_server: Serving, shared_project: Project
) -> None:
    crawler = shared_project.event(userAgent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")
    assert outcome(shared_server, crawler) == "stored"
    assert outcome(shared_server, shared_project.event(), DNT="1") == "stored"
    shared.json("project", "set", shared_project.id, "--bots", "filter", "--do-not-track", "filter")
    wait_until(lambda: outcome(shared_server, crawler) == "filtered", "the server knows", within=4)
    assert shared_server.post(crawler).json["reason"] == "bot"
    assert shared_server.post(shared_project.event(), DNT="1").json["reason"] == "do_not_track"
    assert [one["events"] for one in shared.json("usage", "--project", shared_project.id)] == [2]

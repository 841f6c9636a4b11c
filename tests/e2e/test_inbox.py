"""The inbox of a real server: from a refused event to a stored one."""

from __future__ import annotations

import shlex
from typing import Any

from ..support.database import Database
from ..support.running import BROWSER, Installation, Project, Serving
from ..support.waiting import wait_until

WWW = "https://www.yourdomain.com"


def stored(database: Database, project: Project) -> list[tuple[Any, ...]]:
    return database.execute(
        "SELECT event_id, url, user_id, browser, data ->> 'plan' FROM catchment.event WHERE project_id = %s", project.id
    )


def sampled(database: Database, project: Project) -> int:
    return int(database.one("SELECT count(*) FROM catchment.inbox_sample WHERE project_id = %s", project.id))


def test_a_refused_origin_is_in_the_inbox_and_stored_once_after_its_hint_was_followed(
    shared: Installation, shared_database: Database, shared_server: Serving, shared_project: Project
) -> None:
    event = shared_project.event(
        eventId="e-1", url=f"{WWW}/join?mail=a@b.example", userId="person-77", event_data={"plan": "pro"}
    )
    refused = shared_server.post(event, Origin=WWW, User_Agent=BROWSER)
    assert (refused.status, refused.code) == (403, "origin_not_allowed")

    def listed() -> list[dict[str, Any]]:
        return list(shared.json("inbox", "list", shared_project.id))

    wait_until(lambda: sampled(shared_database, shared_project), "the event is in the inbox")
    (sample,) = listed()
    assert sample["reason"] == "origin_not_allowed"
    assert "person-77" not in str(sample)
    assert "a@b.example" not in str(sample)

    early = shared.run("inbox", "replay", sample["id"])
    assert early.returncode == 1
    assert stored(shared_database, shared_project) == []

    program, *arguments = shlex.split(sample["hint"]["command"])
    assert program == "catchment"
    shared.json(*arguments)
    (receipt,) = shared.json("inbox", "replay", sample["id"])
    assert (receipt["outcome"], receipt["event_id"]) == ("stored", "e-1")
    assert receipt["missing"] == {"url": ["query"], "userId": ["user"]}
    for _ in range(2):
        assert [one["outcome"] for one in shared.json("inbox", "replay", sample["id"])] == ["duplicate"]
    assert stored(shared_database, shared_project) == [("e-1", f"{WWW}/join", None, "Chrome", "pro")]
    assert shared_server.post(event, Origin=WWW).code == "duplicate"
    assert [one["events"] for one in shared.json("usage", "--project", shared_project.id)] == [1]
    (sample,) = listed()
    assert sample["replayed_at"] is not None


def test_the_samples_of_the_last_seconds_are_written_when_a_server_ends(
    installation: Installation, project: Project
) -> None:
    with installation.serving() as server:
        assert server.post(project.event(event_name="")).status == 400
        assert server.stop() == 0
    (sample,) = installation.json("inbox", "list", project.id)
    assert (sample["reason"], sample["obstacle"]) == ("invalid_event", "wrong")

"""`catchment outcomes`: the answer to the question why nothing arrives."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta

import pytest

from catchment.core.metering.outcomes import RefusedOrigin, Slot
from catchment.core.times import hour_of

from .acting import OCTOBER, Commands


def refused(commands: Commands, project_id: str, origin: str, at: datetime) -> None:
    commands.store.outcomes[Slot(project_id, hour_of(at), "refused", "origin_not_allowed")] = 1_200
    commands.store.refused_origins[project_id] = RefusedOrigin(project_id=project_id, origin=origin, refused_at=at)


def test_outcomes_of_a_day_are_one_row_for_each_hour(commands: Commands) -> None:
    project_id = commands.project()["id"]
    commands.store_events(project_id, 3, OCTOBER)
    commands.store_events(project_id, 2, OCTOBER + timedelta(hours=23, minutes=59))
    commands.store_events(project_id, 1, OCTOBER + timedelta(days=1))
    refused(commands, project_id, "https://www.shop.example", OCTOBER + timedelta(minutes=5))
    hour = "2026-10-05T00:00:00Z"
    assert commands.json("outcomes", "--day", "2026-10-05") == [
        {
            "project_id": project_id, "hour": hour, "outcome": "refused", "reason": "origin_not_allowed", "events": 1200
        },
        {"project_id": project_id, "hour": hour, "outcome": "stored", "reason": None, "events": 3},
        {
            "project_id": project_id, "hour": "2026-10-05T23:00:00Z", "outcome": "stored", "reason": None, "events": 2
        },
    ]  # fmt: skip


def test_without_a_day_the_last_24_hours_are_added_up(commands: Commands) -> None:
    project_id = commands.project()["id"]
    now = datetime.now(UTC)
    commands.store_events(project_id, 3, now)
    commands.store_events(project_id, 2, now - timedelta(hours=24))
    commands.store_events(project_id, 1, now - timedelta(hours=26))
    result = commands.run("outcomes")
    assert [line.split() for line in result.stdout.splitlines()[1:]] == [["roastery", "shop", "stored", "5"]]


def test_a_project_to_which_nothing_came_is_told_so(commands: Commands) -> None:
    commands.project()
    assert commands.run("outcomes", "--project", "shop").stdout == "Nothing of shop arrived in the last 24 hours.\n"


@pytest.mark.parametrize(
    ("origin", "options"),
    [
        ("https://www.shop.example", ["--add-origin", "https://www.shop.example"]),
        ("null", ["--allow-null-origin"]),
    ],
)
def test_the_last_refused_origin_is_shown_with_the_command_that_allows_it(
    commands: Commands, origin: str, options: list[str]
) -> None:
    project_id = commands.project("our shop")["id"]
    refused(commands, project_id, origin, datetime.now(UTC))
    shown = commands.run("outcomes").stderr.splitlines()
    assert f"roastery/our shop refused the origin {origin} at " in shown[0]
    program, *arguments = shlex.split(shown[2])
    assert (program, arguments) == ("catchment", ["project", "set", "roastery/our shop", *options])
    assert commands.run(*arguments).exit_code == 0
    assert shown[4:] == ["  catchment inbox list 'roastery/our shop'"]


@pytest.mark.parametrize("origin", ["https://a.example; rm -rf ~", "https://a.example/$(id)", "a\x1b[2Jb", "x y"])
def test_a_text_that_is_no_origin_is_part_of_no_command(commands: Commands, origin: str) -> None:
    refused(commands, commands.project()["id"], origin, datetime.now(UTC))
    shown = commands.run("outcomes").stderr
    assert "refused the origin" in shown
    assert "catchment project set" not in shown
    assert "\x1b" not in shown

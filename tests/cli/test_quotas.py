"""Quotas and plans by the command line."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from catchment.adapters.cli.tables import fitted
from catchment.core.metering.plans import read_plans

from .acting import Commands

PLANS = {
    "free": {"quotas": [{"window": "month", "hard": 1000}]},
    "pro": {
        "quotas": [
            {"window": "month", "soft": 80_000, "hard": 100_000, "grace": 3},
            {"window": "day", "events": "Click*", "keys": "browser", "hard": 500},
        ]
    },
    "open": {"quotas": []},
}


def test_quotas_are_set_in_place_of_those_there_are(commands: Commands) -> None:
    project = commands.project()
    commands.json("quota", "set", "--project", "shop", "--window", "month", "--hard", "5")
    made = commands.json("quota", "set", "--project", "shop", "--window", "month", "--hard", "1000")
    quota = {
        "id": made["id"], "scope": "project", "scope_id": project["id"], "name": "roastery/shop", "window": "month",
        "events": "*", "keys": None, "soft": None, "hard": 1000, "grace": 0, "plan": None,
    }  # fmt: skip
    assert made == quota
    commands.json("quota", "set", "--account", "roastery", "--window", "day", "--keys", "browser", "--hard", "0")
    browsers, both = commands.json("quota", "list")
    shown = (browsers["name"], browsers["window"], browsers["keys"], browsers["left"], browsers["state"])
    assert shown == ("roastery", "day", "browser", 0, "hard")
    assert both.pop("resets_at") == "2026-12-01T00:00:00Z"
    assert both == {**quota, "used": 0, "left": 1000, "state": "ok", "forecast": None}
    assert "1,000" in commands.run("quota", "list").stdout
    listed = (
        commands.json("quota", "list", "--project", "shop"),
        commands.json("quota", "list", "--account", "roastery"),
    )
    assert [[one["name"] for one in those] for those in listed] == [["roastery/shop"], ["roastery"]]
    expected = [
        {"id": browsers["id"], "scope": "account", "window": "day", "keys": "browser", "hard": 0},
        {"id": both["id"], "scope": "project", "window": "month", "hard": 1000},
    ]
    assert commands.json("project", "show", "shop")["quotas"] == expected
    assert [one["quotas"] for one in commands.json("project", "list")] == [expected]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--hard", "1000", "--keys", "server"], "at most 1,000 events a day with server keys"),
        (["--hard", "1000", "--events", "Click*"], "at most 1,000 events named Click* a day"),
        (["--soft", "800"], "told from 800 events a day on"),
        (["--soft", "800", "--hard", "1000"], "at most 1,000 events a day, told from 800 on"),
        (
            ["--soft", "800", "--hard", "1000", "--grace", "1", "--window", "month"],
            "at most 1,000 events a month, told from 800 on; the limit holds 1 day after that",
        ),
    ],
)
def test_a_quota_is_told_in_words(commands: Commands, options: list[str], words: str) -> None:
    commands.project()
    made = commands.run("quota", "set", "--project", "shop", "--window", "day", *options)
    assert made.stdout.startswith(f"For the project roastery/shop: {words} (")
    gone = commands.run("quota", "remove", commands.json("quota", "list")[0]["id"])
    assert gone.stdout == f"Removed, for the project roastery/shop: {words}\n"
    assert commands.json("quota", "list") == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--window", "day", "--soft", "9", "--hard", "5"], "--soft: 9 events, above hard (5)"),
        (["--window", "day", "--soft", "0"], "--soft: 0 events: 1 to 9,223,372,036,854,775,807"),
        (["--window", "day", "--hard", "-1"], "--hard: -1 events: 0 to 9,223,372,036,854,775,807"),
        (["--window", "day", "--hard", "5", "--grace", "1"], "--grace: it begins when soft is crossed"),
        (["--window", "day", "--soft", "4", "--hard", "5", "--grace", "1"], "--grace: a day is over before it"),
    ],
)
def test_a_quota_that_contradicts_itself_is_refused(commands: Commands, options: list[str], words: str) -> None:
    commands.project()
    done = commands.run("quota", "set", "--project", "shop", *options)
    assert done.exit_code == 2
    assert words in done.stderr
    assert commands.json("quota", "list") == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--window", "day"], "say --hard, --soft, or both"),
        (["--hard", "5"], "--window"),
        (["--window", "day", "--hard", "5", "--events", ""], "an empty pattern matches no event; * matches all"),
        (["--window", "day", "--hard", "5", "--events", "a\\b"], "write \\* for an asterisk"),
        (["--window", "day", "--soft", "many"], "'many' is not a valid integer"),
        (["--window", "month", "--soft", "1", "--hard", "5", "--grace", "28"], "28 is not in the range"),
        (["--window", "day", "--hard", "5", "--account", "roastery"], "say one of --account and --project"),
    ],
)
def test_a_mistake_in_the_options_is_said(commands: Commands, options: list[str], words: str) -> None:
    commands.project()
    done = commands.run("quota", "set", "--project", "shop", *options)
    assert done.exit_code == 2
    assert words in done.stderr


def test_a_quota_that_is_not_there_can_not_be_removed(commands: Commands) -> None:
    assert "quota list" in commands.refusal("quota", "remove", "nothing")


def test_the_list_shows_the_state_and_the_forecast(commands: Commands) -> None:
    project = commands.project()
    commands.json("quota", "set", "--project", "shop", "--window", "month", "--soft", "5", "--hard", "8")
    commands.store_events(project["id"], 7)
    (quota,) = commands.json("quota", "list")
    shown = {name: quota[name] for name in ("used", "left", "state", "forecast", "soft", "hard")}
    assert shown == {"used": 7, "left": 1, "state": "soft", "forecast": "2026-11-03", "soft": 5, "hard": 8}
    lines = commands.run("quota", "list").stdout.splitlines()
    assert lines[0].split() == ["Quota", "Used", "Soft", "Hard", "Left", "State", "Forecast", "Begins", "anew"]
    assert lines[1].split() == ["roastery/shop", "7", "5", "8", "1", "soft", "2026-11-03", "2026-12-01T00:00:00Z"]
    assert [line.strip() for line in lines[2:]] == ["events a month", quota["id"]]


@pytest.mark.parametrize("width", [80, 40])
def test_the_list_fits_a_narrow_terminal(width: int) -> None:
    row: dict[str, Any] = {
        "quota_id": ["roastery/shop", "events named Click* a month with browser keys"[:44], "0" * 36],
        "used": 100_000,
        "soft": None,
        "hard": 1_000_000,
        "left": 900_000,
        "state": "warning",
        "forecast": None,
        "resets_at": "2026-12-01T00:00:00Z",
    }
    columns = {name: name for name in row}
    table = fitted([row], columns, width, droppable=("resets_at", "left", "soft", "forecast"))
    console = Console(width=width, file=io.StringIO(), highlight=False)
    console.print(table.table, soft_wrap=table.is_list)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert table.is_list is (width == 40)
    assert any("0" * 36 in line for line in lines)
    assert all("warning" not in line or len(line) <= width for line in lines)


# plans


@pytest.fixture
def with_plans(commands: Commands) -> Commands:
    commands.plans.update(read_plans(PLANS))
    commands.project()
    return commands


def test_a_plan_gives_an_account_its_quotas(with_plans: Commands) -> None:
    done = with_plans.run("account", "set", "roastery", "--plan", "pro")
    assert done.stdout.splitlines() == [
        "roastery has the plan pro",
        "new: at most 100,000 events a month, told from 80,000 on; the limit holds 3 days after that",
        "new: at most 500 events named Click* a day with browser keys",
    ]
    assert [quota["plan"] for quota in with_plans.json("quota", "list")] == ["pro", "pro"]
    assert with_plans.json("account", "list")[0]["plan"] == "pro"
    again = with_plans.run("account", "set", "roastery", "--plan", "pro")
    assert again.stdout == "roastery has the plan pro; its quotas are as they were\n"
    changed = with_plans.json("account", "set", "roastery", "--plan", "free")
    assert (changed["plan"], len(changed["changed"]), len(changed["removed"])) == ("free", 1, 1)
    gone = with_plans.run("account", "set", "roastery", "--no-plan")
    assert gone.stdout.splitlines() == ["roastery has no plan", "gone: at most 1,000 events a month"]


def test_a_quota_by_hand_stays_in_the_place_of_one_of_the_plan(with_plans: Commands) -> None:
    made = with_plans.json("quota", "set", "--account", "roastery", "--window", "month", "--hard", "7")
    done = with_plans.run("account", "set", "roastery", "--plan", "free")
    assert done.stdout.splitlines() == [
        "roastery has the plan free",
        f"stays, in the place of one of the plan: at most 7 events a month ({made['id']})",
    ]


def test_a_plan_that_is_not_there_is_refused(with_plans: Commands) -> None:
    line = with_plans.refusal("account", "set", "roastery", "--plan", "gold")
    assert line == "catchment: there is no plan 'gold': there are free, open, pro"
    for options in ([], ["--plan", "free", "--no-plan"]):
        assert with_plans.run("account", "set", "roastery", *options).exit_code == 2


def test_plans_are_listed_and_applied_after_a_change(with_plans: Commands) -> None:
    with_plans.json("account", "set", "roastery", "--plan", "free")
    listed = with_plans.json("plan", "list")
    assert [(one["name"], one["accounts"]) for one in listed] == [("free", ["roastery"]), ("open", []), ("pro", [])]
    assert listed[0]["quotas"] == [{"window": "month", "hard": 1000}]
    table = with_plans.run("plan", "list").stdout
    assert "at most 1,000 events a month" in table
    with_plans.plans.update(read_plans({"free": {"quotas": [{"window": "month", "hard": 2000}]}}))
    assert with_plans.run("plan", "apply").stdout.splitlines() == [
        "roastery has the plan free",
        "changed: at most 2,000 events a month",
    ]
    assert with_plans.run("plan", "apply", "pro").stdout == "No account has it.\n"
    with_plans.plans.clear()
    assert "not in the settings any more" in with_plans.run("plan", "list").stdout

"""`catchment inbox`: what is not stored, why, and the way back."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from catchment.adapters.cli import inbox as inbox_commands
from catchment.adapters.cli.hints import hint_words
from catchment.adapters.memory.samples import MemorySamples
from catchment.core.metering.hints import Advice, Hint
from catchment.core.metering.inbox import Obstacle, Sample
from catchment.core.metering.scrub import Replay
from catchment.core.outcomes import Outcome
from catchment.core.project import Bots, KeyKind, Project, ProjectSettings
from catchment.core.refusals import Reason

from .acting import Commands

WWW = "https://www.shop.example"
EVENT = {"event_name": "SignUp", "url": f"{WWW}/join?[query]", "userId": "[user]"}


def put(commands: Commands, sample_id: str = "k7f39qmz", project: str = "shop", **changes: Any) -> Sample:
    """Put a sample of a refused origin into the inbox of a project, which is made if it is missing."""
    known = {one.name: one.id for one in commands.store.projects.values()}
    project_id = known.get(project) or commands.project(project)["id"]
    key = next(found for key, found in commands.store.keys.values() if key.project_id == project_id)
    sample = Sample(
        id=sample_id,
        project_id=project_id,
        outcome=Outcome.REFUSED,
        reason=Reason.ORIGIN_NOT_ALLOWED,
        hint=Hint(advice=Advice.ADD_ORIGIN, about=WWW),
        payload=EVENT,
        taken={"url": ("query",), "userId": ("user",), "projectKey": ("token",)},
        replay=Replay.REDUCED,
        obstacle=None,
        event_id="e-1",
        key_kind=KeyKind.BROWSER,
        key_fingerprint=key,
        origin=WWW,
        headers={},
        do_not_track=False,
        clock_offset=timedelta(),
        received_at=commands.clock.now() - timedelta(minutes=10),
        sender=1,
    )
    sample = replace(sample, **changes)
    asyncio.run(MemorySamples(commands.store).add([sample]))
    return sample


def next_commands(text: str) -> list[list[str]]:
    """Return the arguments of the commands that a text tells to type."""
    return [shlex.split(line)[1:] for line in re.findall(r"^  (catchment .*)$", text, re.MULTILINE)]


def test_the_list_says_what_to_do_and_the_commands_do_it(commands: Commands) -> None:
    put(commands, project="our shop")
    result = commands.run("inbox", "list", "our shop")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["Id", "Time", "(UTC)", "Event", "Reason", "Send", "again"],
        ["k7f39qmz", "11-02", "11:50", "SignUp", "origin_not_allowed", "in", "part"],
    ]
    assert f"{WWW} is not an origin of roastery/our shop" in result.stderr
    allow, send = next_commands(result.stderr)
    assert allow == ["project", "set", "roastery/our shop", "--add-origin", WWW]
    assert send == ["inbox", "replay", "k7f39qmz"]
    assert commands.run(*send).exit_code == 1
    assert commands.run(*allow).exit_code == 0
    assert commands.run(*send).exit_code == 0
    (event,) = commands.store.events
    assert (event.event_id, event.url) == ("e-1", f"{WWW}/join")
    assert commands.run("inbox", "list", "our shop").stdout.splitlines()[1].split()[-1] == "done"
    assert commands.run("inbox", "list", "our shop").stderr == ""


def test_a_sample_as_a_document(commands: Commands) -> None:
    sample = put(commands)
    document = {
        "id": "k7f39qmz",
        "project_id": sample.project_id,
        "outcome": "refused",
        "reason": "origin_not_allowed",
        "received_at": "2026-11-02T11:50:00Z",
        "key_kind": "browser",
        "origin": WWW,
        "event_id": "e-1",
        "event": EVENT,
        "taken": {"url": ["query"], "userId": ["user"]},
        "replay": "reduced",
        "obstacle": None,
        "replayed_at": None,
        "hint": {
            "advice": "add_origin",
            "text": f"{WWW} is not an origin of roastery/shop. To allow it, if it is yours:",
            "command": f"catchment project set roastery/shop --add-origin {WWW}",
        },
    }
    assert commands.json("inbox", "list", "shop") == [document]
    assert commands.json("inbox", "show", "K7F39QMZ") == document


def test_one_reason_is_shown_alone(commands: Commands) -> None:
    put(commands)
    put(commands, "b0000000", outcome=Outcome.FILTERED, reason=Reason.BOT, hint=Hint(advice=Advice.KEEP_BOTS))
    found = commands.json("inbox", "list", "shop", "--reason", "bot")
    assert [one["id"] for one in found] == ["b0000000"]
    assert commands.run("inbox", "list", "shop", "--reason", "too_large").stdout == (
        "The inbox has no event of roastery/shop with the reason too_large from the last 7 days.\n"
    )


def test_an_empty_inbox_says_so(commands: Commands) -> None:
    commands.project()
    assert commands.run("inbox", "list", "shop").stdout == (
        "The inbox has no event of roastery/shop from the last 7 days.\n"
    )
    assert commands.json("inbox", "list", "shop") == []


def test_samples_with_one_cause_have_one_hint(commands: Commands) -> None:
    for number in range(12):
        put(commands, f"a{number:07}")
    said = commands.run("inbox", "list", "shop").stderr
    allow, send = next_commands(said)
    assert allow[:2] == ["project", "set"]
    assert len(send) == 2 + inbox_commands._IDS
    assert "Then send them again:" in said


def test_many_causes_do_not_fill_the_screen(commands: Commands) -> None:
    for number in range(9):
        put(commands, f"a{number:07}", hint=Hint(advice=Advice.ADD_ORIGIN, about=f"https://s{number}.example"))
    said = commands.run("inbox", "list", "shop").stderr
    assert said.count("is not an origin") == 5
    assert "There are more causes" in said


def test_a_page_shows_the_event_with_its_placeholders(commands: Commands) -> None:
    put(commands)
    shown = commands.run("inbox", "show", "k7f39qmz").stdout
    assert '"url": "https://www.shop.example/join?[query]"' in shown
    assert re.search(r"^Taken out: +url \(query\), userId \(user\)$", shown, re.MULTILINE)
    assert re.search(r"^Send again: catchment inbox replay k7f39qmz$", shown, re.MULTILINE)
    assert next_commands(shown) == [["project", "set", "roastery/shop", "--add-origin", WWW]]


@pytest.mark.parametrize("obstacle", Obstacle)
def test_an_event_that_can_not_be_sent_again_says_why(commands: Commands, obstacle: Obstacle) -> None:
    put(commands, replay=Replay.NO, obstacle=obstacle, event_id=None)
    why = inbox_commands._OBSTACLES[obstacle]
    assert f"no: {why}" in commands.run("inbox", "show", "k7f39qmz").stdout
    listed = commands.run("inbox", "list", "shop")
    assert listed.stdout.rstrip().endswith(" no")
    assert "inbox replay" not in listed.stderr
    result = commands.run("inbox", "replay", "k7f39qmz")
    assert result.exit_code == 1
    assert "not sent" in result.stdout
    assert f"k7f39qmz can't be sent again: {why}." in result.stderr
    (receipt,) = _documents(commands, "inbox", "replay", "k7f39qmz")
    assert (receipt["outcome"], receipt["obstacle"]) == (None, obstacle)


def test_a_replay_prints_a_receipt_and_what_is_missing(commands: Commands) -> None:
    put(commands)
    commands.json("project", "set", "shop", "--add-origin", WWW)
    result = commands.run("inbox", "replay", "k7f39qmz")
    assert result.stdout.splitlines()[1].split() == ["k7f39qmz", "SignUp", "stored", "-", "e-1"]
    assert result.stderr == "k7f39qmz was sent without what had been taken out: url (query), userId (user).\n"
    again = commands.run("inbox", "replay", "k7f39qmz")
    assert (again.exit_code, again.stderr) == (0, "")
    (receipt,) = commands.json("inbox", "replay", "k7f39qmz")
    assert receipt.pop("session_id")
    assert receipt == {
        "id": "k7f39qmz",
        "outcome": "duplicate",
        "reason": None,
        "detail": None,
        "event_id": "e-1",
        "warnings": [],
        "missing": {"url": ["query"], "userId": ["user"]},
        "obstacle": None,
    }


def test_a_refused_replay_says_the_cause_and_the_hint(commands: Commands) -> None:
    put(commands)
    result = commands.run("inbox", "replay", "k7f39qmz")
    assert result.exit_code == 1
    assert f"k7f39qmz is refused: The Origin header ({WWW}) matches none of the project's origins." in result.stderr
    assert next_commands(result.stderr) == [["project", "set", "roastery/shop", "--add-origin", WWW]]
    (receipt,) = _documents(commands, "inbox", "replay", "k7f39qmz")
    assert (receipt["outcome"], receipt["reason"]) == ("refused", "origin_not_allowed")
    assert receipt["detail"] == f"The Origin header ({WWW}) matches none of the project's origins."


def test_a_sample_that_does_not_exist_is_told(commands: Commands) -> None:
    for arguments in (("show", "nothing1"), ("replay", "nothing1")):
        assert commands.refusal("inbox", *arguments) == (
            "catchment: the inbox has no event nothing1; `catchment inbox list PROJECT` shows those of a project, from "
            "the last 7 days"
        )


@pytest.mark.parametrize(
    "about", ["https://a.example; rm -rf ~", "https://a.example/$(id)", "a\x1b[2Jb", "x y", "https://[ip]", None]
)
def test_a_text_that_is_no_origin_is_part_of_no_command(commands: Commands, about: str | None) -> None:
    put(commands, hint=Hint(advice=Advice.ADD_ORIGIN, about=about))
    for arguments in (("list", "shop"), ("show", "k7f39qmz")):
        shown = commands.run("inbox", *arguments).output
        assert "project set" not in shown
        assert "\x1b" not in shown


@pytest.mark.parametrize("advice", Advice)
def test_every_advice_has_words_and_its_command_exists(commands: Commands, advice: Advice) -> None:
    put(commands)
    settings = ProjectSettings(enabled=False, bots=Bots.FILTER)
    project = Project(id="p", account_id="a", account="roastery", name="shop", settings=settings)
    words = hint_words(Hint(advice=advice, about=WWW, mistakes={"event_name": ("is missing",)}), project)
    assert words.text
    assert words.text.endswith((":", ".", "is missing"))
    assert words.text.endswith(":") is (words.command is not None)
    if words.command is not None:
        program, *arguments = shlex.split(words.command)
        assert program == "catchment"
        assert commands.run(*arguments).exit_code == 0


@pytest.mark.parametrize(
    ("advice", "options"),
    [
        (Advice.ADD_ORIGIN, ["--add-origin", WWW]),
        (Advice.ALLOW_NULL_ORIGIN, ["--allow-null-origin"]),
        (Advice.ENABLE_PROJECT, ["--enable"]),
        (Advice.KEEP_BOTS, ["--bots", "flag"]),
    ],
)
def test_a_hint_that_was_followed_is_not_given_again(commands: Commands, advice: Advice, options: list[str]) -> None:
    put(commands, hint=Hint(advice=advice, about=WWW if advice is Advice.ADD_ORIGIN else None))
    commands.json("project", "set", "shop", "--disable", "--bots", "filter")
    (told, _) = next_commands(commands.run("inbox", "list", "shop").stderr)
    assert told == ["project", "set", "roastery/shop", *options]
    commands.run(*told)
    said = commands.run("inbox", "list", "shop").stderr
    assert "The cause is mended by now." in said
    assert next_commands(said) == [["inbox", "replay", "k7f39qmz"]]


def test_a_replay_that_another_origin_refuses_names_that_one(commands: Commands) -> None:
    put(commands, payload={**EVENT, "url": "https://old.shop.example/"})
    commands.json("project", "set", "shop", "--add-origin", WWW)
    said = commands.run("inbox", "replay", "k7f39qmz").stderr
    assert "The event's url (https://old.shop.example) matches none of the project's origins." in said
    assert next_commands(said) == [["project", "set", "roastery/shop", "--add-origin", "https://old.shop.example"]]


def test_letters_that_control_a_terminal_are_not_printed(commands: Commands) -> None:
    put(commands, payload={"event_name": "\x1b[2J\u202e", "\x9b": "\x07"})
    for arguments in (("list", "shop"), ("show", "k7f39qmz")):
        shown = commands.run("inbox", *arguments).output
        assert not set(shown) & set("\x1b\x9b\x07\u202e")


def _documents(commands: Commands, *arguments: str) -> Any:
    """Return what a command prints with `--json`, whatever its exit code."""
    return json.loads(commands.run(*arguments, "--json").stdout)

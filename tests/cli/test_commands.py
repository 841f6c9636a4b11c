"""What every command has, and those that are not about accounts, projects and keys."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
import pytest

from catchment.adapters.cli.commands import build

from .acting import BROKEN, OCTOBER, UNAVAILABLE, Commands, document


def walk(group: click.Group, *names: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command, groups too, with the words that name it."""
    for name, command in group.commands.items():
        yield (*names, name), command
        if isinstance(command, click.Group):
            yield from walk(command, *names, name)


ALL = dict(walk(build(lambda config: Commands(), "1.2.3")))
LEAVES = {words: command for words, command in ALL.items() if not isinstance(command, click.Group)}


def test_the_commands_of_the_contract_are_there() -> None:
    assert {" ".join(words) for words in LEAVES} >= {
        "demo",
        "serve",
        "migrate",
        "account create",
        "account list",
        "project create",
        "project list",
        "project show",
        "project set",
        "key create",
        "key list",
        "key revoke",
        "quota set",
        "quota list",
        "quota remove",
        "usage",
        "billing push",
        "audit",
        "plugins",
        "config show",
    }


@pytest.mark.parametrize("words", [(), *ALL], ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_says_what_a_command_does_without_reading_settings(words: tuple[str, ...], option: str) -> None:
    commands = Commands()
    result = commands.run(*words, option)
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")
    assert len(result.stdout.splitlines()) > 5
    assert result.stderr == ""
    assert commands.configs == []


@pytest.mark.parametrize("command", LEAVES.values(), ids=map(" ".join, LEAVES))
def test_every_command_takes_json_and_says_what_it_is(command: click.Command) -> None:
    options = {name: option for option in command.params for name in option.opts}
    assert "--json" in options
    assert command.help
    assert all(option.help for option in options.values() if isinstance(option, click.Option) and option.name != "kind")


def test_the_version_is_said(commands: Commands) -> None:
    result = commands.run("--version")
    assert (result.exit_code, result.stdout) == (0, "catchment, version 1.2.3\n")


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("account",),
        ("account", "nonsense"),
        ("account", "create"),
        ("account", "create", "a", "b"),
        ("project", "create", "shop", "--origin", "https://a.example"),
        ("project", "set", "shop", "--bots", "never"),
        ("project", "set", "shop", "--privacy", "none"),
        ("key", "create", "shop"),
        ("key", "create", "shop", "--kind", "secret"),
        ("quota", "set", "--window", "month", "--hard", "1"),
        ("quota", "set", "--account", "a", "--project", "b", "--window", "month", "--hard", "1"),
        ("quota", "set", "--account", "a", "--window", "year", "--hard", "1"),
        ("quota", "set", "--account", "a", "--window", "month", "--hard", "-1"),
        ("quota", "set", "--account", "a", "--window", "month", "--hard", "many"),
        ("usage", "--period", "2026"),
        ("usage", "--period", "2026-13"),
        ("usage", "--period", "now"),
        ("billing", "push"),
        ("serve", "--port", "70000"),
        ("serve", "--workers", "0"),
        ("audit", "--nonsense"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2_and_says_how_it_goes(commands: Commands, words: tuple[str, ...]) -> None:
    result = commands.run(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage: " in result.stderr
    assert "Traceback" not in result.stderr
    error = document(commands.run(*words, "--json"))["error"]
    assert error["code"] == "usage"
    assert error["message"]


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_database_that_does_not_answer_is_one_line(commands: Commands, as_json: tuple[str, ...]) -> None:
    commands.failing = UNAVAILABLE
    for words in (["account", "list"], ["usage"], ["audit"], ["key", "revoke", "k"]):
        assert commands.refusal(*words, *as_json) == "catchment: no connection with the database"


def test_the_settings_file_is_handed_on(commands: Commands) -> None:
    assert commands.run("--config", "some.toml", "account", "list").exit_code == 0
    assert commands.configs == ["some.toml"]


# serve, migrate, demo


def test_serve_hands_on_what_was_given_and_ends_with_the_server_s_exit_code(commands: Commands) -> None:
    commands.exit_code = 3
    result = commands.run("serve", "--host", "::1", "--port", "0", "--workers", "2")
    assert result.exit_code == 3
    assert commands.served == [{"host": "::1", "port": 0, "workers": 2}]
    assert (result.stdout, result.stderr) == ("", "")  # not a terminal: the log says it


def test_serve_leaves_to_the_settings_what_was_not_given(commands: Commands) -> None:
    assert commands.run("serve").exit_code == 0
    assert commands.served == [{"host": None, "port": None, "workers": None}]


def test_migrate_says_what_it_applied_and_then_nothing(commands: Commands) -> None:
    commands.to_migrate = ["0001.schema"]
    assert commands.json("migrate") == {"applied": ["0001.schema"]}
    assert commands.json("migrate") == {"applied": []}
    assert "already" in commands.run("migrate").stdout


def test_demo_check_says_what_it_found(commands: Commands) -> None:
    assert commands.json("demo", "--check") == {"ok": True, "checked": 2}
    commands.failing = BROKEN
    assert commands.refusal("demo", "--check", "--json") == "catchment: the check failed"


def test_words_for_people_are_not_mixed_with_json(commands: Commands) -> None:
    assert "The demo." in commands.run("demo").output
    for words in (["demo"], ["serve"], ["migrate"], ["demo", "--check"]):
        for line in commands.run(*words, "--json").stdout.splitlines():
            json.loads(line)


def test_plugins_are_listed_with_their_source_and_hooks(commands: Commands) -> None:
    bots, given = commands.json("plugins")
    assert bots == {
        "name": "bots",
        "distribution": "catchment",
        "version": "1",
        "module": "catchment.plugins.bots",
        "hooks": ["a", "b"],
        "state": "loaded",
        "order": {"a": 2, "b": 1},
        "settings": {},
        "problems": [],
    }
    assert (given["distribution"], given["version"]) == (None, None)
    assert "bots" in commands.run("plugins").stdout


def test_settings_are_shown(commands: Commands) -> None:
    assert commands.json("config", "show") == commands.shown_settings()
    text = commands.run("config", "show").stdout
    assert "[http]" in text
    assert "port = 8080" in text


# usage, audit, billing


def used(commands: Commands) -> tuple[str, str]:
    """Two projects of two accounts with usage of two months; their ids."""
    shop, other = commands.project()["id"], commands.project("shop", "other")["id"]
    commands.store_events(shop, 3)
    commands.store_events(shop, 2, OCTOBER)
    commands.store_events(other, 1)
    return shop, other


def test_usage_is_by_account_project_and_period(commands: Commands) -> None:
    shop, other = used(commands)
    rows = [
        {"account": "other", "project": "shop", "project_id": other, "period": "2026-11", "events": 1},
        {"account": "roastery", "project": "shop", "project_id": shop, "period": "2026-10", "events": 2},
        {"account": "roastery", "project": "shop", "project_id": shop, "period": "2026-11", "events": 3},
    ]
    assert commands.json("usage") == rows
    assert commands.json("usage", "--account", "roastery") == rows[1:]
    assert commands.json("usage", "--project", "other/shop") == rows[:1]
    assert commands.json("usage", "--project", shop, "--period", "2026-10") == rows[1:2]
    assert commands.json("usage", "--period", "2025-01") == []
    assert "2026-10" in commands.run("usage").stdout


def test_usage_of_nothing_is_an_empty_array(commands: Commands) -> None:
    assert commands.json("usage") == []
    assert "Nothing" in commands.run("usage").stdout


def test_usage_of_what_is_not_there_is_refused(commands: Commands) -> None:
    used(commands)
    assert "nobody" in commands.refusal("usage", "--account", "nobody")
    assert "nothing" in commands.refusal("usage", "--project", "nothing")
    line = commands.refusal("usage", "--project", "shop")
    assert "other/shop" in line
    assert "roastery/shop" in line


def test_an_audit_that_holds_exits_with_0(commands: Commands) -> None:
    used(commands)
    assert commands.json("audit") == {"ok": True, "differences": []}


def test_an_audit_that_does_not_hold_exits_with_1_and_says_where(commands: Commands) -> None:
    shop, _ = used(commands)
    commands.store.usage[shop, OCTOBER.date().replace(day=1)] += 5
    result = commands.run("audit", "--json")
    assert result.exit_code == 1
    difference = {"account": "roastery", "project": "shop", "project_id": shop, "period": "2026-10"}
    assert document(result) == {"ok": False, "differences": [{**difference, "usage": 7, "stored": 2}]}
    said = commands.run("audit")
    assert said.exit_code == 1
    assert "roastery/shop 2026-10" in said.stdout


def test_billing_closes_what_is_over_and_hands_on_all(commands: Commands) -> None:
    used(commands)
    pushed = {"backend": "csv", "pushed": 3, "periods": ["2026-10", "2026-11"]}
    assert commands.json("billing", "push", "--backend", "csv") == pushed
    ((_, usages),) = commands.billed
    assert [(str(one.period), one.closed) for one in usages] == [
        ("2026-11-01", False),
        ("2026-10-01", True),
        ("2026-11-01", False),
    ]
    assert commands.json("billing", "push", "--backend", "csv") == pushed
    first, second = ([one.idempotency_key for one in usages] for _, usages in commands.billed)
    assert first == second


def test_billing_of_one_period(commands: Commands) -> None:
    used(commands)
    pushed = commands.json("billing", "push", "--backend", "csv", "--period", "2026-10")
    assert pushed == {"backend": "csv", "pushed": 1, "periods": ["2026-10"]}


def test_billing_by_nobody_is_refused(commands: Commands) -> None:
    used(commands)
    assert "stripe" in commands.refusal("billing", "push", "--backend", "stripe")


def test_an_argument_that_is_refused_does_not_control_the_terminal(commands: Commands) -> None:
    for words in (["usage", "a\x07\u202eb"], ["--a\x07\u202eb"], ["a\x07\u202eb"]):
        result = commands.run(*words)
        assert result.exit_code == 2
        assert all(line.isprintable() for line in result.stderr.splitlines())
        assert "b" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [words for words, command in LEAVES.items() if not any(parameter.required for parameter in command.params)],
    ids=" ".join,
)
def test_a_command_that_needs_no_argument_ends_without_a_traceback(commands: Commands, words: tuple[str, ...]) -> None:
    for option in ([], ["--json"]):
        result = commands.run(*words, *option)
        assert result.exception is None or isinstance(result.exception, SystemExit), words


def test_maintaining_by_hand_tells_what_was_done(commands: Commands) -> None:
    commands.maintenance.misplaced = {OCTOBER.date().replace(day=1): 1500}
    done = commands.json("maintain")
    assert done == {"partitions": ["event_2026_12"], "ids_forgotten": 1200, "moved": {"2026-10": 1500}}
    assert commands.json("maintain")["moved"] == {}
    assert commands.run("maintain").stdout == "made event_2026_12\nforgot 1,200 ids\n"

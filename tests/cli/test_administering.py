"""Accounts, projects, keys and quotas by the command line."""

from __future__ import annotations

import json
from datetime import date

import pytest

from catchment.core.keys import kind_of
from catchment.core.project import KeyKind

from .acting import Commands, document


def test_an_account_is_made_and_listed(commands: Commands) -> None:
    made = commands.json("account", "create", "roastery")
    assert set(made) == {"id", "name"}
    assert commands.json("account", "list") == [{**made, "plan": None}]
    assert made["id"] in commands.run("account", "list").stdout


def test_a_name_given_twice_is_refused_and_changes_nothing(commands: Commands) -> None:
    commands.project()
    assert "roastery" in commands.refusal("account", "create", "roastery")
    again = ["project", "create", "shop", "--account", "roastery", "--origin", "https://other.example"]
    assert "shop" in commands.refusal(*again)
    assert commands.json("project", "show", "shop")["origins"] == ["https://shop.example"]
    assert len(commands.json("account", "list")) == 1


@pytest.mark.parametrize("name", ["", "  ", "a/b", "x" * 101, "a\nb", "a\x1b[31mb"])
def test_a_name_that_can_t_be_is_refused(commands: Commands, name: str) -> None:
    commands.refusal("account", "create", name)
    assert commands.json("account", "list") == []


def test_a_project_is_made_with_a_browser_key_and_a_snippet(commands: Commands) -> None:
    made = commands.project()
    assert set(made) == {"id", "name", "account", "browser_key", "snippet"}
    assert (made["name"], made["account"]) == ("shop", "roastery")
    assert kind_of(made["browser_key"]) is KeyKind.BROWSER
    source = "https://collect.example/catchment.js"
    assert made["snippet"] == f'<script defer src="{source}" data-key="{made["browser_key"]}"></script>'
    (key,) = commands.json("key", "list", "shop")
    assert (key["key"], key["kind"], key["revoked"]) == (made["browser_key"], "browser", False)


@pytest.mark.parametrize(("options", "name"), [([], "catchment"), (["--plus"], "catchment.plus")])
def test_a_snippet_is_the_short_tag(commands: Commands, options: list[str], name: str) -> None:
    made = commands.project()
    found = commands.json("project", "snippet", "shop", *options)
    source = f"https://collect.example/{name}.js"
    assert found == {
        "project": made["id"],
        "browser_key": made["browser_key"],
        "src": source,
        "version": None,
        "integrity": None,
        "snippet": f'<script defer src="{source}" data-key="{made["browser_key"]}"></script>',
    }
    assert commands.run("project", "snippet", "shop", *options).stdout == found["snippet"] + "\n"
    assert commands.store.scripts == {}


@pytest.mark.parametrize(("options", "name"), [([], "catchment"), (["--plus"], "catchment.plus")])
def test_a_pinned_snippet_names_a_version_and_keeps_it(commands: Commands, options: list[str], name: str) -> None:
    made = commands.project()
    script = commands.script(name)
    for _ in range(2):  # handing it out again changes nothing
        found = commands.json("project", "snippet", made["id"], "--sri", *options)
        source = f"https://collect.example/{name}.{script.version}.js"
        assert (found["src"], found["version"], found["integrity"]) == (source, script.version, script.integrity)
        assert found["snippet"] == (
            f'<script defer src="{source}" data-key="{made["browser_key"]}"'
            f' integrity="{script.integrity}" crossorigin="anonymous"></script>'
        )
        assert commands.store.scripts == {(name, script.version): script}


def test_every_version_that_was_handed_out_stays(commands: Commands) -> None:
    commands.project()
    first = commands.json("project", "snippet", "shop", "--sri")
    commands.scripts["catchment"] = b"after an upgrade"
    second = commands.json("project", "snippet", "shop", "--sri")
    assert {version for _, version in commands.store.scripts} == {first["version"], second["version"]}
    assert first["version"] != second["version"]


def test_a_script_that_was_not_built_can_t_be_pinned(commands: Commands) -> None:
    commands.project()
    commands.scripts.clear()
    assert "make assets" in commands.refusal("project", "snippet", "shop", "--sri")
    assert commands.json("project", "snippet", "shop")["version"] is None


def test_a_snippet_has_the_newest_key_that_is_not_revoked(commands: Commands) -> None:
    made = commands.project()
    newer = commands.json("key", "create", "shop", "--kind", "browser")
    commands.json("key", "create", "shop", "--kind", "server")
    assert commands.json("project", "snippet", "shop")["browser_key"] == newer["key"]
    commands.json("key", "revoke", newer["id"])
    assert commands.json("project", "snippet", "shop")["browser_key"] == made["browser_key"]
    commands.json("key", "revoke", made["browser_key"])
    assert "catchment key create" in commands.refusal("project", "snippet", "shop", "--sri")
    assert commands.store.scripts == {}


def test_a_project_shows_its_settings(commands: Commands) -> None:
    made = commands.project()
    assert commands.json("project", "show", "shop") == {
        "id": made["id"],
        "name": "shop",
        "account": "roastery",
        "origins": ["https://shop.example"],
        "bots": "flag",
        "do_not_track": "ignore",
        "privacy": "mask",
        "visitors": "daily",
        "allow_null_origin": False,
        "enabled": True,
        "quotas": [],
    }
    assert commands.json("project", "list") == [commands.json("project", "show", made["id"])]
    for words in (("project", "list"), ("project", "show", "shop")):
        assert "shop" in commands.run(*words).stdout


def test_origins_are_kept_in_one_form(commands: Commands) -> None:
    commands.json("account", "create", "roastery")
    origins = ["HTTPS://Shop.Example:443/", "https://shop.example", "https://müller.example", "http://localhost:*"]
    options = [word for origin in origins for word in ("--origin", origin)]
    commands.json("project", "create", "shop", "--account", "roastery", *options)
    shown = commands.json("project", "show", "shop")["origins"]
    assert sorted(shown) == ["http://localhost:*", "https://shop.example", "https://xn--mller-kva.example"]


@pytest.mark.parametrize(
    "origin",
    [
        "shop.example",
        "ftp://shop.example",
        "https://",
        "https://shop.example/path",
        "https://user@shop.example",
        "https://*.example.com.",
        "https://*",
        "https://*.com",
        "https://a.*.example.com",
        "https://shop.example:99999",
        "https://shop example",
        "null",
        "*",
    ],
)
def test_an_origin_that_is_none_is_refused_in_one_line(commands: Commands, origin: str) -> None:
    commands.json("account", "create", "roastery")
    line = commands.refusal("project", "create", "shop", "--account", "roastery", "--origin", origin)
    assert "origin" in line
    assert commands.json("project", "list") == []


def test_a_project_of_nobody_is_refused(commands: Commands) -> None:
    assert "nobody" in commands.refusal(
        "project", "create", "p", "--account", "nobody", "--origin", "https://a.example"
    )


def test_a_project_is_named_by_its_id_its_account_and_name_or_its_name(commands: Commands) -> None:
    made = commands.project()
    for name in (made["id"], "roastery/shop", "shop"):
        assert commands.json("project", "show", name)["id"] == made["id"]


def test_a_name_that_two_accounts_have_must_be_told_apart(commands: Commands) -> None:
    one, other = commands.project(), commands.project("shop", "other")
    for words in (
        ["project", "show", "shop"],
        ["project", "set", "shop", "--disable"],
        ["key", "create", "shop", "--kind", "server"],
        ["project", "snippet", "shop"],
        ["losses", "--project", "shop"],
        ["key", "list", "shop"],
        ["quota", "set", "--project", "shop", "--window", "day", "--hard", "1"],
    ):
        line = commands.refusal(*words)
        assert "other/shop" in line
        assert "roastery/shop" in line
    assert commands.json("project", "show", "other/shop")["id"] == other["id"]
    assert commands.json("project", "show", one["id"])["id"] == one["id"]


@pytest.mark.parametrize(
    "words",
    [
        ["project", "show", "nothing"],
        ["project", "set", "nothing", "--disable"],
        ["project", "snippet", "nothing"],
        ["losses", "--project", "nothing"],
        ["key", "list", "nothing"],
        ["key", "create", "nothing", "--kind", "server"],
        ["quota", "set", "--project", "nothing", "--window", "day", "--hard", "1"],
        ["quota", "set", "--account", "nothing", "--window", "day", "--hard", "1"],
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_said_in_one_line(commands: Commands, words: list[str]) -> None:
    assert "nothing" in commands.refusal(*words)


def test_a_project_is_changed_and_what_is_not_named_stays(commands: Commands) -> None:
    commands.project()
    options = ["--bots", "filter", "--do-not-track", "filter", "--privacy", "hash", "--visitors", "none"]
    changed = commands.json("project", "set", "shop", *options, "--allow-null-origin", "--disable")
    expected = {
        "bots": "filter",
        "do_not_track": "filter",
        "privacy": "hash",
        "visitors": "none",
        "allow_null_origin": True,
        "enabled": False,
        "origins": ["https://shop.example"],
    }
    assert {name: changed[name] for name in expected} == expected
    assert commands.json("project", "set", "shop", *options) == changed
    again = commands.json("project", "set", "shop", "--enable", "--no-allow-null-origin")
    assert {**changed, "enabled": True, "allow_null_origin": False} == again
    assert commands.json("project", "show", "shop") == again


def test_origins_are_added_and_removed(commands: Commands) -> None:
    commands.project()
    for _ in range(2):
        changed = commands.json(
            "project", "set", "shop", "--add-origin", "https://*.Shop.example", "--add-origin", "http://localhost:*"
        )
        expected = ["http://localhost:*", "https://*.shop.example", "https://shop.example"]
        assert sorted(changed["origins"]) == expected
    changed = commands.json("project", "set", "shop", "--remove-origin", "https://SHOP.example:443")
    assert sorted(changed["origins"]) == ["http://localhost:*", "https://*.shop.example"]
    assert "https://shop.example" in commands.refusal(
        "project", "set", "shop", "--remove-origin", "https://shop.example"
    )


def test_a_server_key_is_shown_once(commands: Commands) -> None:
    project = commands.project()
    made = commands.json("key", "create", "shop", "--kind", "server")
    assert set(made) == {"id", "project", "kind", "key"}
    assert (made["project"], made["kind"]) == (project["id"], "server")
    assert kind_of(made["key"]) is KeyKind.SERVER
    listed = commands.run("key", "list", "shop", "--json")
    assert made["key"] not in listed.stdout
    (row,) = [key for key in document(listed) if key["kind"] == "server"]
    assert set(row) == {"id", "kind", "key", "revoked", "label", "created", "revoked_at", "last_used"}
    assert made["key"].startswith(row["key"].rstrip("…"))
    assert made["key"] not in repr(commands.store)


def test_a_new_server_key_is_alone_on_standard_output(commands: Commands) -> None:
    commands.project()
    result = commands.run("key", "create", "shop", "--kind", "server")
    assert kind_of(result.stdout.strip()) is KeyKind.SERVER
    assert "not shown again" in result.stderr


@pytest.mark.parametrize("named_by", ["key", "id"])
@pytest.mark.parametrize("kind", ["browser", "server"])
def test_a_key_is_revoked_by_its_text_and_by_its_id_and_again(commands: Commands, kind: str, named_by: str) -> None:
    project = commands.project()
    made = commands.json("key", "create", "shop", "--kind", kind)
    for _ in range(2):
        gone = commands.json("key", "revoke", made[named_by])
        assert set(gone) == {"id", "project", "kind", "key", "revoked"}
        assert (gone["id"], gone["project"], gone["revoked"]) == (made["id"], project["id"], True)
        assert kind == "browser" or made["key"] not in json.dumps(gone)
    assert {key["id"]: key["revoked"] for key in commands.json("key", "list", "shop")}[made["id"]]


@pytest.mark.parametrize("key", ["pk_nonsense", "nonsense", "sk_", "00000000-0000-7000-8000-000000000000"])
def test_a_key_that_is_not_there_is_refused(commands: Commands, key: str) -> None:
    commands.project()
    commands.refusal("key", "revoke", key)
    assert [one["revoked"] for one in commands.json("key", "list", "shop")] == [False]


def test_a_mistyped_key_is_told_from_an_unknown_one(commands: Commands) -> None:
    key = commands.project()["browser_key"]
    mistyped = key[:-1] + ("a" if key[-1] != "a" else "b")
    assert "checksum" in commands.refusal("key", "revoke", mistyped)


def test_losses_are_shown_by_day_and_reason(commands: Commands) -> None:
    assert commands.json("losses") == []
    assert commands.run("losses").stdout == "No sender says that it lost an event.\n"
    shop, blog = commands.project(), commands.project("blog", "other")
    commands.store.losses = {
        (shop["id"], date(2026, 11, 2), "expired"): 1500,
        (blog["id"], date(2026, 11, 1), "queue_full"): 2,
    }
    row = {
        "account": "roastery",
        "project": "shop",
        "project_id": shop["id"],
        "day": "2026-11-02",
        "reason": "expired",
        "events": 1500,
    }
    assert commands.json("losses", "--project", "shop") == [row]
    assert [one["project"] for one in commands.json("losses")] == ["blog", "shop"]
    assert "1,500" in commands.run("losses").stdout


def test_tables_of_nothing_say_so_and_are_empty_arrays(commands: Commands) -> None:
    for words in (["account", "list"], ["project", "list"], ["quota", "list"], ["plan", "list"]):
        assert commands.json(*words) == []
        assert commands.run(*words).stdout.startswith("There is no")


@pytest.mark.parametrize("name", ["[red]a", "[bold red]", "a\\[red]b", "\\", "=cmd|' calc'!A0", "\u5496\u5561"])
def test_a_name_is_shown_as_it_is(commands: Commands, name: str) -> None:
    """What is in brackets is not taken for rich's markup."""
    commands.json("account", "create", name)
    assert name in commands.run("account", "list").stdout
    assert commands.json("account", "list")[0]["name"] == name

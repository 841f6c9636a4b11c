"""Making what a script wants to be there, renaming and deleting, by the command line."""

from __future__ import annotations

import pytest

from .acting import Commands, document


def test_a_script_may_make_again_what_is_there_and_reads_the_same_json(commands: Commands) -> None:
    for words in (
        ["account", "create", "roastery"],
        ["project", "create", "shop", "--account", "roastery", "--origin", "https://a.example", "--bots", "filter"],
        ["key", "create", "roastery/shop", "--kind", "browser"],
        ["key", "create", "shop", "--kind", "browser", "--label", "app"],
    ):
        made = commands.json(*words, "--if-missing")
        assert commands.json(*words, "--if-missing") == made
        assert "there already" in commands.run(*words, "--if-missing").stderr
    assert len(commands.json("account", "list")) == len(commands.json("project", "list")) == 1
    assert [key["label"] for key in commands.json("key", "list", "shop")] == [None, "app"]


def test_what_is_there_stays_as_it_is(commands: Commands) -> None:
    made = commands.project()
    again = ["project", "create", "shop", "--account", "roastery", "--origin", "https://b.example", "--privacy", "full"]
    assert commands.json(*again, "--if-missing") == made
    shown = commands.json("project", "show", "shop")
    assert (shown["origins"], shown["privacy"]) == (["https://shop.example"], "mask")
    commands.json("key", "revoke", made["browser_key"])
    assert commands.json(*again, "--if-missing")["browser_key"] not in ("", made["browser_key"])
    assert "bad" in commands.refusal("account", "create", "bad/name", "--if-missing")


def test_a_server_key_that_is_there_is_named_and_its_text_is_not_made_up(commands: Commands) -> None:
    commands.project()
    words = ["key", "create", "shop", "--kind", "server", "--label", "cron", "--if-missing"]
    made = commands.json(*words)
    assert made["key"].startswith("sk_")
    assert commands.json(*words) == {**made, "key": None}
    assert commands.run(*words).stdout == ""
    commands.json("key", "revoke", made["id"])
    assert commands.json(*words)["id"] != made["id"]


def test_a_back_end_s_project_needs_no_origin_and_settings_may_come_with_it(commands: Commands) -> None:
    commands.json("account", "create", "roastery")
    words = ["project", "create", "till", "--account", "roastery"]
    options = ["--bots", "filter", "--privacy", "drop", "--do-not-track", "filter", "--allow-null-origin"]
    made = commands.json(*words, *options)
    assert set(made) == {"id", "name", "account", "browser_key", "snippet"}
    shown = commands.json("project", "show", made["id"])
    assert shown["origins"] == []
    assert {name: shown[name] for name in ("bots", "privacy", "do_not_track", "allow_null_origin", "enabled")} == {
        "bots": "filter",
        "privacy": "drop",
        "do_not_track": "filter",
        "allow_null_origin": True,
        "enabled": True,
    }
    said = commands.run("project", "create", "other", "--account", "roastery").stdout
    assert "--kind server" in said
    assert "<script" not in said


def test_who_removes_the_last_origin_is_told_what_that_means(commands: Commands) -> None:
    commands.project()
    commands.json("project", "set", "shop", "--add-origin", "https://b.example")
    first = commands.run("project", "set", "shop", "--remove-origin", "https://b.example")
    assert first.stderr == ""
    last = commands.run("project", "set", "shop", "--remove-origin", "https://shop.example")
    assert "browser key is refused" in last.stderr


def test_accounts_and_projects_are_renamed(commands: Commands) -> None:
    made = commands.project()
    assert commands.json("project", "rename", "shop", "store") == {
        "id": made["id"],
        "name": "store",
        "account": "roastery",
    }
    assert commands.json("account", "rename", "roastery", "Roastery Ltd")["name"] == "Roastery Ltd"
    assert commands.json("project", "show", "Roastery Ltd/store")["id"] == made["id"]
    commands.project("shop", "other")
    assert "other" in commands.refusal("account", "rename", "Roastery Ltd", "other")
    assert "nothing" in commands.refusal("project", "rename", "nothing", "a")


def test_a_project_is_deleted_in_three_steps_and_its_usage_is_billed_all_the_same(commands: Commands) -> None:
    made = commands.project()
    commands.store_events(made["id"], 3)
    delete = ["project", "delete", "roastery/shop"]
    assert "--disable" in commands.refusal(*delete, "--yes")
    commands.json("project", "set", "shop", "--disable")
    asked = commands.run(*delete)
    assert asked.exit_code == 1
    assert "3 events" in asked.stderr
    assert "usage stays" in asked.stderr
    gone = {"id": made["id"], "name": "shop", "account": "roastery", "deleted": True}
    assert commands.json(*delete, "--yes") == {**gone, "events": 3}
    assert commands.json(*delete, "--yes") == {**gone, "events": 0}
    assert commands.json("project", "list") == []
    usage = commands.json("usage")
    assert commands.json("usage", "--project", "roastery/shop") == usage
    assert [row["events"] for row in usage] == [3]
    assert "shop (deleted)" in commands.run("usage").stdout
    assert commands.json("audit") == {"ok": True, "differences": []}
    assert commands.json("billing", "push", "--backend", "csv")["pushed"] == 1
    assert commands.project()["id"] != made["id"]


def test_an_account_is_deleted_after_its_projects(commands: Commands) -> None:
    commands.project()
    assert "shop" in commands.refusal("account", "delete", "roastery", "--yes")
    commands.json("project", "set", "shop", "--disable")
    commands.json("project", "delete", "shop", "--yes")
    assert commands.run("account", "delete", "roastery").exit_code == 1
    for _ in range(2):
        assert commands.json("account", "delete", "roastery", "--yes")["deleted"] is True
    assert commands.json("account", "list") == []
    commands.json("account", "create", "roastery")


@pytest.mark.parametrize("named_by", ["key", "id"])
def test_a_key_is_deleted_after_it_was_revoked(commands: Commands, named_by: str) -> None:
    commands.project()
    made = commands.json("key", "create", "shop", "--kind", "server", "--label", "till")
    assert "revoked" in commands.refusal("key", "delete", made[named_by])
    commands.json("key", "revoke", made["id"])
    assert commands.json("key", "delete", made[named_by])["deleted"] is True
    assert made["id"] not in [key["id"] for key in commands.json("key", "list", "shop")]


def test_the_demo_is_not_billed_and_shown_when_it_is_named(commands: Commands) -> None:
    shop = commands.project()
    hello = commands.project("hello", "demo")
    commands.store.accounts = {
        name: type(one)(id=one.id, name=one.name, demo=one.name == "demo")
        for name, one in commands.store.accounts.items()
    }
    for project in (shop, hello):
        commands.store_events(project["id"], 2)
    assert [row["account"] for row in commands.json("usage")] == ["roastery"]
    assert [row["account"] for row in commands.json("usage", "--project", "hello")] == ["demo"]
    assert [row["account"] for row in commands.json("usage", "--account", "demo")] == ["demo"]
    assert commands.json("billing", "push", "--backend", "csv")["pushed"] == 1


def test_what_is_empty_says_what_is(commands: Commands) -> None:
    commands.project()
    assert "2026-10" in commands.run("usage", "--period", "2026-10").stdout
    assert "of shop" in commands.run("usage", "--project", "shop").stdout
    assert "of shop" in commands.run("losses", "--project", "shop").stdout
    assert document(commands.run("usage", "--period", "2026-10", "--json")) == []

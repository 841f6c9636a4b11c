"""What `catchment config check` finds, and that it leaves everything as it was."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from catchment.adapters.cli.commands import build
from catchment.config.main import actions_of

from ..support.database import Server

Checked = tuple[int, dict[str, list[dict[str, str]]]]


def check(**environment: str) -> Checked:
    """The exit code, and what was found, by name. The port is any free one unless given."""
    clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith(("CATCHMENT_", "PG"))}
    own = {"CATCHMENT_CONFIG": "", "CATCHMENT_HTTP__PORT": "0"}
    given = {f"CATCHMENT_{name}": value for name, value in environment.items()}
    result = CliRunner().invoke(build(actions_of), ["config", "check", "--json"], env={**clean, **own, **given})
    document: dict[str, Any] = json.loads(result.stdout)
    found: dict[str, list[dict[str, str]]] = {}
    for one in document["checks"]:
        assert one["advice"] or one["level"] == "ok"
        found.setdefault(one["name"], []).append(one)
    assert document["ok"] == (result.exit_code == 0)
    return result.exit_code, found


def said(found: dict[str, list[dict[str, str]]], level: str) -> str:
    return "\n".join(f"{n}: {one['message']}" for n, all_ in found.items() for one in all_ if one["level"] == level)


def test_an_installation_that_is_fine_passes_and_nothing_is_made(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "postgresql"
    code, found = check(
        DATABASE__DIRECTORY=str(directory), HTTP__PUBLIC_URL="https://e.example", HTTP__TRUSTED_PROXIES="::1"
    )
    assert (code, said(found, "fail")) == (0, "")
    assert "it does not run" in found["database"][0]["message"]
    assert not directory.parent.exists()


def test_what_is_wrong_with_plugins_and_files_is_found_all_at_once(tmp_path: Path) -> None:
    toml = tmp_path / "bad.toml"
    toml.write_text(
        '[database]\nurl = "postgresql://u:secret@127.0.0.1:1/nothing"\n'
        '[plugins]\ndisabled = ["nope"]\n[plugins.geografy]\na = 1\n[plugins.csv]\npth = "x"\n'
        '[plugins.geography]\ndatabase = "/nowhere.mmdb"\n'
        '[http]\ntrusted_proxies = ["0.0.0.0/0"]\noperator_networks = ["::/0"]\ndrain_seconds = 1\n'
    )
    toml.chmod(0o644)
    code, found = check(CONFIG=str(toml))
    assert code == 2
    for words in ("'nope'", "geografy", "pth is not", "no file /nowhere.mmdb", "Connection refused"):
        assert words in said(found, "fail")
    for words in (
        "everybody may read",
        "anybody can make up",
        "anybody may read /metrics",
        "cut requests",
        "public_url",
    ):
        assert words in said(found, "warn")
    assert "secret" not in str(found)
    mended = {"CONFIG": "", "DATABASE__URL": "postgresql://127.0.0.1:1/nothing"}
    assert check(**mended)[0] == 1
    code, found = check(HTTP__WORKERS="two", HTTP__HOST="http://x")
    assert (code, len(found["settings"])) == (2, 2)


def test_a_port_that_is_taken_is_found_and_by_whom() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, found = check(HTTP__PORT=str(taken.getsockname()[1]))
    assert code == 1
    assert f"(process {os.getpid()}) has it" in said(found, "fail")


def test_a_database_that_can_t_be_used_says_why(embedded_server: Server) -> None:
    with embedded_server.empty() as database:
        code, found = check(DATABASE__URL=database.dsn)
        assert (code, said(found, "fail").count("behind")) == (1, 1)
        database.execute("CREATE ROLE guest LOGIN; CREATE SCHEMA catchment")
        guest = database.dsn.replace("//postgres@", "//guest@")
        assert "no right in the schema" in said(check(DATABASE__URL=guest)[1], "fail")
        database.execute("DROP SCHEMA catchment")
        assert "may not make the schema" in said(check(DATABASE__URL=guest)[1], "fail")
        database.execute("ALTER ROLE guest SET default_transaction_read_only = on")
        assert "only reads" in said(check(DATABASE__URL=guest)[1], "fail")
        database.execute("DROP ROLE guest")
    with embedded_server.copy() as database:
        code, found = check(DATABASE__URL=database.dsn, DATABASE__WRITERS="8", HTTP__WORKERS="64")
        assert found["schema"][0]["message"] == "at this version"
        assert "max_connections" in said(found, "fail")
        assert "only reads" not in said(found, "fail")


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_folder_of_the_embedded_database_is_looked_at(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "data"
    directory.mkdir(mode=mode)
    _, found = check(DATABASE__DIRECTORY=str(directory))
    assert ("others may enter" in said(found, "warn")) == (mode == 0o755)
    (directory / "letter").write_text("mine")
    code, found = check(DATABASE__DIRECTORY=str(directory))
    assert code == 1
    assert "holds other files" in said(found, "fail")
    assert sorted(one.name for one in directory.iterdir()) == ["letter"]

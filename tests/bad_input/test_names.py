"""Names of accounts and projects, which people choose and other people look at: in tables, and in a billing file."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ..support.running import make_projects
from .rows import check_stored, event
from .serving import ORIGIN, AuditedCollector

ACCOUNT = "=cmd|' C calc'!A0"
PROJECTS = {
    "formula by plus": "+1+cmd|' C calc'!A0",
    "formula by minus": "-2+3",
    "formula by at": "@SUM(1+1)",
    "img onerror": '<img src="x" onerror="alert(1)">',
    "rich markup": "[bold red]x[blink]y",
    "a comma and quotes": '",=1+1,"',
    "__proto__": "__proto__",
}


@pytest.fixture(scope="module")
def named(site: AuditedCollector) -> list[str]:
    """Projects of these names, with an event each."""
    for project in make_projects(site.database.dsn, *PROJECTS.values(), account=ACCOUNT, origins=[ORIGIN]):
        with site.wire() as wire:
            check_stored(site.ask(wire, event(eventId=f"named {project.id}"), key=project.browser_key))
    return [ACCOUNT, *PROJECTS.values()]


@pytest.mark.parametrize("name", ["\x1b[2J\x1b]0;title\x07", "a\udc80"], ids=["ANSI", "half a surrogate pair"])
def test_names_that_a_terminal_or_a_person_would_misread_are_refused(site: AuditedCollector, name: str) -> None:
    """The others are tried in tests/core/test_administer.py."""
    refused = site.installation.run("account", "create", "--", name)
    assert (refused.returncode, refused.stdout) == (1, "")


@pytest.mark.parametrize("command", ["account list", "project list", "usage"])
def test_tables_show_names_as_they_are(site: AuditedCollector, named: list[str], command: str) -> None:
    site.installation.environment["COLUMNS"] = "250"
    shown = site.installation.run(*command.split()).stdout
    assert {letter for letter in shown if not letter.isprintable()} <= {"\n"}
    for name in [ACCOUNT] if command == "account list" else named:
        assert name in shown, shown


def test_no_cell_of_the_billing_file_is_a_formula(site: AuditedCollector, named: list[str], tmp_path: Path) -> None:
    target = tmp_path / "billing.csv"
    settings = {"PLUGINS__DISABLED": "", "PLUGINS__CSV__PATH": target}
    done = site.installation.run("billing", "push", "--backend", "csv", **settings)
    assert done.returncode == 0, done.stderr
    with target.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert {f"'{name}" if name[0] in "=+-@" else name for name in named} <= set(cells)

"""Tables fit the terminal, and what people copy is never cut."""

from __future__ import annotations

import io
import unicodedata
from typing import Any

import pytest
from rich.console import Console

from catchment.adapters.cli.tables import Fitted, fitted

ID = "01a2095a-19ad-761d-94f9-37e2754b1ef7"
COLUMNS = {"account": "Account", "name": "Project", "origins": "Origins", "enabled": "Enabled", "id": "Id"}
ROW = {
    "account": "a roastery with a long name",
    "name": "shop",
    "origins": ["https://shop.example", "https://*.shop.example:8443"],
    "enabled": True,
    "id": ID,
}


def lines_of(found: Fitted, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(found.table, soft_wrap=found.is_list)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def cells(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line.rstrip())


@pytest.mark.parametrize("width", [200, 120, 100, 80, 60, 40])
@pytest.mark.parametrize("name", ["shop", "a shop whose name is long as well", "焙煎所のとても長い名前の店です"])
def test_an_id_is_whole_at_any_width_and_no_line_is_wider(width: int, name: str) -> None:
    found = fitted([{**ROW, "name": name}] * 2, COLUMNS, width, droppable=["origins", "enabled"])
    lines = lines_of(found, width)
    assert sum(ID in line for line in lines) == 2
    if not found.is_list:
        assert all(cells(line) <= width for line in lines)
    text = " ".join(lines)
    assert all((heading in text) != (heading in found.left_out) for heading in COLUMNS.values())


def test_texts_are_shortened_first_then_columns_left_out_then_rows_become_records() -> None:
    def found(width: int) -> tuple[bool, tuple[str, ...]]:
        what = fitted([ROW], COLUMNS, width, droppable=["origins", "enabled"])
        return what.is_list, what.left_out

    assert found(120) == (False, ())
    assert found(90) == (False, ())
    assert found(70) == (False, ("Origins",))
    assert found(60) == (False, ("Origins", "Enabled"))
    assert found(40) == (True, ())


@pytest.mark.parametrize("width", [80, 24, 10])
def test_numbers_and_keys_are_whole_too(width: int) -> None:
    rows: list[dict[str, Any]] = [{"key": "pk_" + "k" * 28, "events": 12_345_678}]
    lines = lines_of(fitted(rows, {"key": "Key", "events": "Events"}, width), width)
    assert any("pk_" + "k" * 28 in line for line in lines)
    assert any("12,345,678" in line for line in lines)


def test_no_cell_steers_the_terminal() -> None:
    row = {**ROW, "name": "a\x1b[2J\x9b\u202e", "origins": ["b\r"]}
    for width in (200, 40):
        assert all(line.isprintable() for line in lines_of(fitted([row], COLUMNS, width), width))

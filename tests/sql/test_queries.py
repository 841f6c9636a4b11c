"""The named queries: each is documented, used, and there where it is used."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from catchment import sql

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / "sql" / "queries"
NAMES = sorted(sql.queries())


def code() -> dict[Path, ast.Module]:
    """The Python of everything that may run a query."""
    files = [file for root in ("adapters", "config") for file in (CHECKOUT / root).rglob("*.py")]
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}


CODE = code()


def calls() -> list[tuple[str, ast.Call]]:
    """Every `….run("name", …)` and `….query("name")`."""
    return [
        (str(node.args[0].value), node)
        for tree in CODE.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("run", "query")
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]


def test_every_query_says_what_it_does() -> None:
    assert len(NAMES) > 20
    assert [name for name in NAMES if not re.fullmatch(r"-- [A-Z].*", sql.query(name).splitlines()[0])] == []


def test_every_query_is_used_and_every_query_that_is_used_is_there() -> None:
    texts = {
        node.value
        for tree in CODE.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(NAMES) - texts == set()
    assert {name for name, _ in calls()} - set(NAMES) == set()


def test_a_query_gets_the_parameters_that_it_names() -> None:
    wrong = []
    for name, call in calls():
        if name not in NAMES or any(keyword.arg is None for keyword in call.keywords):
            continue
        given = {str(keyword.arg) for keyword in call.keywords}
        named = set(re.findall(r"%\((\w+)\)s", sql.query(name)))
        assert isinstance(call.func, ast.Attribute)
        if call.func.attr == "run" and given != named:
            wrong.append((name, given ^ named))
    assert wrong == []


def test_a_file_holds_queries_and_nothing_before_them() -> None:
    for file in FOLDER.iterdir():
        text = file.read_text(encoding="utf-8")
        assert re.fullmatch(r"[a-z_]+\.sql", file.name)
        assert text.startswith("-- name: "), file
        assert text.count("-- name:") == len(re.findall(r"^-- name: [a-z_]+$", text, re.MULTILINE)), file


def test_a_name_that_is_not_there_is_said() -> None:
    with pytest.raises(KeyError):
        sql.query("nothing of this name")


def test_no_two_queries_have_one_name() -> None:
    names = re.findall(r"^-- name: (\w+)$", "".join(f.read_text() for f in FOLDER.iterdir()), re.MULTILINE)
    assert sorted(names) == NAMES


def test_what_a_comment_in_the_schema_speaks_of_is_there() -> None:
    """A function that a comment names and nobody wrote sends an operator nowhere."""
    text = "".join(file.read_text(encoding="utf-8") for file in Path(sql.migrations()).iterdir())
    made = set(re.findall(r"CREATE (?:OR REPLACE )?FUNCTION catchment\.(\w+)", text))
    assert set(re.findall(r"catchment\.(\w+)\(", text)) <= made

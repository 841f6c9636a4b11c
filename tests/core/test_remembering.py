"""What is remembered of texts that come from outside."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from catchment.core.remembering import LETTERS, remember_short

ROOT = Path(__file__).parents[2]
OWN = {
    ("core/remembering.py", "remember_short"): "judges the length first",
    ("core/origins.py", "_read_origin"): "its caller judges the length of the authority first",
    ("adapters/http/application.py", "_http_date"): "of a number of ours",
    ("adapters/postgres/named_rows.py", "_row_type"): "of the columns of queries of ours",
    ("adapters/postgres/rows.py", "_columns_of"): "of results of plugins, whose texts are bounded",
    ("adapters/http/engine/addresses.py", "__init__"): "of addresses of connections, as the system says them",
    ("adapters/http/operations/front.py", "_read"): "of nothing",
    ("adapters/postgres/embedded.py", "_server_class"): "of nothing",
}
"""Every use of a cache from `functools` in what is served, by file and function, and why it may be."""


def test_a_short_text_is_worked_out_once_and_others_are_not_kept() -> None:
    asked: list[str] = []
    ask = remember_short(lambda text: asked.append(text) or len(text), entries=10)
    for text in ("a" * LETTERS, "a" * (LETTERS + 1), "é"):
        assert (ask(text), ask(text)) == (len(text), len(text))
    assert asked == ["a" * LETTERS, *["a" * (LETTERS + 1)] * 2, "é", "é"]


@pytest.mark.parametrize("folder", ["core", "plugins", "adapters/http", "adapters/postgres", "adapters/system"])
def test_no_cache_keeps_a_text_that_a_client_may_size(folder: str) -> None:
    """A cache of `functools` keeps its arguments: `remember_short` for a text from outside, or a line in `OWN`."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            caches = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)} & {"lru_cache", "cache"}
            where = (path.relative_to(ROOT).as_posix(), function.name)
            assert not caches or where in OWN, f"{where} keeps its arguments: use core/remembering.py"
        module = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
        names = {n.id for node in module for n in ast.walk(node) if isinstance(n, ast.Name)}
        assert "lru_cache" not in names, f"{path}: a cache at the level of the module"

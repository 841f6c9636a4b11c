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
    ("sql/__init__.py", "queries"): "of nothing",
}
"""Every use of a cache from `functools` in what is served, by file and function, and why it may be."""


def test_a_short_text_is_worked_out_once_and_others_are_not_kept() -> None:
    asked: list[str] = []
    ask = remember_short(lambda text: asked.append(text) or len(text), entries=10)
    for text in ("a" * LETTERS, "a" * (LETTERS + 1), "é"):
        assert (ask(text), ask(text)) == (len(text), len(text))
    assert asked == ["a" * LETTERS, *["a" * (LETTERS + 1)] * 2, "é", "é"]


def uses_of_caches(tree: ast.Module) -> set[str]:
    """The functions that a cache of `functools` is on or in; empty text: the module or a class itself."""
    found = set()

    def look(node: ast.AST, function: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name
        read = isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)
        if read and ast.unparse(node).removeprefix("functools.") in ("lru_cache", "cache"):
            found.add(function)
        for child in ast.iter_child_nodes(node):
            look(child, function)

    look(tree, "")
    return found


def test_no_cache_keeps_a_text_that_a_client_may_size() -> None:
    """A cache of `functools` keeps its arguments: `remember_short` for a text from outside, or a line in `OWN`."""
    found = {
        (path.relative_to(ROOT).as_posix(), function)
        for folder in ("core", "plugins", "adapters", "config", "sql")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for function in uses_of_caches(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found - OWN.keys() == set(), "it keeps its arguments: use core/remembering.py"
    assert OWN.keys() - found == set(), "it is there no more"


@pytest.mark.parametrize(
    ("code", "functions"),
    [
        ("@lru_cache\ndef f(): ...", {"f"}),
        ("class A:\n @functools.cache\n def f(self): ...", {"f"}),
        ("async def f():\n  def g(): return lru_cache(9)(h)", {"g"}),
        ("f = lru_cache(9)(g)", {""}),
        ("class A:\n f = functools.lru_cache(9)(g)", {""}),
        ("class A:\n cache: str = ''\n def f(self): return self.cache", set()),
    ],
)
def test_every_form_of_a_cache_is_seen(code: str, functions: set[str]) -> None:
    assert uses_of_caches(ast.parse(code)) == functions

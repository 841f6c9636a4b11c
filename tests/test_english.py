"""Rules of English that a program can check. CONTRIBUTING has all of them, with examples."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("adapters", "clients/python/src", "config", "core", "plugins", "sql")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
QUESTIONS = {"How", "What", "Whatever", "When", "Where", "Whether", "Who", "Whoever", "Why"}


def docstrings(module: Path) -> Iterator[tuple[int, str]]:
    """Yield the docstrings of a module, with their lines, those of attributes among them."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        body = getattr(node, "body", [])
        for statement in body if isinstance(body, list) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                text = statement.value.value
                if isinstance(text, str):
                    yield statement.lineno, text


def test_a_docstring_begins_with_a_verb_or_names_the_thing() -> None:
    """A docstring that begins with a question word is a clause, and hard to read for whoever is new to English."""
    found = [
        f"{module.relative_to(ROOT).as_posix()}:{line}: {text[:60]}"
        for module in MODULES
        for line, text in docstrings(module)
        if text.split(None, 1)[0] in QUESTIONS
    ]
    assert found == []

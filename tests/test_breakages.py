"""The list of deliberate breakages fits the code: `make breakages` makes them, these tests only look."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .breakages import BREAKAGES
from .breakages.breakage import Breakage

TESTS = Path(__file__).resolve().parent


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: breakage.name)
def test_a_breakage_can_be_made_and_names_tests_that_are_there(breakage: Breakage) -> None:
    for change in breakage.changes:
        broken = change.changed(TESTS.parent)
        if change.file.endswith(".py"):
            ast.parse(broken, change.file)  # else the code only crashes
    for test in (*breakage.tests, *breakage.still_green):
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}(" in (TESTS / file).read_text(encoding="utf-8"), test


def test_a_name_is_given_once() -> None:
    assert len({breakage.name for breakage in BREAKAGES}) == len(BREAKAGES)

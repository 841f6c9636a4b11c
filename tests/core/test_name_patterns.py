"""Patterns of event names."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catchment.core.errors import Invalid
from catchment.core.metering.patterns import ALL_NAMES, LONGEST_PATTERN, NamePattern

from ..support.name_patterns import CASES, names, patterns


def by_the_definition(pattern: str, name: str) -> bool:
    """Match as the definition says, by a regular expression: right, and slow for hostile names."""
    tokens = re.findall(r"\\[*\\]|[^\\]", pattern, re.DOTALL)
    expression = "".join(".*" if token == "*" else re.escape(token[-1]) for token in tokens)
    return re.fullmatch(expression, name, re.DOTALL) is not None


def by_like(like: str, name: str) -> bool:
    r"""Match as PostgreSQL's documentation describes LIKE with the escape character ``\``."""
    tokens = re.findall(r"\\.|[^\\]", like, re.DOTALL)
    assert "".join(tokens) == like, "LIKE refuses a pattern that ends with its escape character"
    special = {"%": ".*", "_": "."}
    return re.fullmatch("".join(special.get(t) or re.escape(t[-1]) for t in tokens), name, re.DOTALL) is not None


@pytest.mark.parametrize(("pattern", "name", "matches"), CASES)
def test_a_case_of_the_list(pattern: str, name: str, matches: bool) -> None:
    read = NamePattern.parse(pattern)
    assert read.matches(name) is matches
    assert by_like(read.like, name) is matches


@given(patterns, names)
@example("a*ab*b", "aabb")
def test_a_pattern_matches_what_its_definition_says(pattern: str, name: str) -> None:
    assert NamePattern.parse(pattern).matches(name) is by_the_definition(pattern, name)


@given(patterns, names)
def test_like_matches_the_same(pattern: str, name: str) -> None:
    read = NamePattern.parse(pattern)
    assert by_like(read.like, name) is read.matches(name)


@given(patterns)
def test_a_pattern_is_read_as_it_is_written(pattern: str) -> None:
    read = NamePattern.parse(pattern)
    assert NamePattern.parse(str(read)) == read
    assert len(str(read)) <= len(pattern)


@given(names.filter(bool))
def test_a_name_with_escapes_is_a_pattern_of_itself_alone(name: str) -> None:
    read = NamePattern.parse(name.replace("\\", r"\\").replace("*", r"\*"))
    assert read.pieces == (name,)
    assert read.matches(name)
    assert not read.matches(name + "a")


@given(st.text())
def test_all_names_are_matched_by_a_star(name: str) -> None:
    assert ALL_NAMES.matches(name)


def test_patterns_that_mean_the_same_are_equal() -> None:
    assert NamePattern.parse("***") == NamePattern.parse("*") == ALL_NAMES
    assert NamePattern.parse("a**b*") == NamePattern.parse("a*b*")
    assert NamePattern.parse(r"a\*") != NamePattern.parse("a*")


class CountedName(str):
    """A name that counts the searches in it."""

    searches = 0

    def find(self, *arguments: object) -> int:  # type: ignore[override]
        CountedName.searches += 1
        return super().find(*arguments)  # type: ignore[arg-type]


def test_a_hostile_name_is_searched_once_for_each_piece() -> None:
    """A matcher that tries again from later places would search thousands of times."""
    CountedName.searches = 0
    assert not NamePattern.parse("*a*a*a*b*").matches(CountedName("a" * 120))
    assert CountedName.searches == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "an empty pattern"),
        ("a" * (LONGEST_PATTERN + 1), "a pattern of 251 characters: at most 250"),
        ("*a*b*c*d*e*", "6 stars: at most 5"),
        (r"a\b", r"\ at character 2"),
        ("a\\", r"\ at character 2"),
        ("a\x00", "NUL"),
        ("a\ud800*", "surrogate"),
        ("\x1b[2J\\", "\ufffd[2J"),
    ],
)
def test_a_bad_pattern_is_refused(text: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        NamePattern.parse(text)
    assert words in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_the_longest_pattern_is_read() -> None:
    assert NamePattern.parse("a" * LONGEST_PATTERN).matches("a" * LONGEST_PATTERN)
    assert NamePattern.parse("*a*b*c*d*").matches("abcd")

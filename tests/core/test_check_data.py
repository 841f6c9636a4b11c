"""`event_data`: its limits, the columns that are taken out of it, and numbers of every size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from catchment.core.collecting.check_data import too_deep
from catchment.core.limits import Limits
from catchment.core.outcomes import WarningCode

from ..support.house import a_payload
from .test_check_fields import Found, check


def check_data(data: Any, limits: Limits | None = None) -> Found:
    return check(a_payload(event_data=data), limits=limits or Limits())


def nested(levels: int, innermost: Any = 1) -> Any:
    """Objects in one another, so many."""
    for _ in range(levels):
        innermost = {"in": innermost}
    return innermost


@pytest.mark.parametrize("data", [0, 1.5, True, "text", [{}]])
def test_data_is_an_object(data: object) -> None:
    assert list(check_data(data).errors) == ["event_data"]


def test_an_empty_array_is_an_empty_object_as_php_writes_it() -> None:
    found = check_data([])
    assert (found.event.data, found.warnings) == ({}, [(WarningCode.WRONG_TYPE, "event_data")])


@pytest.mark.parametrize("data", [None, {}])
def test_data_may_be_missing(data: object) -> None:
    assert check_data(data).event.data == {}


def test_what_is_within_the_limits_is_kept_as_it_came() -> None:
    data = {"text": "x" * 2000, "n" * 100: None, "list": [True] * 100, "deep": {"a": {"b": {"c": 1.5}}}, "": 0}
    found = check_data(data)
    assert found.event.data == data
    assert list(found.event.data) == list(data)
    assert found.warnings == []


def test_fifty_keys_are_kept() -> None:
    found = check_data({f"key{n}": n for n in range(51)})
    assert list(found.event.data) == [f"key{n}" for n in range(50)]
    assert found.warnings == [(WarningCode.DROPPED, "event_data")]


def test_keys_of_inner_objects_are_counted_by_themselves() -> None:
    found = check_data({"a": {f"key{n}": n for n in range(51)}, "b": {f"key{n}": n for n in range(50)}})
    assert (len(found.event.data["a"]), len(found.event.data["b"])) == (50, 50)
    assert found.warnings == [(WarningCode.DROPPED, "event_data.a")]


def test_a_key_that_is_too_long_is_dropped() -> None:
    found = check_data({"k" * 101: 1, "good": 2})
    assert found.event.data == {"good": 2}
    assert [code for code, _ in found.warnings] == [WarningCode.DROPPED]


def test_a_text_that_is_too_long_is_cut() -> None:
    found = check_data({"a": "x" * 2001, "b": ["y" * 2001]})
    assert found.event.data == {"a": "x" * 2000, "b": ["y" * 2000]}
    assert found.warnings == [(WarningCode.CUT, "event_data.a"), (WarningCode.CUT, "event_data.b[0]")]


def test_an_array_that_is_too_long_loses_its_end() -> None:
    found = check_data({"a": list(range(101))})
    assert found.event.data == {"a": list(range(100))}
    assert found.warnings == [(WarningCode.DROPPED, "event_data.a")]


def test_four_levels_are_kept_and_the_fifth_is_dropped() -> None:
    assert check_data(nested(4)).event.data == nested(4)
    found = check_data(nested(5))
    assert found.event.data == nested(3, {})
    assert found.warnings == [(WarningCode.DROPPED, "event_data.in.in.in.in")]


def test_arrays_are_levels_too() -> None:
    found = check_data({"a": [[["kept", ["dropped"]]]]})
    assert found.event.data == {"a": [[["kept"]]]}
    assert found.warnings == [(WarningCode.DROPPED, "event_data.a[0][0][1]")]


def test_characters_that_can_not_be_stored_are_replaced_everywhere() -> None:
    found = check_data({"a\x00": "\ud800", "b": ["\x00", {"\udfff": 1}], "label": "x\x00"})
    assert found.event.data == {"a\ufffd": "\ufffd", "b": ["\ufffd", {"\ufffd": 1}]}
    assert found.event.label == "x\ufffd"
    assert {code for code, _ in found.warnings} == {WarningCode.CHARACTERS_REPLACED}


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("where", ["value", "other", "list", "object"])
def test_a_number_out_of_range_refuses_its_event(number: float, where: str) -> None:
    data = {"list": {"a": [number]}, "object": {"a": {"b": number}}}.get(where, {where: number})
    found = check_data(data)
    assert found.kept is None
    assert [name.startswith("event_data.") for name in found.errors] == [True]


def test_no_more_errors_are_said_than_warnings() -> None:
    """Else a small event of bad numbers alone is answered with ten times its size, and a batch with megabytes."""
    found = check_data({f"key{n}": [float("inf")] * 100 for n in range(50)})
    assert 0 < len(found.errors) <= Limits().warnings


# category, label and value


def test_category_label_and_value_get_columns_of_their_own() -> None:
    event = check_data({"category": "CTA", "label": "", "value": 3, "rest": 1}).event
    assert (event.category, event.label, event.value, event.data) == ("CTA", "", 3.0, {"rest": 1})
    assert type(event.value) is float


@pytest.mark.parametrize("name", ["category", "label"])
@pytest.mark.parametrize("value", [0, 1.5, True, [], {}, ["a"]])
def test_a_category_or_label_of_another_type_stays_in_the_data(name: str, value: object) -> None:
    found = check_data({name: value})
    assert getattr(found.event, name) is None
    assert found.event.data == {name: value}
    assert found.warnings == [(WarningCode.WRONG_TYPE, f"event_data.{name}")]


@pytest.mark.parametrize("value", ["1", True, False, [], {}, 10**400, -(10**400)])
def test_a_value_that_is_no_number_of_a_doubles_range_stays_in_the_data(value: object) -> None:
    found = check_data({"value": value})
    assert found.event.value is None
    assert found.event.data == {"value": value}
    assert found.warnings == [(WarningCode.WRONG_TYPE, "event_data.value")]


@pytest.mark.parametrize("value", [0, -0.0, 1.5, -7, 1e308, 5e-324, 2**53])
def test_a_number_is_a_value(value: float) -> None:
    found = check_data({"value": value})
    assert (found.event.value, found.event.data, found.warnings) == (float(value), {}, [])


@pytest.mark.parametrize("value", [2**53 + 1, 2**64 + 1, -(10**30) - 1])
def test_an_integer_that_a_double_can_not_hold_is_not_silently_another_one(value: int) -> None:
    """`value` is a double; integers stay exact, never silently a float."""
    found = check_data({"value": value})
    assert found.event.data == {"value": value}
    assert found.warnings == [(WarningCode.WRONG_TYPE, "event_data.value")]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"value": "12"}, "text, not a number"),
        ({"value": True}, "true or false, not a number"),
        ({"value": 2**53 + 1}, "a number that a double does not hold exactly"),
        ({"label": 7}, "a number, not text"),
        ({"category": ["x"]}, "an array, not text"),
    ],
)
def test_a_warning_says_what_the_value_is(data: object, words: str) -> None:
    assert check_data(data).details == [f"{words}; it stays in the data"]


@pytest.mark.parametrize("name", ["category", "label", "value"])
def test_a_column_that_is_null_is_not_there(name: str) -> None:
    found = check_data({name: None})
    assert getattr(found.event, name) is None
    assert found.warnings == []


def test_a_category_is_cut_like_any_text_of_the_data() -> None:
    found = check_data({"category": "x" * 2001})
    assert found.event.category == "x" * 2000
    assert found.warnings == [(WarningCode.CUT, "event_data.category")]


def test_limits_are_settings() -> None:
    limits = replace(Limits(), data_keys=1, data_string=2, data_array=1, data_depth=2, data_key=3, warnings=2)
    found = check_data({"long": 1, "a": ["xyz", 2], "b": 1}, limits)
    assert found.event.data == {"a": ["xy"]}
    assert len(found.warnings) == 2


# depth


@pytest.mark.parametrize(
    ("value", "levels"), [(1, 0), ("x", 0), ([], 1), ({}, 1), ([[]], 2), ({"a": [1, {"b": 2}]}, 3), (nested(64), 64)]
)
def test_depth_is_levels_of_arrays_and_objects(value: object, levels: int) -> None:
    assert not too_deep(value, levels)
    if levels:
        assert too_deep(value, levels - 1)


def test_measuring_the_depth_does_not_recurse() -> None:
    bottomless: list[Any] = []
    for _ in range(100_000):
        bottomless = [bottomless]
    assert too_deep(bottomless, 64)
    while bottomless:  # freeing it would recurse
        bottomless = bottomless.pop()

"""The table of fields, and the documents that repeat it for people."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from catchment.core.event import KNOWN_FIELDS, OWN, REQUEST, TEXTS, VISITOR, Event, blank_columns
from catchment.core.fields import Over
from catchment.core.limits import Limits

DOCS = Path(__file__).resolve().parents[2] / "docs"
OVER = {Over.REFUSE: "refused", Over.CUT: "cut", Over.DROP: "left out"}


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """Return the rows of the first table under a heading, by the name in their first cell."""
    section = (DOCS / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = {}
    for line in re.findall(r"^\| (`.*) \|$", section, flags=re.MULTILINE):
        name, *cells = line.split(" | ")
        found[name.strip("`")] = [cell.strip() for cell in cells]
    return found


def test_the_documented_fields_are_those_of_the_table() -> None:
    documented = rows("collecting.md", "Fields")
    assert set(documented) == KNOWN_FIELDS
    for text in TEXTS.values():
        kind, longest, over, *_ = documented[text.wire]
        assert (kind, longest) == ("text", f"{text.longest:,}")
        assert over.startswith(OVER[text.over])


def test_the_documented_limits_are_those_of_the_table() -> None:
    documented = {
        name.removeprefix("limits."): cells
        for name, cells in rows("running.md", "Settings").items()
        if "limits." in name
    }
    limits = Limits().by_name()
    assert set(documented) - {"rate_per_key", "rate_per_address", "burst_per_address"} == set(limits)
    for name, limit in limits.items():
        assert documented[name][0] == f"{limit:,}"
    for text in TEXTS.values():
        assert documented[text.limit][2] == f"characters; longer is {OVER[text.over]}"


def test_every_column_is_of_the_request_of_the_event_or_of_its_visitor() -> None:
    names = Event._fields
    assert (*names[REQUEST], *names[OWN], *names[VISITOR]) == names
    assert names[REQUEST] == ("project_id", "key_kind", "received_at")


def test_an_event_has_the_columns_of_the_table_and_no_others() -> None:
    columns = blank_columns()
    assert list(columns) == list(Event._fields)
    columns["colour"] = "red"
    with pytest.raises(TypeError):
        Event.of(columns)
    with pytest.raises(TypeError):
        Event.with_only(colour="red")


def test_columns_are_not_shared_between_events() -> None:
    blank_columns()["name"] = "SignUp"
    assert blank_columns()["name"] is None


def test_a_limit_of_a_text_can_be_changed_as_any_other() -> None:
    limits = Limits.of({"event_name": 7, "batch_events": 3})
    assert (limits.rules["event_name"].longest, limits.batch_events) == (7, 3)
    assert limits.by_name() == {**Limits().by_name(), "event_name": 7, "batch_events": 3}

"""Whatever JSON value comes in, a verdict goes out, and what is accepted can be stored."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import timedelta
from math import isfinite
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from catchment.core.collecting.check import Sender, check_event
from catchment.core.collecting.findings import Findings, is_clean
from catchment.core.event import KNOWN_FIELDS, TEXTS, Event
from catchment.core.limits import Limits
from catchment.core.refusals import Reason, Refusal

from .test_check_fields import BROWSER, SERVER

LIMITS = replace(Limits(), data_keys=5, data_key=8, data_depth=3, data_array=4, data_string=10, warnings=6)

any_text = st.text(st.characters(exclude_categories=()), max_size=20)  # surrogates and NUL too
any_number = st.integers() | st.integers(-(10**400), 10**400) | st.floats()
any_value = st.recursive(
    st.none() | st.booleans() | any_number | any_text,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(any_text, inner, max_size=6),
    max_leaves=20,
)
plausible = {
    "event_name": st.just("SignUp") | any_text,
    "url": st.sampled_from(["https://example.com/a", "https://x@y/", "/"]) | any_text,
    "timestamp": st.datetimes().map(lambda moment: moment.isoformat() + "Z") | any_text,
    "ip": st.ip_addresses().map(str),
    "event_data": st.dictionaries(st.sampled_from(["category", "label", "value"]) | any_text, any_value, max_size=8),
}
any_event = st.fixed_dictionaries(
    {}, optional={name: plausible.get(name, any_text) | any_value for name in sorted(KNOWN_FIELDS)}
).map(lambda fields: {"event_name": "SignUp", "url": "https://example.com/a", **fields})
senders = st.builds(
    lambda sender, days, address: replace(
        sender, clock_offset=timedelta(days=days), address=address if sender is BROWSER else None
    ),
    st.sampled_from([BROWSER, SERVER]),
    st.integers(-4_000_000, 4_000_000),
    st.none() | st.just("81.2.69.142"),
)


def verdict_on(payload: object, sender: Sender) -> tuple[Event | Refusal, Findings]:
    findings = Findings(LIMITS)
    checked = check_event(payload, sender, LIMITS, lambda: "made", "made", findings)
    return checked if isinstance(checked, Refusal) else Event.of(checked.columns), findings


def texts_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in texts_of(item)]
    return [text for item in value for text in texts_of(item)] if isinstance(value, list) else []


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(any_value | any_event, senders)
def test_there_is_a_verdict_on_every_value_and_its_words_can_be_sent(payload: object, sender: Sender) -> None:
    verdict, findings = verdict_on(payload, sender)
    assert isinstance(verdict, Event | Refusal)
    assert len(findings.warnings) <= LIMITS.warnings
    said = [asdict(warning) for warning in findings.warnings]
    if isinstance(verdict, Refusal):
        assert verdict.reason is Reason.INVALID_EVENT
        assert verdict.errors
        said.append({"detail": verdict.detail, "errors": verdict.errors})
    else:
        assert not findings.errors
    assert all(map(is_clean, texts_of(said)))


@given(any_event, senders)
def test_what_is_accepted_can_be_stored_and_stays_as_it_was_sent(payload: dict[str, Any], sender: Sender) -> None:
    before = repr(payload)
    verdict, _ = verdict_on(payload, sender)
    assert repr(payload) == before
    if isinstance(verdict, Refusal):
        return
    row = verdict._asdict()
    assert all(map(is_clean, texts_of([value for value in row.values() if isinstance(value, str | dict)])))
    for attribute, text in TEXTS.items():
        assert row[attribute] is None or len(row[attribute]) <= LIMITS.texts[text.limit]
    assert verdict.name.strip()
    assert verdict.event_id.strip()
    assert verdict.session_id
    assert verdict.value is None or isfinite(verdict.value)
    assert verdict.occurred_at.utcoffset() == timedelta()
    check_data(verdict.data)


def check_data(data: dict[str, Any]) -> None:
    """Within its limits, and JSON."""
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert depth_of(data) <= LIMITS.data_depth
    assert len(data) <= LIMITS.data_keys
    assert all(len(key) <= LIMITS.data_key for key in data)
    assert all(len(text) <= LIMITS.data_string for text in texts_of(data) if text not in data)


@given(any_event)
def test_checking_accepted_data_again_changes_nothing(payload: dict[str, Any]) -> None:
    first, _ = verdict_on(payload, SERVER)
    if isinstance(first, Refusal):
        return
    again = dict(payload, event_data=first.data)
    second, findings = verdict_on(again, SERVER)
    assert isinstance(second, Event)
    assert second.data == first.data
    assert not [
        warning
        for warning in findings.warnings
        if warning.code in ("cut", "dropped") and warning.field.startswith("event_data")
    ]

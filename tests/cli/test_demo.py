"""The demo's lines for a person who looks on."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import click
import pytest

from catchment.adapters.cli.demo import show_answer
from catchment.core.collecting.submission import Answer, Receipt
from catchment.core.event import Event, Place, UserAgent
from catchment.core.outcomes import Outcome
from catchment.core.project import Access, KeyKind, Project
from catchment.core.refusals import Reason, Refusal

STEERING = "x\x1b[2J\x1b]0;PWNED\x07\x9b\r\u202ey"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
ACCESS = Access(kind=KeyKind.BROWSER, project=Project(id="p", account_id="a", account="demo", name="hello"))


def shown(answer: Answer) -> str:
    """The lines, as they are without the demo's own colours."""
    lines: list[str] = []
    show_answer(answer, False, lines.append)
    return "\n".join(click.unstyle(line) if "\x1b[2J" not in line else line for line in lines)


@pytest.mark.parametrize("outcome", [Outcome.STORED, Outcome.REFUSED])
def test_nothing_that_a_sender_said_steers_the_terminal(outcome: Outcome) -> None:
    event = Event.with_only(
        project_id="p",
        key_kind=KeyKind.BROWSER,
        event_id=STEERING,
        session_id=STEERING,
        name=STEERING,
        agent=UserAgent(**{field.name: STEERING for field in dataclasses.fields(UserAgent)}),
        place=Place(**{field.name: STEERING for field in dataclasses.fields(Place)}),
        ip=STEERING,
        occurred_at=NOON,
        received_at=NOON,
    )
    for receipt in (
        Receipt(outcome=outcome, event_id=STEERING, reason=STEERING, event=event),
        Receipt(outcome=outcome, event_id=STEERING, reason=STEERING, name=STEERING),
    ):
        line = shown(Answer(receipts=[receipt], access=ACCESS))
        assert line.isprintable(), ascii(line)
    refusal = Refusal(reason=Reason.INVALID_EVENT, detail=STEERING)
    assert shown(Answer(refusal=refusal, names=(STEERING,))).isprintable()


def test_the_line_of_a_refused_event_names_it() -> None:
    receipt = Receipt(outcome=Outcome.REFUSED, reason=Reason.ORIGIN_NOT_ALLOWED, event_id="e-1", name="ButtonClick")
    line = shown(Answer(receipts=[receipt], access=ACCESS))
    assert line.split() == ["refused", "origin_not_allowed", "hello", "ButtonClick", "e-1"]
    line = shown(Answer(refusal=Refusal(reason=Reason.UNKNOWN_KEY), names=("SignUp", "")))
    assert line.startswith("refused    unknown_key SignUp: No project")

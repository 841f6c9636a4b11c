"""A sample, with anything in the payload and the headers: it is small, and nothing secret is left in any part of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from catchment.core.collecting.submission import Submission
from catchment.core.metering.inbox import Sample
from catchment.core.metering.make_sample import make_sample
from catchment.core.outcomes import Filtered
from catchment.core.project import Access, KeyKind, Project
from catchment.core.refusals import Reason, Refusal

from .test_scrub_properties import PLAIN, SECRETS, anything, events, hidden, secret_parts

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
LARGEST = 16_384
"""In bytes, with the hint and the facts of the connection."""

verdicts = st.one_of(
    st.sampled_from([Refusal(reason=reason) for reason in Reason]),
    st.builds(
        lambda errors: Refusal(reason=Reason.INVALID_EVENT, errors=errors),
        st.dictionaries(st.text(max_size=200), st.lists(st.text(max_size=200), max_size=9), max_size=20),
    ),
    st.builds(Filtered, st.just("bot") | st.text(max_size=200).map("plugin:{}".format)),
)


def sample_of(payload: object, verdict: Refusal | Filtered, text: str | None, event_id: str = "e") -> Sample:
    submission = Submission(
        payloads=[],
        key="pk_key",
        address="198.51.100.7",
        origin=text,
        headers={} if text is None else {"user_agent": text, "language": text},
        received_at=NOW,
        deadline=5.0,
    )
    project = Project(id="p", account_id="a", account="acme", name="shop")
    access = Access(project=project, kind=KeyKind.BROWSER)
    return make_sample("k7f39qmz", 1, submission, access, payload, verdict, event_id)


def text_of(sample: Sample) -> str:
    """Return all of a sample but its key."""
    parts: dict[str, Any] = asdict(sample)
    del parts["key_fingerprint"]
    return json.dumps(parts, ensure_ascii=False, default=str)


@given(events | anything, verdicts, st.none() | st.text(max_size=3_000), st.text(max_size=100))
def test_a_sample_is_small_whatever_was_sent(
    payload: object, verdict: Refusal | Filtered, text: str | None, event_id: str
) -> None:
    told = text_of(sample_of(payload, verdict, text, event_id))
    assert len(told.encode()) <= LARGEST
    assert "198.51.100" not in told


@given(hidden(), SECRETS, PLAIN, verdicts)
def test_no_secret_is_left_in_any_part_of_a_sample(
    made: tuple[Any, str], secret: str, around: str, verdict: Refusal | Filtered
) -> None:
    payload, in_payload = made
    if isinstance(verdict, Refusal):
        verdict = Refusal(reason=verdict.reason, errors={f"event_data.{secret}": [f"{around} {secret}"]})
    told = text_of(sample_of(payload, verdict, f"{around} {secret}"))
    for part in (*secret_parts(in_payload), *secret_parts(secret)):
        assert part not in told

"""Samples of the inbox with everything filled in that a test does not care about."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from catchment.core.metering.hints import Advice, Hint
from catchment.core.metering.inbox import Sample
from catchment.core.metering.scrub import Replay
from catchment.core.outcomes import Outcome
from catchment.core.project import KeyKind
from catchment.core.refusals import Reason

from .events import NOON
from .storage import Storage


def a_sample(storage: Storage, sample_id: str, **changes: Any) -> Sample:
    sample = Sample(
        id=sample_id,
        project_id=storage.project.id,
        outcome=Outcome.REFUSED,
        reason=Reason.ORIGIN_NOT_ALLOWED,
        hint=Hint(advice=Advice.ADD_ORIGIN, about="https://www.example.com"),
        payload={"event_name": "SignUp", "url": "https://www.example.com/?[query]"},
        taken={"url": ("query",)},
        replay=Replay.REDUCED,
        obstacle=None,
        event_id="e",
        key_kind=KeyKind.BROWSER,
        key_fingerprint=b"\x00\xff" * 16,
        origin="https://www.example.com",
        headers={"user_agent": "Mozilla/5.0"},
        do_not_track=False,
        clock_offset=timedelta(seconds=1, microseconds=-3),
        received_at=NOON,
        sender=1,
    )
    return replace(sample, **changes)

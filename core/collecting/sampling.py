"""Offers refused and filtered events to the inbox."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ..outcomes import Filtered
from ..project import Access
from ..refusals import Refusal
from .submission import Submission


class Sampler(Protocol):
    """Takes samples of refused and filtered events. It never waits and never fails."""

    def offer(
        self, submission: Submission, access: Access, payload: object, verdict: Refusal | Filtered, event_id: str | None
    ) -> bool:
        """Take a sample of an event, or pass it over. Return True if one was taken.

        `payload` is the event as it came, or the `Event` that would have been stored. `event_id` is its id, or the one
        that it was given.
        """


def offer_all(
    sampler: Sampler,
    submission: Submission,
    access: Access,
    payloads: Iterable[tuple[object, str | None]],
    refusal: Refusal,
) -> None:
    """Offer the events of a request that was refused as a whole, with their ids, until one is passed over."""
    for payload, event_id in payloads:
        if not sampler.offer(submission, access, payload, refusal, event_id):
            return

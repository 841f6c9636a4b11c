"""The use case of the inbox: showing samples, and sending their events again.

An event is sent again as the collecting use case would have got it: with its key, origin and headers, so it may be
refused again, and its receipt tells. It keeps its id, so it is stored once, and its time within the limits of its key.
What was taken out of the sample is missing in the event.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime

from ..accounts.find import find_project
from ..accounts.ports import Directory
from ..collecting.submission import Answer, Receipt, Submission
from ..outcomes import EventWarning, Filtered, Outcome
from ..ports import Clock
from ..project import Access, Project
from ..refusals import Refusal
from ..times import read_time, read_unix_time
from .errors import NoSuchSample
from .hints import Hint, hint_for
from .inbox import Sample, SampleStore, read_sample_id
from .scrub import Json, Replay, to_send

_SECONDS = 10.0
"""The time within which an event that is sent again is answered."""

Collecting = Callable[[Submission], Awaitable[Answer]]
"""The collecting use case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The receipt of an event that was sent again, or could not be."""

    sample: Sample
    outcome: Outcome | None
    """None: it could not be sent. `Sample.obstacle` says why."""
    reason: str | None = None
    refusal: Refusal | None = None
    hint: Hint | None = None
    """The advice for this refusal, or if the event is filtered."""
    event_id: str | None = None
    session_id: str | None = None
    warnings: Sequence[EventWarning] = field(default_factory=tuple)

    @property
    def is_stored(self) -> bool:
        """Tell if the event is stored, by this or earlier."""
        return self.outcome in (Outcome.STORED, Outcome.DUPLICATE)


class Inbox:
    """Shows samples by the names that people use, and sends their events again.

    `collecting` opens the collecting use case, which a command needs only then.
    """

    def __init__(
        self,
        directory: Directory,
        samples: SampleStore,
        collecting: Callable[[], AbstractAsyncContextManager[Collecting]],
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._samples = samples
        self._collecting = collecting
        self._clock = clock

    async def list(self, project: str, *, reason: str | None = None) -> tuple[Project, Sequence[Sample]]:
        """Return a project and its samples, newest first; of one reason, or of all. Raises `NotFound` and `Invalid`."""
        found = await find_project(self._directory, project)
        return found, await self._samples.samples(found.id, reason=reason, now=self._clock.now())

    async def show(self, sample_id: str) -> tuple[Project, Sample]:
        """Return a sample and its project. Raises `NoSuchSample`."""
        sample = await self._find(sample_id)
        return await find_project(self._directory, sample.project_id), sample

    async def replay(self, sample_ids: Sequence[str]) -> Sequence[tuple[Project, Replayed]]:
        """Send the events of samples again, one after the other, and return their receipts and projects in that order.

        A repetition is harmless: an event that is stored is a duplicate. Raises `NoSuchSample` before anything is
        sent.
        """
        once = {read_sample_id(sample_id): sample_id for sample_id in sample_ids}
        shown = [await self.show(sample_id) for sample_id in once.values()]
        if all(replayed(sample) is None for _, sample in shown):
            return [(project, Replayed(sample=sample, outcome=None)) for project, sample in shown]
        async with self._collecting() as collect:
            return [(project, await self._send(sample, collect)) for project, sample in shown]

    async def _find(self, sample_id: str) -> Sample:
        sample = await self._samples.find(read_sample_id(sample_id), now=self._clock.now())
        if sample is None:
            raise NoSuchSample(sample_id)
        return sample

    async def _send(self, sample: Sample, collect: Collecting) -> Replayed:
        payload = replayed(sample)
        if payload is None:
            return Replayed(sample=sample, outcome=None)
        answer = await collect(
            Submission(
                payloads=[payload],
                key_fingerprint=sample.key_fingerprint,
                origin=sample.origin,
                headers=sample.headers,
                do_not_track=sample.do_not_track,
                received_at=self._clock.now(),
                deadline=self._clock.monotonic() + _SECONDS,
            )
        )
        receipt = answer.receipts[0] if answer.receipts else Receipt(outcome=Outcome.REFUSED, refusal=answer.refusal)
        refusal = receipt.refusal
        reason = receipt.reason if refusal is None else refusal.reason
        found = Replayed(
            sample=sample,
            outcome=receipt.outcome,
            reason=reason,
            refusal=refusal,
            hint=_hint(sample, answer.access, refusal or Filtered(reason)) if reason is not None else None,
            event_id=receipt.event_id,
            session_id=receipt.session_id,
            warnings=receipt.warnings,
        )
        if found.is_stored:
            await self._samples.mark_replayed(sample.id, self._clock.now())
        return found


def _hint(sample: Sample, access: Access | None, verdict: Refusal | Filtered) -> Hint:
    project = None if access is None else access.project
    return hint_for(verdict, project=project, header=sample.origin, url=sample.payload.get("url"))


def replayed(sample: Sample) -> dict[str, Json] | None:
    """Return the payload that sends the event of a sample once more; None if it can't be sent.

    It has the event's id, so it is stored only once, and the event's time, by the clock here.
    """
    if sample.replay is Replay.NO or not isinstance(sample.payload, dict):
        return None
    sent = to_send(sample.payload)
    if sent.get("eventId") in (None, ""):
        sent["eventId"] = sample.event_id
    stamp = sent.get("timestamp")
    moment: datetime | None = read_time(stamp) or read_unix_time(stamp)
    if stamp is None or stamp == "":
        sent["timestamp"] = sample.received_at.isoformat()
    elif moment is not None and sample.clock_offset:
        with contextlib.suppress(OverflowError):  # a time at the end of the calendar; it is refused as it was before
            sent["timestamp"] = (moment + sample.clock_offset).isoformat()
    return sent


def missing(sample: Sample) -> dict[str, tuple[str, ...]]:
    """Return the kinds of data that an event lacks if it is sent again, by field. The key is not one: it is known."""
    return {name: kinds for name, kinds in sample.taken.items() if name != "projectKey"}

"""Makes the sample of one event: its payload and the facts of its connection, without personal data."""

from __future__ import annotations

from datetime import timedelta

from ..collecting.submission import Submission, Unreadable
from ..event import TEXTS, Event
from ..outcomes import Filtered, Outcome
from ..project import Access, DoNotTrack, KeyKind
from ..refusals import Reason, Refusal
from ..times import read_time, read_unix_time
from .hints import hint_for
from .inbox import LONGEST_REASON, Obstacle, Sample
from .personal_data import Kind, Within
from .scrub import LONGEST_AGENT, LONGEST_ID, Json, Replay, Scrubbed, scrub
from .scrub_text import scrub_text

_LONGEST_ORIGIN = 300


def make_sample(
    sample_id: str,
    sender: int,
    submission: Submission,
    access: Access,
    payload: object,
    verdict: Refusal | Filtered,
    event_id: str | None,
) -> Sample:
    """Return the sample of an event. See `catchment.core.collecting.sampling.Sampler.offer` for the arguments."""
    offset = _clock_offset(submission)
    if isinstance(payload, Unreadable):
        payload = None
    elif isinstance(payload, Event):
        payload, offset = payload_of(payload), timedelta()  # its time is corrected
    fields = payload if type(payload) is dict else {}
    hint = hint_for(verdict, project=access.project, header=submission.origin, url=fields.get("url"))
    untracked = _is_untracked(submission, access)
    if untracked:  # the name tells enough
        payload = {"event_name": fields.get("event_name")}
    scrubbed = scrub(payload)
    found: set[Kind] = set()
    known_id = scrub_text(event_id or "", found, longest=LONGEST_ID, within=Within.ID)
    is_browser = access.kind is KeyKind.BROWSER
    origin = None
    if is_browser and submission.origin is not None:
        origin = scrub_text(submission.origin, found, longest=_LONGEST_ORIGIN)
    obstacle = Obstacle.NOT_TRACKED if untracked else _obstacle(submission, payload, verdict, scrubbed)
    if obstacle is None and found:
        obstacle = Obstacle.PARTS_MISSING
    headers = submission.headers if is_browser and not untracked else {}
    return Sample(
        id=sample_id,
        project_id=access.project.id,
        outcome=Outcome.REFUSED if isinstance(verdict, Refusal) else Outcome.FILTERED,
        reason=verdict.reason[:LONGEST_REASON],
        hint=hint,
        payload=scrubbed.payload,
        taken={name: tuple(sorted(kinds)) for name, kinds in scrubbed.taken.items()},
        replay=scrubbed.replay if obstacle is None else Replay.NO,
        obstacle=obstacle,
        event_id=known_id if obstacle is None else None,
        key_kind=access.kind,
        key_fingerprint=submission.fingerprint,
        origin=origin,
        headers={
            name: scrub_text(text, set(), longest=LONGEST_AGENT, within=Within.AGENT) for name, text in headers.items()
        },
        do_not_track=submission.do_not_track and is_browser,
        clock_offset=offset,
        received_at=submission.received_at,
        sender=sender,
    )


def payload_of(event: Event) -> dict[str, Json]:
    """Return the payload of an event that is ready to be stored, without what was found out about its visitor."""
    payload = {text.wire: getattr(event, attribute) for attribute, text in TEXTS.items()}
    own = {"category": event.category, "label": event.label, "value": event.value}
    payload["event_data"] = {**event.data, **{name: value for name, value in own.items() if value is not None}}
    payload["timestamp"] = event.occurred_at.isoformat()
    return {name: value for name, value in payload.items() if value is not None and value != {}}


def _is_untracked(submission: Submission, access: Access) -> bool:
    """Tell if the visitor asks to be left alone, and the project honours that. The reason may be another one."""
    honoured = access.project.settings.do_not_track is DoNotTrack.FILTER
    return honoured and submission.do_not_track and access.kind is KeyKind.BROWSER


def _obstacle(
    submission: Submission, payload: object, verdict: Refusal | Filtered, scrubbed: Scrubbed
) -> Obstacle | None:
    if verdict.reason == Reason.REVOKED_KEY:
        return Obstacle.KEY_REVOKED
    if type(payload) is not dict:
        return Obstacle.UNREADABLE
    if verdict.reason == Reason.INVALID_EVENT:
        return Obstacle.WRONG
    if submission.id_signature is not None:
        return Obstacle.SIGNED
    return Obstacle.PARTS_MISSING if scrubbed.replay is Replay.NO else None


def _clock_offset(submission: Submission) -> timedelta:
    sent_at = read_time(submission.sent_at) or read_unix_time(submission.sent_at)
    return timedelta() if sent_at is None else submission.received_at - sent_at

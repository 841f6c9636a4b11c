"""The use case: collecting the events of one request.

A request goes through `REQUEST_STEPS` once, each of its events through `EVENT_STEPS`, each of its visitors through
`VISITOR_STEPS` when the first of their events comes by, and what is left is stored in one call. Every step is a
function with one job and one way to fail; the first that objects ends the way of the request, or of the event.
The smallest program that uses it::

    collect = Collect(projects=…, sink=…, …)
    answer = await collect(Submission(payloads=[{"event_name": "SignUp", …}], key="pk_…", received_at=…, …))
    answer.receipts[0].outcome  # Outcome.STORED: committed
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from . import keys
from .check import Checked, Findings, Sender, check_event, check_object, is_clean
from .errors import CommitUnknown, Fault, Unavailable
from .event import NO_CAMPAIGN, NO_USER_AGENT, NOWHERE, Event, JsonObject, Place, RawEvent, UserAgent
from .limits import Limits
from .losses import LossReceipt, take_losses
from .origins import Url, read_origin_header, read_url
from .outcomes import EventWarning, Filtered, Outcome, Reason, Refusal, StoreOutcome, WarningCode
from .ports import Clock, EventSink, Extensions, IdGenerator, IpAnonymizer, LossLedger, ProjectRepository, RateLimiter
from .project import Access, Bots, DoNotTrack, KeyKind
from .times import read_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One request: what was posted, and what the connection tells."""

    payloads: Sequence[object]
    """The events as plain values; an `Unreadable` where a line could not be read."""
    key: str | None = None
    """`Authorization`'s, else the envelope's, else the first event's."""
    sent_at: object = None
    """The sender's clock when it sent, as it came."""
    losses: object = None
    """The sender's report of what it lost, as it came."""
    dry_run: bool = False
    origin: str | None = None
    """The `Origin` header."""
    address: str | None = None
    """The client's full address, behind trusted proxies."""
    user_agent: str | None = None
    do_not_track: bool = False
    """`DNT: 1` or `Sec-GPC: 1`."""
    received_at: datetime
    deadline: float
    """When the answer must be given, by `Clock.monotonic`."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An event of a batch that could not be read, and why."""

    refusal: Refusal


@dataclass(slots=True, kw_only=True)
class Receipt:
    """The answer for one event."""

    outcome: Outcome
    event_id: str | None = None
    session_id: str | None = None
    reason: str | None = None
    refusal: Refusal | None = None
    """With `Outcome.REFUSED`: the whole of it."""
    warnings: list[EventWarning] = field(default_factory=list)
    event: Event | None = None
    """What was stored, or would have been."""


@dataclass(slots=True, kw_only=True)
class Answer:
    """The answer for one request: a receipt for every event, or one refusal for all."""

    receipts: list[Receipt] = field(default_factory=list)
    refusal: Refusal | None = None
    access: Access | None = None
    losses: LossReceipt | None = None
    """Where the request had a report of losses, and was not refused as a whole."""


@dataclass(slots=True)
class Visitor:
    """Who stands behind events of one request: a user agent and an address. Asked about once, and thrown away with the
    request."""

    user_agent: str | None
    address: str | None
    """The full one."""
    agent: UserAgent = NO_USER_AGENT
    place: Place = NOWHERE
    ip: str | None = None
    """What may be kept of the address."""
    warnings: list[EventWarning] = field(default_factory=list)


@dataclass(slots=True)
class Passage:
    """One event on its way. It belongs to one event of one request, and is thrown away after."""

    payload: object
    submission: Submission
    access: Access
    sender: Sender
    findings: Findings
    event_id: str
    """The id it is stored under: its own, or the one it was given when it came."""
    visitors: dict[tuple[str | None, str | None], Visitor]
    """Those of this request, by user agent and address."""
    raw: RawEvent | None = None
    url: Url | None = None
    event: Event | None = None

    @property
    def checked(self) -> RawEvent:
        if self.raw is None:
            raise AssertionError("the fields are checked first")
        return self.raw

    @property
    def anonymised(self) -> Event:
        if self.event is None:
            raise AssertionError("the event is made first")
        return self.event


Verdict = Refusal | Filtered | None
_TURN = 50
"""So many events of a batch are checked before other requests have their turn, and the deadline is looked at."""


class Collect:
    """The use case. One object serves all requests, and holds nothing of any of them."""

    def __init__(
        self,
        *,
        projects: ProjectRepository,
        sink: EventSink,
        losses: LossLedger,
        extensions: Extensions,
        anonymizer: IpAnonymizer,
        rate_limiter: RateLimiter,
        clock: Clock,
        ids: IdGenerator,
        limits: Limits,
    ) -> None:
        self.projects = projects
        self.sink = sink
        self.losses = losses
        self.extensions = extensions
        self.anonymizer = anonymizer
        self.rate_limiter = rate_limiter
        self.clock = clock
        self.ids = ids
        self.limits = limits

    async def __call__(self, submission: Submission) -> Answer:
        """Collects the events of a request. Never raises for what a sender or the database did; raises `Fault` for
        what is wrong here."""
        ids = self.ids_of(submission.payloads)
        try:
            access = await find_project(self, submission)
            if isinstance(access, Refusal):
                return Answer(refusal=access)
            for step in REQUEST_STEPS:
                refusal = step(self, submission, access)
                if refusal is not None:
                    return Answer(refusal=refusal, access=access)
            answer = await self._collect(submission, access, ids)
            if submission.losses is not None:
                answer.losses = await take_losses(self, submission, access, answer.receipts)
            return answer
        except Unavailable as error:
            return Answer(refusal=replace(unavailable(error), event_ids=ids))
        except Exception as error:
            raise Fault(ids) from error

    def ids_of(self, payloads: Sequence[object]) -> tuple[str, ...]:
        """The ids to send these events again with: their own, or new ones."""
        return tuple(_sent_id(payload, self.limits) or self.ids.new_id() for payload in payloads)

    async def _collect(self, submission: Submission, access: Access, ids: Sequence[str]) -> Answer:
        sender, wrong_clock = sender_of(submission, access)
        receipts: list[Receipt] = []
        visitors: dict[tuple[str | None, str | None], Visitor] = {}
        for number, payload in enumerate(submission.payloads, 1):
            if number % _TURN == 0:
                await asyncio.sleep(0)  # others have their turn
                if self.clock.monotonic() >= submission.deadline:
                    raise Unavailable("the deadline passed while the events were checked")
            event_id = ids[number - 1]
            passage = Passage(payload, submission, access, sender, Findings(self.limits), event_id, visitors)
            if wrong_clock:
                passage.findings.warn(WarningCode.WRONG_TYPE, "sentAt", "not an ISO 8601 time; no clock is corrected")
            receipts.append(_receipt(passage, await self._walk(passage)))
        to_store = [r for r in receipts if r.outcome is Outcome.STORED]
        if to_store and not submission.dry_run:
            await self._store(submission, access, to_store)
        return Answer(receipts=receipts, access=access)

    async def _walk(self, passage: Passage) -> Verdict:
        for step in EVENT_STEPS:
            verdict = step(self, passage)
            if verdict is not None and not isinstance(verdict, Refusal | Filtered):
                verdict = await verdict
            if verdict is not None:
                return verdict
        return None

    async def _store(self, submission: Submission, access: Access, receipts: list[Receipt]) -> None:
        events = [receipt.event for receipt in receipts if receipt.event is not None]
        outcomes = await self.sink.store(events, access.project.limits, deadline=submission.deadline)
        for receipt, outcome in zip(receipts, outcomes, strict=True):
            if outcome is StoreOutcome.DUPLICATE:
                receipt.outcome = Outcome.DUPLICATE
            elif outcome is not StoreOutcome.STORED:
                receipt.outcome = Outcome.REFUSED
                receipt.reason = Reason(outcome.value)
                receipt.refusal = Refusal(reason=Reason(outcome.value))


def unavailable(error: Unavailable) -> Refusal:
    reason = Reason.COMMIT_UNKNOWN if isinstance(error, CommitUnknown) else Reason.UNAVAILABLE
    return Refusal(reason=reason, retry_after=error.retry_after)


def sender_of(submission: Submission, access: Access) -> tuple[Sender, bool]:
    """What is known of the sender, and whether its `sentAt` could not be read. Of a back end's connection
    nothing is taken: the event speaks for the visitor."""
    offset = timedelta()
    sent_at = read_time(submission.sent_at)
    if sent_at is not None:
        offset = submission.received_at - sent_at
    browser = access.kind is KeyKind.BROWSER
    sender = Sender(
        kind=access.kind,
        received_at=submission.received_at,
        clock_offset=offset,
        address=submission.address if browser else None,
        user_agent=submission.user_agent if browser else None,
    )
    return sender, submission.sent_at is not None and sent_at is None


def _receipt(passage: Passage, verdict: Verdict) -> Receipt:
    raw = passage.raw
    receipt = Receipt(
        outcome=Outcome.STORED,
        event_id=raw.event_id if raw else _sent_id(passage.payload, passage.findings.limits),
        session_id=raw.session_id if raw else None,
        warnings=passage.findings.warnings,
        event=passage.event,
    )
    if isinstance(verdict, Refusal):
        receipt.outcome, receipt.reason, receipt.refusal = Outcome.REFUSED, verdict.reason, verdict
        receipt.session_id = None
    elif isinstance(verdict, Filtered):
        receipt.outcome, receipt.reason = Outcome.FILTERED, verdict.reason
    return receipt


def _sent_id(payload: object, limits: Limits) -> str | None:
    """The id that an event came with, where it is one that could be stored."""
    sent = payload.get("eventId") if isinstance(payload, dict) else None
    return sent if isinstance(sent, str) and 0 < len(sent) <= limits.event_id and is_clean(sent) else None


# The steps of a request


async def find_project(collect: Collect, submission: Submission) -> Access | Refusal:
    """The project of the key. A text that can't be a key needs no look-up."""
    if not submission.key:
        return Refusal(
            reason=Reason.MISSING_KEY,
            detail="Send the project's key as projectKey in the body, or as Authorization: Bearer.",
        )
    access = None
    if keys.kind_of(submission.key) is not None:
        access = await collect.projects.find(keys.fingerprint(submission.key))
    if access is None:
        return Refusal(reason=Reason.UNKNOWN_KEY)
    if access.revoked:
        return Refusal(reason=Reason.REVOKED_KEY)
    if not access.project.settings.enabled:
        return Refusal(reason=Reason.PROJECT_DISABLED)
    return access


def match_origin_header(collect: Collect, submission: Submission, access: Access) -> Refusal | None:
    """With a browser key, an `Origin` header must match a rule of the project; `null` where it allows that."""
    sent = submission.origin
    if access.kind is KeyKind.SERVER or sent is None:
        return None
    if sent == "null":
        if access.project.settings.allow_null_origin:
            return None
        return Refusal(reason=Reason.ORIGIN_NOT_ALLOWED, detail="Origin: null is not allowed for this project.")
    if access.project.origins.allow(read_origin_header(sent)):
        return None
    return Refusal(
        reason=Reason.ORIGIN_NOT_ALLOWED,
        detail="The Origin header matches none of the project's origins; add it with `catchment project set`.",
    )


def check_rate(collect: Collect, submission: Submission, access: Access) -> Refusal | None:
    """Not more events of a key, and of a client address, than the installation allows."""
    wait = collect.rate_limiter.take(
        key=keys.fingerprint(submission.key or ""),
        address=submission.address,
        events=max(1, len(submission.payloads)),  # one without events may report losses
    )
    return None if wait is None else Refusal(reason=Reason.RATE_LIMITED, retry_after=wait)


REQUEST_STEPS: tuple[Callable[[Collect, Submission, Access], Refusal | None], ...] = (
    match_origin_header,
    check_rate,
)


# The steps of an event


def refuse_unreadable(collect: Collect, passage: Passage) -> Verdict:
    """A line of a batch that is not JSON is refused at its index."""
    return passage.payload.refusal if isinstance(passage.payload, Unreadable) else None


def refuse_another_key(collect: Collect, passage: Passage) -> Verdict:
    """One request, one project: an event may not name another key than the request's."""
    if isinstance(passage.payload, dict):
        named = passage.payload.get("projectKey")
        if named is not None and named != passage.submission.key:
            passage.findings.refuse("projectKey", "another key than the request's; one request, one project")
            return Refusal(
                reason=Reason.INVALID_EVENT,
                detail="projectKey: another key than the request's",
                errors=passage.findings.errors,
            )
    return None


def check_fields(collect: Collect, passage: Passage) -> Verdict:
    """A plain dict becomes a `RawEvent`."""
    checked = check_event(
        passage.payload, passage.sender, collect.limits, collect.ids.new_id, passage.event_id, passage.findings
    )
    if isinstance(checked, Checked):
        passage.raw, passage.url = checked.raw, checked.url
        return None
    return checked


def match_url(collect: Collect, passage: Passage) -> Verdict:
    """With a browser key, the page's address must match a rule of the project."""
    if passage.access.kind is KeyKind.SERVER:
        return None
    if passage.url is not None and passage.access.project.origins.allow(passage.url.origin):
        return None
    return Refusal(
        reason=Reason.ORIGIN_NOT_ALLOWED,
        detail="The event's url matches none of the project's origins; add it with `catchment project set`.",
    )


def drop_do_not_track(collect: Collect, passage: Passage) -> Verdict:
    """Where the project honours it, a visitor who asks not to be tracked is not."""
    asked = passage.submission.do_not_track and passage.access.kind is KeyKind.BROWSER
    if asked and passage.access.project.settings.do_not_track is DoNotTrack.FILTER:
        return Filtered(Reason.DO_NOT_TRACK)
    return None


def meet_visitor(collect: Collect, passage: Passage) -> Verdict | Awaitable[Verdict]:
    """A `RawEvent` becomes an `Event`, with what is known of the visitor; a new one goes through `VISITOR_STEPS`."""
    raw = passage.checked
    visitor = passage.visitors.get((raw.user_agent, raw.ip))
    if visitor is None:
        return _meet_new_visitor(collect, passage)
    passage.event = make_event(passage, visitor)
    return None


async def _meet_new_visitor(collect: Collect, passage: Passage) -> None:
    raw = passage.checked
    visitor = Visitor(raw.user_agent, raw.ip)
    for step in VISITOR_STEPS:
        await step(collect, passage, visitor)
    passage.visitors[raw.user_agent, raw.ip] = visitor
    passage.event = make_event(passage, visitor)


def make_event(passage: Passage, visitor: Visitor) -> Event:
    """The event as it will be stored, but for what plugins add. The full address ends here."""
    raw = passage.checked
    raw.ip = None
    passage.findings.warnings.extend(visitor.warnings)
    return Event.of(
        {
            "project_id": passage.access.project.id,
            "key_kind": passage.access.kind,
            "event_id": raw.event_id,
            "name": raw.event_name,
            "category": raw.category,
            "label": raw.label,
            "value": raw.value,
            "data": raw.data,
            "session_id": raw.session_id,
            "user_id": raw.user_id,
            "url": raw.url,
            "page_title": raw.page_title,
            "page_path": raw.page_path,
            "referrer": raw.referrer,
            "referrer_host": _host_of(raw.referrer) if raw.referrer else None,
            "user_agent": raw.user_agent,
            "agent": visitor.agent,
            "ip": visitor.ip,
            "place": visitor.place,
            "campaign": NO_CAMPAIGN,
            "is_bot": False,
            "properties": {},
            "occurred_at": raw.occurred_at,
            "received_at": passage.sender.received_at,
        }
    )


def _host_of(url: str) -> str | None:
    parsed = read_url(url)
    return parsed.origin.host if parsed is not None and parsed.origin is not None else None


async def validate(collect: Collect, passage: Passage) -> Verdict:
    """What plugins object to."""
    return await collect.extensions.validate(passage.anonymised, passage.findings.warnings)


async def enrich(collect: Collect, passage: Passage) -> Verdict:
    """What plugins add: campaign tags, the bot flag, properties."""
    found = await collect.extensions.enrich(passage.anonymised, passage.findings.warnings)
    if not found:
        return None
    changes: dict[str, Any] = {}
    properties: JsonObject = {}
    for enrichment in found:
        if enrichment.campaign is not None:
            changes["campaign"] = enrichment.campaign
        if enrichment.is_bot is not None:
            changes["is_bot"] = enrichment.is_bot
        properties.update(enrichment.properties)
    if properties:
        changes["properties"] = check_object(properties, "properties", collect.limits, passage.findings)
    if changes:
        passage.event = Event.of({**vars(passage.anonymised), **changes})
    return None


def drop_bots(collect: Collect, passage: Passage) -> Verdict:
    """Where the project filters robots, an event of one is left out."""
    if passage.anonymised.is_bot and passage.access.project.settings.bots is Bots.FILTER:
        return Filtered(Reason.BOT)
    return None


EVENT_STEPS: tuple[Callable[[Collect, Passage], Verdict | Awaitable[Verdict]], ...] = (
    refuse_unreadable,
    refuse_another_key,
    check_fields,
    match_url,
    drop_do_not_track,
    meet_visitor,
    validate,
    enrich,
    drop_bots,
)


# The steps of a visitor


async def parse_user_agent(collect: Collect, passage: Passage, visitor: Visitor) -> None:
    """Browser, system and device out of the user agent."""
    if visitor.user_agent:
        visitor.agent = await collect.extensions.parse_user_agent(visitor.user_agent, visitor.warnings)


async def locate(collect: Collect, passage: Passage, visitor: Visitor) -> None:
    """Country, region and city."""
    if visitor.address:
        visitor.place = await collect.extensions.locate(visitor.address, visitor.warnings)


async def anonymise(collect: Collect, passage: Passage, visitor: Visitor) -> None:
    """The address as the project's privacy mode keeps it. The full one is used here for the last time."""
    privacy, now = passage.access.project.settings.privacy, passage.sender.received_at
    visitor.ip = await collect.anonymizer.anonymise(visitor.address, privacy, now)


VISITOR_STEPS: tuple[Callable[[Collect, Passage, Visitor], Awaitable[None]], ...] = (
    parse_user_agent,
    locate,
    anonymise,
)

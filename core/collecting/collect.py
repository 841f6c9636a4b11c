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

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from ..errors import CommitUnknown, Fault, Unavailable
from ..keys import fingerprint
from ..limits import Limits
from ..outcomes import Filtered, Outcome, OverQuota, Reason, Refusal, StoreOutcome, WarningCode
from ..ports import Clock, IdGenerator
from ..project import Access, KeyKind, Scope
from ..times import UNIX_TIME, read_time, read_unix_time, window_end
from .charging import Charge
from .check import Sender
from .findings import is_clean
from .ports import EventSink, Extensions, LossLedger, ProjectRepository, RateLimiter, Salts
from .record_losses import take_losses
from .steps import REQUEST_STEPS, Passage, Verdict, Visitor, admit, event_steps, find_project, rate_limited
from .submission import Answer, Receipt, Submission
from .turns import Job, Places, Turn

_VERDICTS = (Refusal, Filtered)
_NAMES = 3
_NAME_CHARACTERS = 120


class Collect:
    """The use case. One object serves all requests, and holds nothing of any of them."""

    def __init__(
        self,
        *,
        projects: ProjectRepository,
        sink: EventSink,
        losses: LossLedger,
        extensions: Extensions,
        salts: Salts,
        rate_limiter: RateLimiter,
        clock: Clock,
        ids: IdGenerator,
        limits: Limits,
    ) -> None:
        self.projects = projects
        self.sink = sink
        self.losses = losses
        self.extensions = extensions
        self.salts = salts
        self.rate_limiter = rate_limiter
        self.clock = clock
        self.ids = ids
        self.limits = limits
        self.reporting: Counter[str | None] = Counter()
        """Reports of losses that are being recorded, by address."""
        self.turn = Turn(clock)
        self._places = Places(self.turn, clock)

    async def __call__(self, submission: Submission) -> Answer:
        """Collects the events of a request. Never raises for what a sender or the database did; raises `Fault` for
        what is wrong here."""
        ids = self.ids_of(submission.payloads)
        try:
            access = await admit(self, submission)
            if isinstance(access, Refusal):
                return Answer(refusal=access, names=_names(submission.payloads))
            for step in REQUEST_STEPS:
                refusal = step(self, submission, access)
                if refusal is not None:
                    return Answer(refusal=refusal, names=_names(submission.payloads), access=access)
            answer = await self._collect(submission, access, ids)
            if submission.losses is not None and answer.refusal is None:
                answer.losses = await take_losses(self, submission, access, answer.receipts)
            return answer
        except Unavailable as error:
            return Answer(refusal=replace(unavailable(error), event_ids=ids))
        except Exception as error:
            raise Fault(ids) from error

    async def judge_key(self, key: str, charge: Charge) -> Access | Refusal:
        """Say what a key opens, before the body that comes with it is read. Raises `Unavailable`."""
        return await find_project(self, key, charge)

    def ids_of(self, payloads: Sequence[object]) -> tuple[str, ...]:
        """The ids to send these events again with: their own, or new ones."""
        return tuple(_sent_id(payload, self.limits) or self.ids.new_id() for payload in payloads)

    async def _collect(self, submission: Submission, access: Access, ids: Sequence[str]) -> Answer:
        receipts = await self._check(submission, access, ids)
        to_store = [r for r in receipts if r.outcome is Outcome.STORED]
        if to_store and not submission.dry_run:
            wait = self.rate_limiter.take_key(fingerprint(submission.key or ""), len(to_store))
            if wait is not None:
                return Answer(refusal=rate_limited(wait), access=access)
            await self._store(submission, access, to_store)
        return Answer(receipts=receipts, access=access)

    async def _check(self, submission: Submission, access: Access, ids: Sequence[str]) -> list[Receipt]:
        if len(ids) == 1:
            return await self._check_each(submission, access, ids)
        now = self.clock.monotonic()
        share = submission.charge.share if submission.charge is not None else None
        job = self.turn.job(share, large=submission.large)
        async with self._places.take(job, until=now + (submission.deadline - now) / 2):
            return await self._check_each(submission, access, ids, job)

    async def _check_each(
        self, submission: Submission, access: Access, ids: Sequence[str], job: Job | None = None
    ) -> list[Receipt]:
        """Leads each event through its steps; what is to be stored has the outcome `STORED` by now."""
        sender, odd_clock = sender_of(submission, access)
        receipts: list[Receipt] = []
        visitors: dict[tuple[str | None, str | None], Visitor] = {}
        to_say = self.limits.batch_warnings
        steps = event_steps(submission, access)
        for number, event_id in enumerate(ids):
            now = self._in_time(submission)
            if job is not None and job.over(now):
                await job.come(until=submission.deadline)
            payload, submission.payloads[number] = submission.payloads[number], None
            passage = Passage(self.limits, payload, submission, access, sender, event_id, visitors, most=to_say)
            if odd_clock:
                passage.warn(WarningCode.WRONG_TYPE, "sentAt", odd_clock)
            verdict: Verdict = None
            for step in steps:
                found = step(self, passage)
                if found is None:
                    continue
                verdict = found if isinstance(found, _VERDICTS) else await found
                if verdict is not None:
                    break
            receipts.append(_receipt(passage, verdict))
            to_say -= len(passage.warnings) + passage.refused
        submission.checked()
        self._in_time(submission)
        return receipts

    def _in_time(self, submission: Submission) -> float:
        now = self.clock.monotonic()
        if now >= submission.deadline:
            raise Unavailable("the deadline passed while the events were checked")
        return now

    async def _store(self, submission: Submission, access: Access, receipts: list[Receipt]) -> None:
        events = [receipt.event for receipt in receipts if receipt.event is not None]
        charge = submission.charge
        share = charge.share if charge is not None and access.kind is KeyKind.BROWSER else None
        outcomes = await self.sink.store(events, access.project.quotas, deadline=submission.deadline, share=share)
        for receipt, outcome in zip(receipts, outcomes, strict=True):
            if outcome is StoreOutcome.DUPLICATE:
                receipt.outcome = Outcome.DUPLICATE
            elif isinstance(outcome, OverQuota):
                receipt.outcome, receipt.reason = Outcome.REFUSED, Reason.QUOTA_EXCEEDED
                receipt.refusal = over_quota(outcome, access, submission)
            elif outcome is not StoreOutcome.STORED:
                receipt.outcome = Outcome.REFUSED
                receipt.reason = Reason(outcome.value)
                receipt.refusal = Refusal(reason=Reason(outcome.value))


def over_quota(met: OverQuota, access: Access, submission: Submission) -> Refusal:
    """The refusal of an event that found no room in a quota. A public key is not told the names of its owner."""
    quota = met.quota
    ends = window_end(quota.window, submission.received_at)
    whose = f"this {quota.scope}"
    if access.kind is KeyKind.SERVER:
        project = access.project
        name = project.account if quota.scope is Scope.ACCOUNT else f"{project.account}/{project.name}"
        whose = f"the {quota.scope} {name}"
    by = "" if quota.keys is None else f" with {quota.keys} keys"
    return Refusal(
        reason=Reason.QUOTA_EXCEEDED,
        detail=f"The quota of {whose} is used up: at most {quota.hard:,} events a {quota.window}{by}. "
        f"It begins anew at {ends:%Y-%m-%dT%H:%M:%SZ}.",
        retry_after=math.ceil((ends - submission.received_at).total_seconds()),
    )


def unavailable(error: Unavailable) -> Refusal:
    reason = Reason.COMMIT_UNKNOWN if isinstance(error, CommitUnknown) else Reason.UNAVAILABLE
    return Refusal(reason=reason, retry_after=error.retry_after)


def sender_of(submission: Submission, access: Access) -> tuple[Sender, str | None]:
    """Return what is known of the sender, and what is odd about its `sentAt`. Nothing is taken from a back end's
    connection: the event speaks for the visitor."""
    offset, odd = timedelta(), None
    if submission.sent_at is not None and submission.sent_at != "":
        sent_at = read_time(submission.sent_at)
        if sent_at is None:
            sent_at = read_unix_time(submission.sent_at)
            odd = UNIX_TIME if sent_at is not None else "not an ISO 8601 time; no clock is corrected"
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
    return sender, odd


def _receipt(passage: Passage, verdict: Verdict) -> Receipt:
    known = passage.event or passage.raw
    receipt = Receipt(
        outcome=Outcome.STORED,
        event_id=known.event_id if known else _sent_id(passage.payload, passage.limits),
        session_id=known.session_id if known else None,
        warnings=passage.warnings,
        event=passage.event,
    )
    if isinstance(verdict, Refusal):
        receipt.outcome, receipt.reason, receipt.refusal = Outcome.REFUSED, verdict.reason, verdict
        receipt.session_id = None
        if passage.event is None:
            receipt.name = _sent_name(passage.payload)
    elif isinstance(verdict, Filtered):
        receipt.outcome, receipt.reason = Outcome.FILTERED, verdict.reason
    return receipt


def _names(payloads: Sequence[object]) -> tuple[str, ...]:
    return tuple(_sent_name(payload) for payload in payloads[:_NAMES])


def _sent_name(payload: object) -> str:
    """The name that an event came with, cut; it may be too long, or not allowed."""
    sent = payload.get("event_name") if isinstance(payload, dict) else None
    return sent[:_NAME_CHARACTERS] if isinstance(sent, str) else ""


def _sent_id(payload: object, limits: Limits) -> str | None:
    """The id that an event came with, where it is one that could be stored."""
    sent = payload.get("eventId") if isinstance(payload, dict) else None
    return sent if isinstance(sent, str) and 0 < len(sent) <= limits.event_id and is_clean(sent) else None

"""The use case: collecting the events of one request.

A request goes through `REQUEST_STEPS` once, and each of its events through `EVENT_STEPS`. Each visitor goes through
`VISITOR_STEPS`, with the first of its events. The remaining events are stored in one call. Every step is a function
with one task and one way to fail. The first that objects ends the way of the request, or of the event.
The smallest program that uses it::

    collect = Collect(projects=…, sink=…, …)
    answer = await collect(Submission(payloads=[{"event_name": "SignUp", …}], key="pk_…", received_at=…, …))
    answer.receipts[0].outcome  # Outcome.STORED: committed
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from ..errors import CommitUnknown, Fault, Unavailable
from ..limits import Limits
from ..metering.ladder import QuotaUse
from ..metering.quota import OverQuota
from ..outcomes import Filtered, Outcome, StoreOutcome, WarningCode
from ..ports import Clock, IdGenerator
from ..project import Access, KeyKind, Scope
from ..refusals import Reason, Refusal
from ..times import UNIX_TIME, read_time, read_unix_time, window_end
from .admission import REQUEST_STEPS, admit, find_project, rate_limited, refusal_of
from .charging import Charge
from .check import Sender
from .findings import is_clean
from .ports import EventSink, Extensions, LossLedger, OutcomeCounter, ProjectRepository, RateLimiter, Salts
from .record_losses import take_losses
from .sampling import Sampler, offer_all
from .scheduler import FairSemaphore, Job, Scheduler
from .steps import Passage, StepResult, Visitor, event_steps
from .submission import Answer, Receipt, Submission

_NOT_ACCEPTED = (Refusal, Filtered)
_NAMES = 3
_NAME_CHARACTERS = 120


class Collect:
    """The use case of collecting. One object serves all requests, and keeps nothing of them."""

    def __init__(
        self,
        *,
        projects: ProjectRepository,
        sink: EventSink,
        losses: LossLedger,
        outcomes: OutcomeCounter,
        sampler: Sampler,
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
        self.outcomes = outcomes
        self.sampler = sampler
        self.extensions = extensions
        self.salts = salts
        self.rate_limiter = rate_limiter
        self.clock = clock
        self.ids = ids
        self.limits = limits
        self.reporting: Counter[str | None] = Counter()
        """Reports of losses that are being recorded, by address."""
        self.scheduler = Scheduler(clock)
        self.slots = FairSemaphore(self.scheduler)
        """For batches that are being read or checked."""

    async def __call__(
        self, submission: Submission, *, job: Job | None = None, on_checked: Callable[[], object] = bool
    ) -> Answer:
        """Collect the events of a request. Raise `Fault` for an error of this program, and for nothing that a sender
        or the database did. `job` is the scheduler's, if it has read the request; `on_checked` is called when the
        payloads are not needed any more."""
        ids = self.ids_of(submission.payloads)
        access: Access | Refusal | None = None
        try:
            access = await admit(self, submission)
            if isinstance(access, Refusal):
                return Answer(refusal=access, names=_names(submission.payloads))
            answer = await self._collect(submission, access, ids, job, on_checked)
            if submission.losses is not None and answer.refusal is None:
                answer.losses = await take_losses(self, submission, access, answer.receipts)
        except Unavailable as error:
            answer = Answer(refusal=replace(unavailable(error), event_ids=ids))
        except (Exception, asyncio.CancelledError) as error:  # a plugin can cancel the task that called it
            if isinstance(access, Access) and not submission.dry_run:
                self._count(submission, access, Answer(refusal=Refusal(reason=Reason.COMMIT_UNKNOWN)))
            raise Fault(ids) from error
        if isinstance(access, Access) and not submission.dry_run:
            self._count(submission, access, answer)
        return answer

    def _count(self, submission: Submission, access: Access, answer: Answer) -> None:
        """Count what was not stored. The store counts the rest."""
        project_id, at = access.project.id, submission.received_at
        if answer.refusal is not None and submission.payloads:
            self.outcomes.add(project_id, Outcome.REFUSED, answer.refusal.reason, at, len(submission.payloads))
        for receipt in answer.receipts:
            if receipt.outcome is not Outcome.STORED:
                self.outcomes.add(project_id, receipt.outcome, receipt.reason, at)

    async def judge_key(self, key: str, charge: Charge) -> Access | Refusal:
        """Return what a key opens, before the body that comes with it is read. Raise `Unavailable`."""
        access = await find_project(self, key, charge)
        return access if isinstance(access, Refusal) else refusal_of(access) or access

    def ids_of(self, payloads: Sequence[object]) -> tuple[str, ...]:
        """Return the ids to send these events again with: their own, or new ones."""
        return tuple(_sent_id(payload, self.limits) or self.ids.new_id() for payload in payloads)

    async def _collect(
        self,
        submission: Submission,
        access: Access,
        ids: Sequence[str],
        job: Job | None,
        on_checked: Callable[[], object],
    ) -> Answer:
        for step in REQUEST_STEPS:
            refusal = step(self, submission, access)
            if refusal is not None:
                offer_all(self.sampler, submission, access, zip(submission.payloads, ids, strict=True), refusal)
                return Answer(refusal=refusal, names=_names(submission.payloads), access=access)
        receipts = await self._check(submission, access, ids, job)
        on_checked()
        to_store = [r for r in receipts if r.outcome is Outcome.STORED]
        if to_store and not submission.dry_run:
            wait = self.rate_limiter.take_key(submission.fingerprint, len(to_store))
            if wait is not None:
                refusal = rate_limited(wait)
                offer_all(self.sampler, submission, access, ((one.event, one.event_id) for one in to_store), refusal)
                return Answer(refusal=refusal, access=access)
            uses = await self._store(submission, access, to_store)
            return Answer(receipts=receipts, access=access, uses=uses)
        return Answer(receipts=receipts, access=access)

    async def _check(
        self, submission: Submission, access: Access, ids: Sequence[str], job: Job | None
    ) -> list[Receipt]:
        if len(ids) == 1:
            return await self._check_each(submission, access, ids)
        if job is None:
            job = self._job(submission)
        async with self.slots.acquire(job):
            return await self._check_each(submission, access, ids, job)

    def _job(self, submission: Submission) -> Job:
        """Return a job for events that were read without the scheduler."""
        share = submission.charge.share if submission.charge is not None else None
        return self.scheduler.job(share, arrived=self.clock.monotonic(), deadline=submission.deadline)

    async def _check_each(
        self, submission: Submission, access: Access, ids: Sequence[str], job: Job | None = None
    ) -> list[Receipt]:
        """Lead each event through its steps. Events that are to be stored have the outcome `STORED` by now."""
        sender, odd_clock = sender_of(submission, access)
        receipts: list[Receipt] = []
        visitors: dict[tuple[str | None, str | None], Visitor] = {}
        to_say = self.limits.batch_warnings
        steps = event_steps(submission, access)
        for number, event_id in enumerate(ids):
            now = self._in_time(submission)
            if job is not None and job.slice_over(now):
                await job.wait_for_slice()
            payload, submission.payloads[number] = submission.payloads[number], None
            passage = Passage(self.limits, payload, submission, access, sender, event_id, visitors, most=to_say)
            if odd_clock:
                passage.warn(WarningCode.WRONG_TYPE, "sentAt", odd_clock)
            verdict: StepResult = None
            for step in steps:
                found = step(self, passage)
                if found is None:
                    continue
                verdict = found if isinstance(found, _NOT_ACCEPTED) else await found
                if verdict is not None:
                    break
            receipts.append(_receipt(passage, verdict))
            if verdict is not None:
                self.sampler.offer(submission, access, payload, verdict, event_id)
            to_say -= len(passage.warnings) + passage.refused
        self._in_time(submission)
        return receipts

    def _in_time(self, submission: Submission) -> float:
        now = self.clock.monotonic()
        if now >= submission.deadline:
            raise Unavailable("the deadline passed while the events were checked")
        return now

    async def _store(self, submission: Submission, access: Access, receipts: list[Receipt]) -> Sequence[QuotaUse]:
        """Store the events of these receipts, and bring the receipts up to date. Return the quotas that count them."""
        events = [receipt.event for receipt in receipts if receipt.event is not None]
        charge = submission.charge
        share = charge.share if charge is not None and access.kind is KeyKind.BROWSER else None
        stored = await self.sink.store(events, deadline=submission.deadline, share=share)
        for receipt, outcome in zip(receipts, stored.outcomes, strict=True):
            if outcome is StoreOutcome.STORED:
                continue
            if outcome is StoreOutcome.DUPLICATE:
                receipt.outcome = Outcome.DUPLICATE
                continue
            refusal = (
                over_quota(outcome, access, submission)
                if isinstance(outcome, OverQuota)
                else Refusal(reason=Reason(outcome.value))
            )
            receipt.outcome, receipt.reason, receipt.refusal = Outcome.REFUSED, refusal.reason, refusal
            self.sampler.offer(submission, access, receipt.event, refusal, receipt.event_id)
        return stored.uses


def over_quota(met: OverQuota, access: Access, submission: Submission) -> Refusal:
    """Return the refusal of an event for which a quota had nothing left. A public key is not told its owner's names."""
    quota = met.quota
    ends = window_end(quota.window, submission.received_at)
    whose = f"this {quota.scope}"
    if access.kind is KeyKind.SERVER:
        project = access.project
        name = project.account if quota.scope is Scope.ACCOUNT else f"{project.account}/{project.name}"
        whose = f"the {quota.scope} {name}"
    return Refusal(
        reason=Reason.QUOTA_EXCEEDED,
        detail=f"The quota of {whose} is used up: at most {quota.hard:,} {quota.counted}. "
        f"It begins anew at {ends:%Y-%m-%dT%H:%M:%SZ}.",
        retry_after=math.ceil((ends - submission.received_at).total_seconds()),
    )


def unavailable(error: Unavailable) -> Refusal:
    reason = Reason.COMMIT_UNKNOWN if isinstance(error, CommitUnknown) else Reason.UNAVAILABLE
    return Refusal(reason=reason, retry_after=error.retry_after)


def sender_of(submission: Submission, access: Access) -> tuple[Sender, str | None]:
    """Return the known facts of the sender, and a note if its `sentAt` is odd. Nothing is taken from a back end's
    connection: the visitor's facts are in the event."""
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
        headers=submission.headers if browser else {},
    )
    return sender, odd


def _receipt(passage: Passage, verdict: StepResult) -> Receipt:
    event, columns = passage.event, passage.columns
    receipt = Receipt(outcome=Outcome.STORED, warnings=passage.warnings, event=event)
    if event is not None:
        receipt.event_id, receipt.session_id = event.event_id, event.session_id
    elif columns is not None:
        receipt.event_id, receipt.session_id = columns["event_id"], columns["session_id"]
    else:
        receipt.event_id = _sent_id(passage.payload, passage.limits)
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
    """Return the name that an event came with, cut. It may not be allowed."""
    sent = payload.get("event_name") if isinstance(payload, dict) else None
    return sent[:_NAME_CHARACTERS] if isinstance(sent, str) else ""


def _sent_id(payload: object, limits: Limits) -> str | None:
    """Return the id that an event came with; None if it cannot be stored."""
    sent = payload.get("eventId") if isinstance(payload, dict) else None
    return sent if isinstance(sent, str) and 0 < len(sent) <= limits.texts["event_id"] and is_clean(sent) else None

"""Runs wire protocols: from a request to its events, and from their receipts to an answer.

The protocol reads and writes (`protocols/wire_protocol.py`). This module does the rest, the same for each of them: it
charges the client's address, unpacks the body within bounds, schedules batches, and counts the outcomes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial

from catchment.core.collecting.admission import rate_limited
from catchment.core.collecting.charging import Charge
from catchment.core.collecting.collect import Collect, unavailable
from catchment.core.collecting.losses import LossReceipt, shown_reason
from catchment.core.collecting.scheduler import Job
from catchment.core.collecting.submission import Answer, Submission, texts_of_headers
from catchment.core.errors import Fault, Unavailable
from catchment.core.keys import kind_of
from catchment.core.limits import Limits
from catchment.core.outcomes import Outcome
from catchment.core.project import Access, KeyKind
from catchment.core.refusals import Reason, Refusal

from .engine.logs import RateLimitedLog, log_fault
from .engine.message import Request, Response, Route, Routes
from .operations.metrics import Metrics
from .protocols.decode import MOST_PACKED, count_values, said_size, unpack
from .protocols.not_readable import NotReadable, Refused, TooLarge
from .protocols.wire_protocol import Sent, WireProtocol
from .request_rates import RequestRates

_NO_MEMORY = "too many bodies are being received"
_NOT_READ = "The body was not read, and nothing of it was stored: {}. Send it again as it is."
_VALUE_BYTES = 100
"""The memory that a JSON value takes, about: an empty object and its place in an array take 88 bytes."""
_SMALL = 64 * 1024
"""A batch that unpacks to more is a large one, which small ones overtake."""


class ProtocolRunner:
    """Answers requests by their wire protocols. `deadline`: seconds from a request's arrival to its answer."""

    def __init__(
        self,
        collect: Collect,
        *,
        limits: Limits,
        deadline: float,
        metrics: Metrics,
        watch: Callable[[Answer, bool], None] | None = None,
    ) -> None:
        self._collect = collect
        self._limits = limits
        self._deadline = deadline
        self._metrics = metrics
        self._watch = watch
        self.rates = RequestRates(collect.rate_limiter)
        self._warnings = RateLimitedLog()

    def routes(self, protocols: Iterable[WireProtocol]) -> Routes:
        """Return the routes of these protocols."""
        table: dict[str, dict[str, Route]] = {}
        for protocol in protocols:
            for path in protocol.paths:
                route = Route(
                    partial(self.answer, protocol),
                    body_bytes=protocol.body_bytes,
                    label=path,
                    cors=protocol.cors,
                    refuse=protocol.refuse,
                    charges=True,
                )
                table.setdefault(path, {}).update(dict.fromkeys(protocol.methods, route))
        return table

    async def answer(self, protocol: WireProtocol, request: Request) -> Response:
        """Return the answer to a request in this protocol. Raise `Fault` if the protocol can't write it."""
        dry_run = protocol.dry_run(request)
        charge = Charge(self._collect.rate_limiter, request.client.share)
        try:
            await self._enter(protocol, request, charge)
            at_once = protocol.answer_at_once(request)
            if at_once is not None:
                return at_once
            job = self._job(request, charge) if protocol.scheduled else None
            sent = await self._read(protocol, request, charge, job)
        except NotReadable as error:
            answer = Answer(refusal=error.refusal)
        else:
            answer = await self._collected(request, sent, protocol.key(request) or sent.key, dry_run, charge, job)
        if answer.refusal is not None and answer.refusal.reason is Reason.RATE_LIMITED:
            await self.rates.slow_down(request)
        self._count(answer, dry_run)
        if self._watch is not None:
            self._watch(answer, dry_run)
        try:
            return protocol.write(request, answer)
        except Exception as error:  # events may be stored: the sender is told their ids
            raise Fault(tuple(receipt.event_id for receipt in answer.receipts if receipt.event_id)) from error

    async def _enter(self, protocol: WireProtocol, request: Request, charge: Charge) -> None:
        """Charge the address for a request before anything is done with its body. Raise `Refused` if the address is
        over its rate, unless the request names a good server key."""
        if charge.enter(request.size) is None:
            return
        events = max(1, min(protocol.estimate_events(request), self._limits.batch_events))
        wait = charge.enter(request.size, events)
        if wait is None:
            return
        key = protocol.early_key(request)
        if key is not None and kind_of(key) is KeyKind.SERVER:
            access = await self._judge_key(key, charge)
            if isinstance(access, Access):
                return
        raise Refused(rate_limited(wait))

    async def _judge_key(self, key: str, charge: Charge) -> Access | Refusal:
        try:
            return await self._collect.judge_key(key, charge)
        except Unavailable as error:
            raise Refused(unavailable(error)) from None

    async def _read(self, protocol: WireProtocol, request: Request, charge: Charge, job: Job | None) -> Sent:
        """Return the events of a request. Raise `NotReadable`, with the refusal."""
        limit = protocol.body_bytes
        if not limit:
            return protocol.read(request, b"")
        if request.no_memory:
            raise _not_read(Unavailable(_NO_MEMORY))
        if request.too_large:
            raise TooLarge(f"larger than {limit} bytes")
        protocol.check_headers(request)
        if job is not None:
            return await self._read_scheduled(protocol, request, charge, job)
        return self._decode(protocol, request, self._unpack(protocol, request, charge, limit))

    async def _read_scheduled(self, protocol: WireProtocol, request: Request, charge: Charge, job: Job) -> Sent:
        """Read a batch in the time of the scheduler: hundreds at the same moment would hold up everybody else."""
        limit = protocol.body_bytes
        size = said_size(request.body) if protocol.is_gzip(request) else len(request.body)
        if size <= _SMALL:
            async with self._slot(job):
                try:
                    unpacked = self._unpack(protocol, request, charge, min(_SMALL, limit))
                except TooLarge:
                    if limit <= _SMALL:
                        raise
                else:
                    return self._decode(protocol, request, unpacked)
        # a large one, or one that claimed to unpack to less than it does
        key = protocol.key(request)
        if key is not None:
            access = await self._judge_key(key, charge)
            if isinstance(access, Refusal):
                raise Refused(access)
        job.large = True
        async with self._slot(job):
            return self._decode(protocol, request, self._unpack(protocol, request, charge, limit))

    def _job(self, request: Request, charge: Charge) -> Job:
        """Return the job of a batch: to read it, then to check its events."""
        arrived = request.monotonic
        return self._collect.scheduler.job(charge.share, arrived=arrived, deadline=arrived + self._deadline)

    @asynccontextmanager
    async def _slot(self, job: Job) -> AsyncIterator[None]:
        try:
            async with self._collect.slots.acquire(job):
                yield
        except Unavailable as error:
            raise _not_read(error) from None

    def _unpack(self, protocol: WireProtocol, request: Request, charge: Charge, limit: int) -> bytes:
        """Return the body, unpacked. Raise `TooLarge` and `NotReadable`."""
        if not protocol.is_gzip(request):
            return request.body
        try:
            body = unpack(request.body, limit)
        except NotReadable:
            charge.weigh(min(limit, MOST_PACKED * len(request.body)))
            raise
        charge.weigh(len(body))
        return body

    def _decode(self, protocol: WireProtocol, request: Request, body: bytes) -> Sent:
        request.body = b""  # the events are enough, while they wait
        body = protocol.unwrap(request, body)
        if not request.memory.add_values(_VALUE_BYTES * count_values(body, self._limits.json_values)):
            raise _not_read(Unavailable(_NO_MEMORY))
        return protocol.read(request, body)

    async def _collected(
        self, request: Request, sent: Sent, key: str | None, dry_run: bool, charge: Charge, job: Job | None
    ) -> Answer:
        headers = request.headers
        submission = Submission(
            payloads=sent.payloads,
            key=key,
            sent_at=sent.sent_at,
            losses=sent.losses,
            id_signature=sent.id_signature,
            dry_run=dry_run,
            origin=headers.get("Origin"),
            address=request.client.address,
            charge=charge,
            headers=texts_of_headers(headers.get, self._limits),
            do_not_track=headers.get("DNT") == "1" or headers.get("Sec-GPC") == "1",
            received_at=request.received_at,
            deadline=request.monotonic + self._deadline,
        )
        try:
            answer = await self._collect(submission, job=job, on_checked=request.memory.release)
        except Fault as fault:  # the sender is told to send again, with the same ids
            log_fault(request, fault)
            return Answer(refusal=Refusal(reason=Reason.COMMIT_UNKNOWN, retry_after=5, event_ids=fault.event_ids))
        answer.warnings = sent.warnings
        if answer.losses is not None:
            self._count_losses(request, answer.losses)
        return answer

    def _count_losses(self, request: Request, losses: LossReceipt) -> None:
        """Count a report of losses. Only the operator learns why it was not recorded."""
        self._metrics.loss_report(losses.outcome)
        for reason, events in losses.counted.items():
            self._metrics.lost(shown_reason(reason), events)
        if isinstance(losses.error, Unavailable):
            self._warnings.warn("reports of lost events are not recorded; senders will repeat them: %s", losses.error)
        elif losses.error is not None:
            log_fault(request, losses.error)

    def _count(self, answer: Answer, dry_run: bool) -> None:
        if answer.refusal is not None:
            self._metrics.events(Outcome.REFUSED, answer.refusal.reason, 1)
        became = Counter([(receipt.outcome, receipt.reason) for receipt in answer.receipts])
        for (outcome, reason), count in became.items():
            self._metrics.events(Outcome.DRY_RUN if dry_run else outcome, reason, count)


def _not_read(error: Unavailable) -> Refused:
    detail = _NOT_READ.format(error)
    return Refused(Refusal(reason=Reason.UNAVAILABLE, detail=detail, retry_after=error.retry_after))

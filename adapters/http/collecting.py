"""`POST /v1/events`, `POST /v1/batch` and `GET /v1/pixel.gif`: a request becomes a submission, an answer a response."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from catchment.core.collecting.charging import Charge
from catchment.core.collecting.collect import Collect, unavailable
from catchment.core.collecting.losses import LossReceipt, shown_reason
from catchment.core.collecting.steps import rate_limited
from catchment.core.collecting.submission import Answer, Submission
from catchment.core.collecting.turns import Places
from catchment.core.errors import Fault, Unavailable
from catchment.core.keys import PREFIXES, kind_of
from catchment.core.limits import Limits
from catchment.core.outcomes import Outcome, Reason, Refusal
from catchment.core.project import Access, KeyKind

from . import answers
from .engine.logs import RateLimitedLog, log_fault
from .engine.message import Request, Response
from .operations.metrics import Metrics
from .protocols.bodies import Body, read_batch, read_event, read_lines, server_key_in
from .protocols.decode import MOST_PACKED, NotReadable, TooLarge, count_values, said_size, unpack
from .protocols.pixel import picture, read_pixel, write_pixel

log = logging.getLogger(__name__)

_NO_ROOM = "too many bodies are being received"
_NOT_READ = "The body was not read, and nothing of it was stored: {}. Send it again as it is."
_Reader = Callable[[bytes, Limits], Body]
_EVENT_READERS: dict[str, _Reader] = {"application/json": read_event, "text/plain": read_event}
_BATCH_READERS: dict[str, _Reader] = {
    "application/json": read_batch,
    "text/plain": read_batch,
    "application/x-ndjson": read_lines,
    "application/ndjson": read_lines,
    "application/jsonl": read_lines,
}


_VALUE_BYTES = 100
"""What a value of JSON takes in memory, about: an empty object and its place in an array are 88."""


_SMALL = 64 * 1024
"""A batch that unpacks to more is a large one, which small ones pass."""


_GZIP = ("gzip", "x-gzip")
"""One thing (RFC 9110, 8.4.1.3)."""
_ENCODINGS = (*_GZIP, "identity")
_CHARSETS = ("", "utf-8", "utf8", "us-ascii", "ascii")
"""UTF-8, and what is a part of it."""
_LATEST = 1.0
"""Seconds after which those who are over their rate are told so, at the latest."""
_REFUSED_A_SECOND = 250
_DRY_RUN = re.compile(r"(?:^|&)dry_run(?:=([^&]*))?(?![^&])")
"""Looked for in a query: to take thousands of parameters apart would cost more than an event, and be nobody's bill."""
_EVENT_LETTERS = 200
"""An event in JSON has so many or more, but for the shortest."""


class _Refused(Exception):
    """The request is refused before its body is read."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self.refusal = refusal


class _NotSupported(Exception):
    """The body's media type or encoding is not one that is read here."""


class Collecting:
    """The collecting routes. `deadline`: seconds from the arrival to the answer."""

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
        self._places = Places(collect.turn, collect.clock)
        self._told_later = 0
        self._warnings = RateLimitedLog()

    async def event(self, request: Request) -> Response:
        """One event."""
        return await self._answer(request, batch=False)

    async def batch(self, request: Request) -> Response:
        """Up to a thousand events of one project."""
        return await self._answer(request, batch=True)

    async def pixel(self, request: Request) -> Response:
        """One event in a query string. HEAD asks what it would be sent, and stores nothing."""
        if request.method == "HEAD":
            return picture()
        charge = Charge(self._collect.rate_limiter, request.client.share)
        try:
            await self._enter(request, charge)
        except _Refused as refused:
            answer = Answer(refusal=refused.refusal)
        else:
            body = read_pixel(request.query, request.headers.get("Referer"))
            answer = await self._collected(request, body, body.key, False, charge)
        await self._tell_later(request, answer)
        self._tell(answer, False)
        return write_pixel(answer)

    async def _answer(self, request: Request, *, batch: bool) -> Response:
        dry_run = "dry_run" in request.query and _asked_for_dry_run(request.query)
        charge = Charge(self._collect.rate_limiter, request.client.share)
        try:
            await self._enter(request, charge)
            body = await self._read_batch(request, charge) if batch else self._read_event(request, charge)
        except _Refused as refused:
            answer = Answer(refusal=refused.refusal)
        except Unavailable as error:
            detail = _NOT_READ.format(error)
            answer = Answer(refusal=Refusal(reason=Reason.UNAVAILABLE, detail=detail, retry_after=error.retry_after))
        except TooLarge as error:
            answer = Answer(refusal=Refusal(reason=Reason.TOO_LARGE, detail=str(error)))
        except NotReadable as error:
            answer = Answer(refusal=Refusal(reason=Reason.INVALID_JSON, detail=str(error)))
        except _NotSupported as error:
            answer = Answer(refusal=Refusal(reason=Reason.UNSUPPORTED_MEDIA_TYPE, detail=str(error)))
        else:
            key = _bearer(request.headers.get("Authorization")) or body.key
            answer = await self._collected(request, body, key, dry_run, charge)
        await self._tell_later(request, answer)
        self._tell(answer, dry_run)
        shape = answers.batch if batch else answers.single
        return shape(answer, request, dry_run=dry_run)

    async def _enter(self, request: Request, charge: Charge) -> None:
        """Charge the address for a request before anything is done with its body. Raises `_Refused` if it has used up
        what it has, unless the request names a server key that is good."""
        if charge.enter(request.size) is None:
            return
        wait = charge.enter(request.size, self._events_in(request))
        if wait is None:
            return
        key = _bearer(request.headers.get("Authorization")) or server_key_in(request.body)
        if key is not None and kind_of(key) is KeyKind.SERVER:
            access = await self._judge_key(key, charge)
            if isinstance(access, Access):
                return
        raise _Refused(rate_limited(wait))

    def _events_in(self, request: Request) -> int:
        """About how many events a body has that is not read: it says after how many seconds they will pass."""
        packed = _is_packed(request)
        events = said_size(request.body) // _EVENT_LETTERS if packed else request.body.count(b'"event_name"')
        return max(1, min(events, self._limits.batch_events))

    async def _tell_later(self, request: Request, answer: Answer) -> None:
        """Let those wait who are over their rate, the longer the more of them there are: else whoever sends without a
        pause would keep the server busy with being refused."""
        if answer.refusal is None or answer.refusal.reason is not Reason.RATE_LIMITED:
            return
        request.body = b""
        request.memory.release()
        self._told_later += 1
        try:
            await asyncio.sleep(min(_LATEST, self._told_later / _REFUSED_A_SECOND))
        finally:
            self._told_later -= 1

    async def _judge_key(self, key: str, charge: Charge) -> Access | Refusal:
        try:
            return await self._collect.judge_key(key, charge)
        except Unavailable as error:
            raise _Refused(unavailable(error)) from None

    def _read_event(self, request: Request, charge: Charge) -> Body:
        reader = self._reader_of(request, _EVENT_READERS)
        return self._decoded(request, self._unpacked(request, charge, self._limits.body_bytes), reader)

    async def _read_batch(self, request: Request, charge: Charge) -> Body:
        """Reading hundreds of batches that came at the same moment would hold up everybody else: each has its turn. One
        that had to wait for half of its time is not read: it would be late after all."""
        reader = self._reader_of(request, _BATCH_READERS)
        limit, until = self._limits.batch_bytes, request.monotonic + self._deadline / 2
        size = said_size(request.body) if _is_packed(request) else len(request.body)
        if size <= _SMALL:
            async with self._places.take(self._collect.turn.job(charge.share), until=until):
                try:
                    unpacked = self._unpacked(request, charge, min(_SMALL, limit))
                except TooLarge:
                    if limit <= _SMALL:
                        raise
                else:
                    return self._decoded(request, unpacked, reader)
        # a large one, or one that said that it unpacks to less than it does
        key = _bearer(request.headers.get("Authorization"))
        if key is not None:
            access = await self._judge_key(key, charge)
            if isinstance(access, Refusal):
                raise _Refused(access)
        request.large = True
        async with self._places.take(self._collect.turn.job(charge.share, large=True), until=until):
            return self._decoded(request, self._unpacked(request, charge, limit), reader)

    def _reader_of(self, request: Request, readers: Mapping[str, _Reader]) -> _Reader:
        """Return the reader of this media type. Raises an exception that says why the body is not read."""
        headers = request.headers
        limit = self._limits.batch_bytes if readers is _BATCH_READERS else self._limits.body_bytes
        if request.no_memory:
            raise Unavailable(_NO_ROOM)
        if request.too_large:
            raise TooLarge(f"larger than {limit} bytes")
        media, _, parameters = headers.get("Content-Type", "").partition(";")
        reader = readers.get(media.strip().lower())
        if reader is None:
            raise _NotSupported(f"send one of {', '.join(readers)}, not {_shown(media)}")
        charset = _charset(parameters)
        if charset not in _CHARSETS:
            raise _NotSupported(f"send UTF-8, not {_shown(charset)}")
        encoding = headers.get("Content-Encoding", "").strip().lower() or "identity"
        if encoding not in _ENCODINGS:
            raise _NotSupported(f"send it plain or as gzip, not {_shown(encoding)}")
        return reader

    def _unpacked(self, request: Request, charge: Charge, limit: int) -> bytes:
        """The body as JSON. Raises `TooLarge` and `NotReadable`."""
        if not _is_packed(request):
            return request.body
        try:
            body = unpack(request.body, limit)
        except NotReadable:
            charge.weigh(min(limit, MOST_PACKED * len(request.body)))
            raise
        charge.weigh(len(body))
        return body

    def _decoded(self, request: Request, body: bytes, reader: _Reader) -> Body:
        request.body = b""  # what was read of it is enough, while the events wait
        if not request.memory.add_values(_VALUE_BYTES * count_values(body, self._limits.json_values)):
            raise Unavailable(_NO_ROOM)
        return reader(body, self._limits)

    async def _collected(self, request: Request, body: Body, key: str | None, dry_run: bool, charge: Charge) -> Answer:
        headers = request.headers
        submission = Submission(
            payloads=body.payloads,
            key=key,
            sent_at=body.sent_at,
            losses=body.losses,
            id_signature=body.id_signature,
            dry_run=dry_run,
            origin=headers.get("Origin"),
            address=request.client.address,
            charge=charge,
            large=request.large,
            user_agent=_cut(headers.get("User-Agent"), self._limits.user_agent + 1),  # one more: the check says it
            do_not_track=headers.get("DNT") == "1" or headers.get("Sec-GPC") == "1",
            received_at=request.received_at,
            deadline=request.monotonic + self._deadline,
            checked=request.memory.release,
        )
        try:
            answer = await self._collect(submission)
        except Fault as fault:  # the sender is told to send again, with the same ids
            log_fault(request, fault.__cause__ or fault)
            return Answer(refusal=Refusal(reason=Reason.COMMIT_UNKNOWN, retry_after=5, event_ids=fault.event_ids))
        if answer.losses is not None:
            self._losses(request, answer.losses)
        return answer

    def _losses(self, request: Request, losses: LossReceipt) -> None:
        """Counts a report of losses; why it could not be recorded is nobody's to read but the operator's."""
        self._metrics.loss_report(losses.outcome)
        for reason, events in losses.counted.items():
            self._metrics.lost(shown_reason(reason), events)
        if isinstance(losses.error, Unavailable):
            self._warnings.warn("reports of losses are not recorded, and senders repeat them: %s", losses.error)
        elif losses.error is not None:
            log_fault(request, losses.error)

    def _tell(self, answer: Answer, dry_run: bool) -> None:
        self._count(answer, dry_run)
        if self._watch is not None:
            self._watch(answer, dry_run)

    def _count(self, answer: Answer, dry_run: bool) -> None:
        if answer.refusal is not None:
            self._metrics.events(Outcome.REFUSED, answer.refusal.reason, 1)
        became = Counter([(receipt.outcome, receipt.reason) for receipt in answer.receipts])
        for (outcome, reason), count in became.items():
            self._metrics.events(Outcome.DRY_RUN if dry_run else outcome, reason, count)


def _bearer(header: str | None) -> str | None:
    if header is None:
        return None
    if header.startswith(tuple(PREFIXES)):  # without its scheme: nothing else looks like a key
        return header.strip()
    scheme, _, token = header.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _is_packed(request: Request) -> bool:
    return request.headers.get("Content-Encoding", "").strip().lower() in _GZIP


def _asked_for_dry_run(query: str) -> bool:
    """Also by its name alone: who asks for a dry run in a way of their own must not be billed for it."""
    asked = _DRY_RUN.findall(query)
    return bool(asked) and unquote(asked[-1]) != "0"


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""


def _cut(text: str | None, length: int) -> str | None:
    return text[:length] if text else None


def _shown(text: str) -> str:
    return repr(text.strip()[:50]) if text.strip() else "nothing"

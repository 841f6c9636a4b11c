"""`POST /v1/events`, `POST /v1/batch` and `GET /v1/pixel.gif`: a request becomes a submission, an answer a response."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from catchment.core.collect import Collect
from catchment.core.errors import Fault, Unavailable
from catchment.core.keys import PREFIXES
from catchment.core.limits import Limits
from catchment.core.losses import LossReceipt, shown_reason
from catchment.core.outcomes import Outcome, Reason, Refusal
from catchment.core.submission import Answer, Submission
from catchment.core.turns import Places

from . import answers
from .bodies import Body, read_batch, read_event, read_lines
from .decode import NotReadable, TooLarge, count_values, unpack
from .exchange import Request, Response
from .faults import log_fault
from .metrics import Metrics
from .pixel import read_pixel

log = logging.getLogger(__name__)

_NO_ROOM = "too many bodies are being received"
_NOT_READ = "The body was not read, and nothing of it was stored: {}. Send it again as it is."
_Reader = Callable[[bytes, Limits], Body]
_EVENT_READERS: dict[str, _Reader] = {"application/json": read_event, "text/plain": read_event}
_BATCH_READERS: dict[str, _Reader] = {
    "application/json": read_batch,
    "text/plain": read_batch,
    "application/x-ndjson": read_lines,
}


_VALUE_BYTES = 100
"""What a value of JSON takes in memory, about: an empty object and its place in an array are 88."""


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

    async def event(self, request: Request) -> Response:
        """One event."""
        return await self._answer(request, batch=False)

    async def batch(self, request: Request) -> Response:
        """Up to a thousand events of one project."""
        return await self._answer(request, batch=True)

    async def pixel(self, request: Request) -> Response:
        """One event in a query string. HEAD asks what it would be sent, and stores nothing."""
        if request.method == "HEAD":
            return answers.picture()
        body = read_pixel(request.query, request.headers.get("Referer"))
        answer = await self._collected(request, body, body.key, False)
        self._tell(answer, False)
        return answers.pixel(answer)

    async def _answer(self, request: Request, *, batch: bool) -> Response:
        dry_run = "dry_run" in request.query and _asked_for("dry_run", request.query)
        try:
            body = await self._read_in_turn(request) if batch else self._read(request, _EVENT_READERS)
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
            answer = await self._collected(request, body, key, dry_run)
        self._tell(answer, dry_run)
        shape = answers.batch if batch else answers.single
        return shape(answer, request, dry_run=dry_run)

    async def _read_in_turn(self, request: Request) -> Body:
        """Reading hundreds of batches that came at the same moment would hold up everybody else. One that had to wait
        for half of its time is not read: it would be late after all."""
        async with self._places.take(until=request.monotonic + self._deadline / 2):
            return self._read(request, _BATCH_READERS)

    def _read(self, request: Request, readers: Mapping[str, _Reader]) -> Body:
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
        if charset not in ("", "utf-8", "utf8"):
            raise _NotSupported(f"send UTF-8, not {_shown(charset)}")
        encoding = headers.get("Content-Encoding", "identity").strip().lower()
        body = request.body
        if encoding in ("gzip", "x-gzip"):  # one thing (RFC 9110, 8.4.1.3)
            body = unpack(body, limit)
        elif encoding != "identity":
            raise _NotSupported(f"send it plain or as gzip, not {_shown(encoding)}")
        request.body = b""  # what was read of it is enough, while the events wait
        if not request.hold.more(_VALUE_BYTES * count_values(body, self._limits.json_values)):
            raise Unavailable(_NO_ROOM)
        return reader(body, self._limits)

    async def _collected(self, request: Request, body: Body, key: str | None, dry_run: bool) -> Answer:
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
            share=request.client.share,
            user_agent=_cut(headers.get("User-Agent"), self._limits.user_agent + 1),  # one more: the check says it
            do_not_track=headers.get("DNT") == "1" or headers.get("Sec-GPC") == "1",
            received_at=request.received_at,
            deadline=request.monotonic + self._deadline,
            checked=request.hold.let_go,
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
            log.warning("request %s: its report of losses was not recorded: %s", request.id, losses.error)
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


def _asked_for(name: str, query: str) -> bool:
    """Also by its name alone: who asks for a dry run in a way of their own must not be billed for it."""
    return parse_qs(query, keep_blank_values=True).get(name, ["0"])[-1] != "0"


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

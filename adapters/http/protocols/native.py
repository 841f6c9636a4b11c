"""Catchment's own protocol: `POST /v1/events` takes one event, `POST /v1/batch` many."""

from __future__ import annotations

import re
from urllib.parse import unquote

from catchment.core.collecting.submission import Answer
from catchment.core.limits import Limits
from catchment.core.refusals import Reason, Refusal

from .. import answers
from ..engine.message import Request, Response
from .bodies import read_batch, read_event, read_lines, server_key_in
from .decode import said_size
from .headers import media_type
from .not_readable import Refused
from .wire_protocol import Sent, WireProtocol

_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_DRY_RUN = re.compile(r"(?:^|&)dry_run(?:=([^&]*))?(?![^&])")
"""Finds the parameter without parsing the query: to parse thousands of parameters would cost more than an event, and
nobody would be charged."""
_EVENT_LETTERS = 200
"""The length of a short event in JSON."""


class Native(WireProtocol):
    """The common base of both."""

    def early_key(self, request: Request) -> str | None:
        return self.key(request) or server_key_in(request.body)

    def dry_run(self, request: Request) -> bool:
        return "dry_run" in request.query and asked_for_dry_run(request.query)

    def estimate_events(self, request: Request) -> int:
        if self.is_gzip(request):
            return said_size(request.body) // _EVENT_LETTERS
        return request.body.count(b'"event_name"')

    def keyed(self, request: Request, sent: Sent) -> Sent:
        """Return what was sent. Raise `Refused` if it has no key, but something that its sender took for one."""
        if sent.key is not None or self.key(request) is not None:
            return sent
        hint = f"{sent.misnamed_key} is not a field for it." if sent.misnamed_key else ""
        if "Authorization" in request.headers:
            hint = "The Authorization header is not `Bearer` and a key."
        if not hint:
            return sent
        raise Refused(Refusal(reason=Reason.MISSING_KEY, detail=hint))

    def refuse(self, request: Request, refusal: Refusal, status: int) -> Response:
        return answers.problem(refusal, request, status=status)


class Events(Native):
    """One event in a body."""

    paths = ("/v1/events",)
    media_types = ("application/json", "text/plain")

    def read(self, request: Request, body: bytes) -> Sent:
        return self.keyed(request, read_event(body, self.limits))

    def write(self, request: Request, answer: Answer) -> Response:
        return answers.single(answer, request, dry_run=self.dry_run(request))


class Batch(Native):
    """Many events of one project: an array, an envelope, or lines."""

    paths = ("/v1/batch",)
    media_types = ("application/json", "text/plain", *_LINES)
    scheduled = True

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.body_bytes = limits.batch_bytes

    def read(self, request: Request, body: bytes) -> Sent:
        if media_type(request.headers) in _LINES:
            return self.keyed(request, read_lines(body, self.limits))
        return self.keyed(request, read_batch(body, self.limits))

    def write(self, request: Request, answer: Answer) -> Response:
        return answers.batch(answer, request, dry_run=self.dry_run(request))


def asked_for_dry_run(query: str) -> bool:
    """Return True if a query asks for a dry run, with any value but 0: a sender who asks in another way must not be
    billed."""
    asked = _DRY_RUN.findall(query)
    return bool(asked) and unquote(asked[-1]) != "0"

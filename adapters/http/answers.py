"""Receipts and problems: what became of events, in JSON. The one table from reasons to HTTP statuses."""

from __future__ import annotations

from typing import Any

import msgspec

from catchment.core.collecting.losses import LossOutcome
from catchment.core.collecting.submission import Answer, Receipt
from catchment.core.event import row_of
from catchment.core.metering.rate_limit import rate_limit_fields
from catchment.core.outcomes import EventWarning, Outcome
from catchment.core.project import Access, KeyKind
from catchment.core.refusals import IN_WORDS, OriginPlace, Reason, Refusal

from .engine.message import Request, Response

encode = msgspec.json.Encoder().encode

STATUS_OF: dict[Reason, int] = {
    Reason.BOT: 200,
    Reason.DO_NOT_TRACK: 200,
    Reason.INVALID_JSON: 400,
    Reason.INVALID_EVENT: 400,
    Reason.MISSING_KEY: 401,
    Reason.UNKNOWN_KEY: 401,
    Reason.REVOKED_KEY: 401,
    Reason.QUOTA_EXCEEDED: 402,
    Reason.ORIGIN_NOT_ALLOWED: 403,
    Reason.PROJECT_DISABLED: 403,
    Reason.NOT_FOUND: 404,
    Reason.METHOD_NOT_ALLOWED: 405,
    Reason.TOO_LARGE: 413,
    Reason.UNSUPPORTED_MEDIA_TYPE: 415,
    Reason.REFUSED_BY_PLUGIN: 422,
    Reason.RATE_LIMITED: 429,
    Reason.UNAVAILABLE: 503,
    Reason.COMMIT_UNKNOWN: 503,
}

_SEND_A_KEY = "Send the project's key as projectKey in the body (the tag: data-key), or as Authorization: Bearer."
_ADD_ORIGIN = "add it with `catchment project set P --add-origin ORIGIN`."

Headers = tuple[tuple[str, str], ...]
OUTCOME = "X-Catchment-Outcome"
REASON = "X-Catchment-Reason"


def detail_of(refusal: Refusal) -> str:
    """Return what was wrong, and what the sender or the operator can do."""
    if refusal.reason is Reason.MISSING_KEY:
        return f"{refusal.detail} {_SEND_A_KEY}".lstrip()
    if refusal.about in (OriginPlace.HEADER, OriginPlace.URL):
        return f"{refusal.words.removesuffix('.')}; {_ADD_ORIGIN}"
    return refusal.words


def problem(
    refusal: Refusal,
    request: Request,
    *,
    status: int = 0,
    batch: bool = False,
    headers: Headers = (),
) -> Response:
    """A refusal as `application/problem+json` (RFC 9457), with the status of its reason unless another is given."""
    status = status or STATUS_OF[refusal.reason]
    body: dict[str, Any] = {
        "type": f"urn:catchment:problem:{refusal.reason}",
        "title": IN_WORDS[refusal.reason],
        "status": status,
        "code": refusal.reason,
        "detail": detail_of(refusal),
        "request_id": request.id,
    }
    if refusal.errors:
        body["errors"] = refusal.errors
    if refusal.code is not None:
        body["plugin_code"] = refusal.code
    if status == 503 and refusal.event_ids:  # there are none where the body was not read
        body |= {"event_ids": refusal.event_ids} if batch else {"event_id": refusal.event_ids[0]}
    if refusal.retry_after is not None:
        headers = (*headers, ("Retry-After", str(refusal.retry_after)))
    headers = (*headers, (OUTCOME, Outcome.REFUSED), (REASON, refusal.reason))
    return Response(status, encode(body), "application/problem+json", headers)


def single(answer: Answer, request: Request, *, dry_run: bool) -> Response:
    """The answer for one event."""
    if answer.refusal is not None:
        return problem(answer.refusal, request)
    receipt = answer.receipts[0]
    if dry_run:
        return _ok(_dry_run(receipt, answer.access), Outcome.DRY_RUN, receipt.reason)
    headers = rate_limit(answer, request)
    if receipt.refusal is not None:
        return problem(receipt.refusal, request, headers=headers)
    return _ok(_receipt(receipt), receipt.outcome, receipt.reason, headers)


def batch(answer: Answer, request: Request, *, dry_run: bool) -> Response:
    """The answer for a batch: a result for every event, in order."""
    if answer.refusal is not None:
        return problem(answer.refusal, request, batch=True)
    counts: dict[str, Any] = dict.fromkeys((Outcome.STORED, Outcome.DUPLICATE, Outcome.FILTERED, Outcome.REFUSED), 0)
    for receipt in answer.receipts:
        counts[receipt.outcome] += 1
    if dry_run:
        results = [{"index": i, **_dry_run(receipt, answer.access)} for i, receipt in enumerate(answer.receipts)]
        counts = dict.fromkeys(counts, 0)
    else:
        results = [_result(i, receipt) for i, receipt in enumerate(answer.receipts)]
    body: dict[str, Any] = {**counts, "results": results}
    losses, warnings = answer.losses, [*answer.warnings]
    if losses is not None:
        warnings += losses.warnings
        if losses.outcome is not LossOutcome.UNAVAILABLE:  # no word of it: the sender keeps it, and repeats it
            body["losses"] = losses.outcome
    if warnings:
        body["warnings"] = _warnings(warnings)
    return _ok(body, "batch", None, rate_limit(answer, request))


def rate_limit(answer: Answer, request: Request) -> Headers:
    """Return the headers that tell what is left of the quotas that count these events."""
    fields = rate_limit_fields(answer.uses, request.received_at) if answer.uses else None
    return () if fields is None else (("RateLimit-Policy", fields.policy), ("RateLimit", fields.limit))


def _ok(body: dict[str, Any], outcome: str, reason: str | None, headers: Headers = ()) -> Response:
    headers = (*headers, (OUTCOME, outcome))
    if reason is not None:
        headers = (*headers, (REASON, reason))
    return Response(200, encode(body), "application/json", headers)


def _receipt(receipt: Receipt) -> dict[str, Any]:
    body: dict[str, Any] = {
        "outcome": receipt.outcome,
        "event_id": receipt.event_id,
        "session_id": receipt.session_id,
        "warnings": _warnings(receipt.warnings),
    }
    if receipt.reason is not None:
        body["reason"] = receipt.reason
    return body


def _result(index: int, receipt: Receipt) -> dict[str, Any]:
    body: dict[str, Any] = {"index": index, "outcome": receipt.outcome, "event_id": receipt.event_id}
    if receipt.session_id is not None:
        body["session_id"] = receipt.session_id
    body["warnings"] = _warnings(receipt.warnings)
    if receipt.reason is not None:
        body["reason"] = receipt.reason
    refusal = receipt.refusal
    if refusal is not None:
        if refusal.errors:
            body["errors"] = refusal.errors
        body["detail"] = detail_of(refusal)
        if refusal.code is not None:
            body["plugin_code"] = refusal.code
    return body


_NOT_FOR_BROWSERS = ("project_id", "properties")
"""Columns that everybody who has a public key would learn: plugins may add what they know of a person."""


def _dry_run(receipt: Receipt, access: Access | None) -> dict[str, Any]:
    row = row_of(receipt.event) if receipt.event is not None and receipt.outcome is Outcome.STORED else None
    if row is not None and (access is None or access.kind is not KeyKind.SERVER):
        row = {name: value for name, value in row.items() if name not in _NOT_FOR_BROWSERS}
    body: dict[str, Any] = {
        "outcome": Outcome.DRY_RUN,
        "would_be": receipt.outcome,
        "reason": receipt.reason,
        "row": row,
        "warnings": _warnings(receipt.warnings),
    }
    if receipt.refusal is not None:
        body["detail"] = detail_of(receipt.refusal)
        if receipt.refusal.errors:
            body["errors"] = receipt.refusal.errors
    return body


def _warnings(warnings: list[EventWarning]) -> list[dict[str, str]]:
    return [{"code": w.code, "field": w.field, "detail": w.detail} for w in warnings]

"""Reads answers. Only Catchment's own answers are final. The answer of a proxy or another server is a reason to try
again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ._backoff import read_retry_after
from .receipts import EventWarning, Receipt

NOT_UNDERSTOOD = "not_understood"
_OUTCOMES = frozenset({"stored", "duplicate", "filtered", "refused", "dry_run"})
LONGEST_TEXT = 1000
"""Characters. The server's own texts are shorter."""
_PASSING = frozenset({"unavailable", "commit_unknown", "rate_limited"})
"""Codes that mean: send it again."""
_PROBLEM = "urn:catchment:problem:"
_OF_THE_CONTENT = frozenset({400, 403, 406, 413, 422})
"""Answers of a proxy or a firewall that dislikes a part of a request: the rest may pass. Some answer 200 with a page
instead."""


class Reply(NamedTuple):
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Again(NamedTuple):
    """The events must be sent again."""

    reason: str
    after: float | None = None
    """Seconds that the server asks to wait."""
    detail: str | None = None
    """More about the reason, in words."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class Verdict(NamedTuple):
    """The meaning of an answer for the events of one request."""

    receipts: Sequence[Receipt | None] = ()
    """One for every event, None for an event that must be sent again; or empty."""
    again: Again | None = None
    """The reason, if some have no receipt."""
    split: bool = False
    """The contents may be the reason, and parts of the request may pass. With a single event, this event may be the
    reason."""
    too_large: bool = False
    losses: str | None = None
    """The final answer to the report of losses: ``recorded`` or ``refused``."""


def read_batch(reply: Reply, ids: Sequence[str]) -> Verdict:
    """Read the answer to a batch of events with these ids."""
    if reply.status == 200:
        return _results(reply, ids)
    refusal = _problem(reply)
    code = refusal.get("code") if refusal else None
    if len(ids) > 1 and code in ("too_large", "invalid_json"):
        return Verdict(split=True, too_large=code == "too_large")
    return _whole(reply, refusal, ids)


def read_single(reply: Reply, event_id: str) -> Verdict:
    """Read the answer to one event."""
    if reply.status == 200:
        said = _object(reply.body)
        if said is None or _text(said.get("outcome")) not in _OUTCOMES:
            return Verdict(again=Again(NOT_UNDERSTOOD))
        return Verdict([_receipt(said, event_id)])
    return _whole(reply, _problem(reply), [event_id])


def _results(reply: Reply, ids: Sequence[str]) -> Verdict:
    said = _object(reply.body)
    results = said.get("results") if said is not None else None
    if said is None or not isinstance(results, list) or len(results) != len(ids):
        return Verdict(again=Again(NOT_UNDERSTOOD), split=True)
    receipts: list[Receipt | None] = []
    again = None
    for index, (result, event_id) in enumerate(zip(results, ids)):
        is_known = isinstance(result, dict) and _text(result.get("outcome")) in _OUTCOMES
        if not is_known or result.get("index") != index:
            return Verdict(again=Again(NOT_UNDERSTOOD), split=True)
        receipt = _receipt(result, event_id)
        if receipt.outcome == "refused" and receipt.reason in _PASSING:
            again = Again(receipt.reason, _wait(reply))
            receipts.append(None)
        else:
            receipts.append(receipt)
    return Verdict(receipts, again, losses=_text(said.get("losses")))


def _whole(reply: Reply, refusal: dict[str, Any] | None, ids: Sequence[str]) -> Verdict:
    """Read an answer that is the same for all events."""
    status = reply.status
    code = _text(refusal.get("code")) if refusal else None
    if refusal is None or code is None:
        again = Again(f"http_{status}", _wait(reply))
        return Verdict(again=again, split=status in _OF_THE_CONTENT, too_large=status == 413)
    if code in _PASSING or status == 429 or not 400 <= status < 500:
        return Verdict(again=Again(code, _wait(reply)))
    said = {**refusal, "outcome": "refused", "reason": code}
    return Verdict([_receipt(said, event_id) for event_id in ids], too_large=code == "too_large")


def _wait(reply: Reply) -> float | None:
    return read_retry_after(reply.headers.get("retry-after"))


def _problem(reply: Reply) -> dict[str, Any] | None:
    """Return the problem, if the answer is Catchment's."""
    said = _object(reply.body)
    if said is None or not str(said.get("type")).startswith(_PROBLEM):
        return None
    return said


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _receipt(said: Mapping[str, Any], event_id: str) -> Receipt:
    row = said.get("row")
    return Receipt(
        outcome=str(said["outcome"]),
        event_id=event_id,
        reason=_text(said.get("reason")),
        session_id=_text(said.get("session_id")),
        warnings=_warnings(said.get("warnings")),
        detail=_text(said.get("detail")),
        errors=_errors(said.get("errors")),
        plugin_code=_text(said.get("plugin_code")),
        would_be=_text(said.get("would_be")),
        row=row if isinstance(row, dict) else None,
    )


def _text(value: object) -> str | None:
    """Return a text of an answer, without characters that control a terminal: it gets into logs and tracebacks. Any
    server may have sent it, so it is cut as well."""
    if not isinstance(value, str):
        return None
    text = value[:LONGEST_TEXT]
    return text if text.isprintable() else "".join(one if one.isprintable() else "\ufffd" for one in text)


def _warnings(said: object) -> tuple[EventWarning, ...]:
    if not isinstance(said, list):
        return ()
    objects = (one for one in said if isinstance(one, dict))
    return tuple(
        EventWarning(*(_text(str(one.get(name, ""))) or "" for name in ("code", "field", "detail"))) for one in objects
    )


def _errors(said: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(said, dict):
        return {}
    return {
        _text(name) or "": tuple(_text(str(one)) or "" for one in what)
        for name, what in said.items()
        if isinstance(what, list)
    }

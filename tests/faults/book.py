"""What was sent and what was answered, whoever sent it: the half of the oracle's knowledge that is outside the
database. One `Book` a test; threads share it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

from ..support.answers import Answer

ORIGIN = "https://example.com"
ACKNOWLEDGED = ("stored", "duplicate")
# core/refusals.py, and contract.md: the codes that a problem may have. Written out, so that a new one is noticed.
CODES = {
    400: {"invalid_json", "invalid_event"},
    401: {"missing_key", "unknown_key", "revoked_key"},
    402: {"quota_exceeded"},
    403: {"origin_not_allowed", "project_disabled"},
    404: {"not_found"},
    405: {"method_not_allowed"},
    408: {"unavailable"},
    413: {"too_large"},
    415: {"unsupported_media_type"},
    422: {"refused_by_plugin"},
    429: {"rate_limited"},
    503: {"unavailable", "commit_unknown"},
}
_KEPT = 20


def faults_of(answer: Answer, ids: list[str] | None = None) -> list[str]:
    """What is wrong with an answer to a request that had the header `Origin`: nothing, always. `ids`: those that its
    events were sent with."""
    wrong = []
    headers = answer.headers
    if headers.get("access-control-allow-origin") != ORIGIN:
        wrong.append("no Access-Control-Allow-Origin: the page's script can't read it")
    exposed = headers.get("access-control-expose-headers", "")
    wrong += [f"{name} is not exposed" for name in ("Retry-After", "X-Catchment-Outcome") if name not in exposed]
    if answer.status == 200:
        return wrong
    try:
        said = answer.json
        code = said["code"]
    except (ValueError, KeyError, TypeError):
        return [*wrong, "no code"]
    if code not in CODES.get(answer.status, ()):
        wrong.append(f"the code {code!r} does not belong to this status")
    if headers.get("content-type") != "application/problem+json":
        wrong.append("it is no problem+json")
    if answer.status in (429, 503) and not headers.get("retry-after", "").isdecimal():
        wrong.append("no Retry-After")
    if answer.status == 503 and ids is not None:
        named = said.get("event_ids") or [said.get("event_id")]
        not_read = code == "unavailable" and named == [None] and "The body was not read" in said["detail"]
        if named != ids and not not_read:
            wrong.append("it names other event ids than were sent")
    return wrong


@dataclass(slots=True)
class Book:
    """What became of every event that was sent."""

    acknowledged: set[str] = field(default_factory=set)
    """Ids that were said to be stored, or to have been."""
    open: set[str] = field(default_factory=set)
    """Ids that were sent and have no such answer."""
    codes: Counter[str] = field(default_factory=Counter)
    """How often which code or outcome was answered."""
    wrong: list[str] = field(default_factory=list)
    """Answers that are not as they should be."""
    unanswered: Counter[str] = field(default_factory=Counter)
    """Requests that were sent and whose connection ended without an answer, by error."""
    not_connected: int = 0
    """Connections that were refused: nothing was sent."""
    slowest: float = 0.0
    """Seconds from a request's last byte to its answer."""
    doubtful: set[str] = field(default_factory=set)
    """Ids that may be stored though nobody said so: `commit_unknown`, no answer, or sent twice at the same moment."""
    _on_the_way: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sent(self, ids: list[str]) -> None:
        with self._lock:
            for event_id in ids:
                if self._on_the_way[event_id]:
                    self.doubtful.add(event_id)
                self._on_the_way[event_id] += 1
                if event_id not in self.acknowledged:
                    self.open.add(event_id)

    def answered(self, ids: list[str], answer: Answer) -> None:
        """Notes an answer to a request of these events (of one, or a batch in order)."""
        wrong = faults_of(answer, ids)
        outcomes = self._outcomes(ids, answer, wrong)
        with self._lock:
            self.slowest = max(self.slowest, answer.seconds)
            for event_id, outcome in zip(ids, outcomes, strict=True):
                self.codes[outcome] += 1
                self._on_the_way[event_id] -= 1
                if outcome == "duplicate" and not (event_id in self.acknowledged or event_id in self.doubtful):
                    wrong.append(f"{event_id} is a duplicate, and was said not to be stored")
                if outcome == "commit_unknown":
                    self.doubtful.add(event_id)
                if outcome in ACKNOWLEDGED:
                    self.acknowledged.add(event_id)
                    self.open.discard(event_id)
            if wrong and len(self.wrong) < _KEPT:
                self.wrong.append(f"{answer.status} {answer.body[:200]!r}: {'; '.join(wrong)}")

    @staticmethod
    def _outcomes(ids: list[str], answer: Answer, wrong: list[str]) -> list[str]:
        try:
            if answer.status != 200:
                return [answer.code] * len(ids)
            said = answer.json
            receipts = said.get("results", [said])
            if [receipt["event_id"] for receipt in receipts] != ids:
                wrong.append("its receipts are for other ids")
                return ["nonsense"] * len(ids)
            return [receipt.get("reason", receipt["outcome"]) for receipt in receipts]
        except (ValueError, KeyError, TypeError, AttributeError):
            return ["nonsense"] * len(ids)

    def lost(self, ids: list[str], error: BaseException | None = None) -> None:
        """Notes a request whose connection ended without an answer; by an `error`, or because its client left."""
        with self._lock:
            self.doubtful.update(ids)
            self._on_the_way.subtract(ids)
            if error is not None:
                self.unanswered[type(error).__name__] += 1

    def refused(self, ids: list[str]) -> None:
        """Notes a request that was not sent, since nobody took a connection."""
        with self._lock:
            self._on_the_way.subtract(ids)
            self.not_connected += 1

    def __str__(self) -> str:
        return (
            f"{len(self.acknowledged)} acknowledged, {len(self.open)} open, answers {dict(self.codes)}, "
            f"unanswered {dict(self.unanswered)}, refused {self.not_connected}, slowest {self.slowest:.3f} s"
        )

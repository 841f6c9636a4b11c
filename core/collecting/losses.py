"""Client losses: events that a sender had to drop before they reached us, as it says itself.

A report comes with a batch: an id of its own, and counts by reason. It is checked against the table of limits and
counted once per id, after the batch's events were stored, and whatever becomes of it, the events' outcomes stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING

from ..limits import Limits
from ..outcomes import EventWarning, Outcome, WarningCode
from ..project import Access, KeyKind
from .check import Findings, is_clean

if TYPE_CHECKING:
    from .collect import Collect
    from .submission import Receipt, Submission

KNOWN_REASONS = ("queue_full", "expired", "too_large", "gave_up", "closed", "invalid")
"""Why the tracker and the Python client drop an event. Other senders may have words of their own."""

OTHER_REASON = "other"
"""Stands for the words of a project that has used up its day's."""

_AT_ONCE = 4
"""Reports of one address that are being recorded. The others of it come again: else whoever sends them without a pause
would keep the database from those of everybody else."""
_REASON = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class LossOutcome(StrEnum):
    """What became of a report."""

    RECORDED = "recorded"
    """Committed, now or earlier: the sender may forget it."""
    REFUSED = "refused"
    """It can't be read, or nothing vouches for it, or the project's day is full: sent again it would be again."""
    UNAVAILABLE = "unavailable"
    """It could not be recorded now. The answer has no word of it, and the sender repeats it under the same id."""
    DRY_RUN = "dry_run"


class Recorded(StrEnum):
    """What a ledger did with a report."""

    NOW = "now"
    BEFORE = "before"
    """This id was counted already; nothing was counted now."""
    FULL = "full"
    """The project has as many reports of this day as it may; nothing was counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossReport:
    """What a sender lost."""

    id: str
    """The sender's own: counted once, however often it comes."""
    counts: Mapping[str, int]
    """Events, by reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a project's senders lost on a day, for one reason."""

    account: str
    project: str
    project_id: str
    day: date
    """Of the report's arrival, in UTC."""
    reason: str
    events: int


@dataclass(slots=True, kw_only=True)
class LossReceipt:
    """The answer to a report."""

    outcome: LossOutcome
    warnings: list[EventWarning] = field(default_factory=list)
    counted: Mapping[str, int] = field(default_factory=dict)
    """What was counted now; nothing where the id was counted before."""
    error: Exception | None = None
    """Why it could not be recorded."""


async def take_losses(
    collect: Collect, submission: Submission, access: Access, receipts: Sequence[Receipt]
) -> LossReceipt:
    """Records the report that came with a request. Never raises: the events are stored by now."""
    report, warnings = check_losses(submission.losses, collect.limits)
    if report is not None and not _vouched(submission, access, receipts):
        report = None
        warnings.append(
            EventWarning(
                WarningCode.NOT_ALLOWED, "losses", "a browser key needs an Origin header, or an event that passed"
            )
        )
    if report is None:
        return LossReceipt(outcome=LossOutcome.REFUSED, warnings=warnings)
    if submission.dry_run:
        return LossReceipt(outcome=LossOutcome.DRY_RUN, warnings=warnings)
    share = submission.charge.share if submission.charge is not None and access.kind is KeyKind.BROWSER else None
    if share is not None and collect.reporting[share] >= _AT_ONCE:
        return LossReceipt(outcome=LossOutcome.UNAVAILABLE, warnings=warnings)
    collect.reporting[share] += 1
    try:
        done = await collect.losses.record(
            access.project.id, access.kind, report, submission.received_at, deadline=submission.deadline
        )
    except Exception as error:  # whatever it is: it may not cost a stored event its receipt
        return LossReceipt(outcome=LossOutcome.UNAVAILABLE, warnings=warnings, error=error)
    finally:
        collect.reporting[share] -= 1
        if not collect.reporting[share]:
            del collect.reporting[share]
    if done is Recorded.FULL:
        full = f"over {collect.limits.loss_reports} reports of this project today"
        warnings.append(EventWarning(WarningCode.DROPPED, "losses", full))
        return LossReceipt(outcome=LossOutcome.REFUSED, warnings=warnings)
    counted = report.counts if done is Recorded.NOW else {}
    return LossReceipt(outcome=LossOutcome.RECORDED, warnings=warnings, counted=counted)


def _vouched(submission: Submission, access: Access, receipts: Sequence[Receipt]) -> bool:
    """Whether the project's origins were looked at: the header's (it matched, else there were no receipts), or an
    event's. A server key needs neither."""
    if access.kind is KeyKind.SERVER or submission.origin is not None:
        return True
    return any(receipt.outcome is not Outcome.REFUSED for receipt in receipts)


def check_losses(sent: object, limits: Limits) -> tuple[LossReport | None, list[EventWarning]]:
    """The report within the table of limits: what is wrong in it is left out, with a warning. None where nothing is
    left."""
    findings = Findings(limits)
    if not isinstance(sent, dict):
        findings.warn(WarningCode.WRONG_TYPE, "losses", "expected an object with `id` and `counts`")
        return None, findings.warnings
    report_id, counts = sent.get("id"), sent.get("counts")
    if not isinstance(report_id, str) or not report_id.strip() or not is_clean(report_id):
        findings.warn(WarningCode.DROPPED, "losses.id", "expected a text of your own, unique to this report")
    elif len(report_id) > limits.loss_id:
        findings.warn(WarningCode.DROPPED, "losses.id", f"longer than {limits.loss_id} characters; it is never cut")
    elif not isinstance(counts, dict):
        findings.warn(WarningCode.WRONG_TYPE, "losses.counts", "expected an object: a number for each reason")
    else:
        good = _counts(counts, limits, findings)
        if good:
            return LossReport(id=report_id, counts=good), findings.warnings
        findings.warn(WarningCode.DROPPED, "losses.counts", "nothing in it can be counted")
    return None, findings.warnings


def _counts(sent: Mapping[str, object], limits: Limits, findings: Findings) -> dict[str, int]:
    good: dict[str, int] = {}
    for number, (reason, count) in enumerate(sent.items()):
        path = f"losses.counts.{reason}"
        if number >= limits.loss_reasons:
            findings.warn(WarningCode.DROPPED, "losses.counts", f"more than {limits.loss_reasons} reasons")
            break
        if len(reason) > limits.loss_reason or _REASON.fullmatch(reason) is None:
            findings.warn(WarningCode.DROPPED, path, f"expected a snake_case word up to {limits.loss_reason} letters")
        elif type(count) is not int or count < 1:
            findings.warn(WarningCode.DROPPED, path, "expected a whole number, from 1 on")
        elif count > limits.loss_count:
            findings.warn(WarningCode.CUT, path, f"counted as {limits.loss_count}")
            good[reason] = limits.loss_count
        else:
            good[reason] = count
    return good


def shown_reason(reason: str) -> str:
    """The reason as a metric's label: of a closed list."""
    return reason if reason in KNOWN_REASONS else OTHER_REASON

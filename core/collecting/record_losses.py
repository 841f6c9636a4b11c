"""Records a report of client losses.

A report comes with a batch, after whose events it is recorded. It has an id and counts by reason, and is counted once
per id. The outcomes of the events do not depend on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..limits import Limits
from ..outcomes import EventWarning, Outcome, WarningCode
from ..project import Access, KeyKind
from .findings import Findings, is_clean
from .losses import LossOutcome, LossReceipt, LossReport, Recorded
from .services import Services
from .submission import Receipt, Submission

_AT_ONCE = 4
"""Reports of one address that are recorded at a time; the sender repeats the others. A sender without pauses would
otherwise keep the database from everybody else."""
_REASON = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


async def take_losses(
    services: Services, submission: Submission, access: Access, receipts: Sequence[Receipt]
) -> LossReceipt:
    """Record the report of a request. Never raise: the events are stored by now."""
    report, warnings = check_losses(submission.losses, services.limits)
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
    if share is not None and services.reporting[share] >= _AT_ONCE:
        return LossReceipt(outcome=LossOutcome.UNAVAILABLE, warnings=warnings)
    services.reporting[share] += 1
    try:
        done = await services.losses.record(
            access.project.id, access.kind, report, submission.received_at, deadline=submission.deadline
        )
    except Exception as error:  # no error may cost a stored event its receipt
        return LossReceipt(outcome=LossOutcome.UNAVAILABLE, warnings=warnings, error=error)
    finally:
        services.reporting[share] -= 1
        if not services.reporting[share]:
            del services.reporting[share]
    if done is Recorded.FULL:
        full = f"over {services.limits.loss_reports} reports of this project today"
        warnings.append(EventWarning(WarningCode.DROPPED, "losses", full))
        return LossReceipt(outcome=LossOutcome.REFUSED, warnings=warnings)
    counted = report.counts if done is Recorded.NOW else {}
    return LossReceipt(outcome=LossOutcome.RECORDED, warnings=warnings, counted=counted)


def _vouched(submission: Submission, access: Access, receipts: Sequence[Receipt]) -> bool:
    """Return True if the sender may report: it has a server key, its `Origin` header matched, or one of its events
    passed."""
    if access.kind is KeyKind.SERVER or submission.origin is not None:
        return True
    return any(receipt.outcome is not Outcome.REFUSED for receipt in receipts)


def check_losses(sent: object, limits: Limits) -> tuple[LossReport | None, list[EventWarning]]:
    """Return the report within the limits, and warnings for what was left out; None if nothing is left."""
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

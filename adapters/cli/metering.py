"""Commands for usage, losses, the audit and billing."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click

from catchment.core.metering.outcomes import OutcomeCount
from catchment.core.outcomes import Outcome
from catchment.core.times import hour_of, period_text, read_period

from .context import Context, command
from .hints import allowing
from .output import Output


class PeriodType(click.ParamType[date]):
    name = "yyyy-mm"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            return value if isinstance(value, date) else read_period(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


PERIOD = PeriodType()


class DayType(click.ParamType[datetime]):
    name = "yyyy-mm-dd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return value if isinstance(value, datetime) else datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            self.fail("expected a day, such as 2026-11-28", param, ctx)


DAY = DayType()
_INBOXES = 3
"""Projects whose inbox `outcomes` names."""


def add_metering(root: click.Group) -> None:
    @command(root, "usage")
    @click.option("--account", help="Show this account alone, by name or id.")
    @click.option("--project", help="Show this project alone, by id, account/name, or name.")
    @click.option("--period", type=PERIOD, help="Show this month alone, such as 2026-11.")
    def usage(context: Context, output: Output, account: str | None, project: str | None, period: date | None) -> None:
        """Show the events stored, by account, project and billing period (a month in UTC).

        Deleted projects are in it. The demo's account is not, unless it is named: nobody is billed for it.
        """
        found = context.run(
            lambda management: management.reports.usage(account=account, project=project, period=period)
        )
        rows = [
            {
                "account": one.account,
                "project": one.project + (" (deleted)" if one.deleted and not output.as_json else ""),
                "project_id": one.project_id,
                "period": period_text(one.period),
                "events": one.events,
            }
            for one in found
        ]
        columns = {"account": "Account", "project": "Project", "period": "Period", "events": "Events"}
        of = project or account
        when = f"in {period_text(period)}" if period else "yet"
        output.table(rows, columns, f"Nothing{f' of {of}' if of else ''} was stored {when}.")

    @command(root, "losses")
    @click.option("--project", help="Show this project alone, by id, account/name, or name.")
    def losses(context: Context, output: Output, project: str | None) -> None:
        """Show the events that senders lost before they got here, as they say themselves, by day in UTC."""
        found = context.run(lambda management: management.reports.losses(project=project))
        rows = [
            {
                "account": one.account,
                "project": one.project,
                "project_id": one.project_id,
                "day": one.day.isoformat(),
                "reason": one.reason,
                "events": one.events,
            }
            for one in found
        ]
        columns = {"account": "Account", "project": "Project", "day": "Day", "reason": "Reason", "events": "Events"}
        output.table(
            rows,
            columns,
            f"No sender{f' of {project}' if project else ''} says that it lost an event.",
        )

    @command(root, "outcomes")
    @click.option("--project", help="Show this project alone, by id, account/name, or name.")
    @click.option("--day", type=DAY, help="The day in UTC, such as 2026-11-28; else the last 24 hours.")
    def outcomes(context: Context, output: Output, project: str | None, day: datetime | None) -> None:
        """Show the outcomes of events: stored, duplicate, filtered, refused with the reason, lost by their sender.

        It answers the question why nothing arrives. Only events with a key of a project are in it; servers write them
        every few seconds. With --json there is a row for each hour in UTC.
        """
        until = day + timedelta(days=1) if day else datetime.now(UTC)
        since = day or hour_of(until - timedelta(days=1))
        counts, origins = context.run(
            lambda management: management.reports.outcomes(project=project, since=since, until=until)
        )
        if output.as_json:
            output.document([_outcome_row(one) for one in counts], None)
            return
        totals: Counter[tuple[str, str, str, str]] = Counter()
        for one in counts:
            totals[one.account, one.project, one.outcome, one.reason or ""] += one.events
        columns = {
            "account": "Account",
            "project": "Project",
            "outcome": "Outcome",
            "reason": "Reason",
            "events": "Events",
        }
        rows = [dict(zip(columns, (*key, events), strict=True)) for key, events in totals.items()]
        when = f"on {day:%Y-%m-%d}" if day else "in the last 24 hours"
        output.table(rows, columns, f"Nothing{f' of {project}' if project else ''} arrived {when}.")
        names = {one.project_id: f"{one.account}/{one.project}" for one in counts}
        for origin in origins:
            name = names.get(origin.project_id, origin.project_id)
            output.say(f"{name} refused the origin {origin.origin} at {origin.refused_at:%Y-%m-%d %H:%M} UTC.")
            options = allowing(origin.origin)
            if options:
                output.say(f"To allow it:\n  {shlex.join(['catchment', 'project', 'set', name, *options])}")
        sampled = sorted(
            {names[one.project_id] for one in counts if one.outcome in (Outcome.REFUSED, Outcome.FILTERED)}
        )
        for name in sampled[:_INBOXES]:
            output.say(f"Samples of the events:\n  {shlex.join(['catchment', 'inbox', 'list', name])}")

    @command(root, "audit")
    def audit(context: Context, output: Output) -> None:
        """Prove that usage equals stored rows, for every project and period. Exits with 1 if it does not."""
        with output.waiting("counting all events"):
            found = context.run(lambda management: management.reports.audit())
        differences = [
            {
                "account": one.account,
                "project": one.project,
                "project_id": one.project_id,
                "period": period_text(one.period),
                "usage": one.usage,
                "stored": one.stored,
            }
            for one in found
        ]
        lines = [
            f"{one['account']}/{one['project']} {one['period']}: usage {one['usage']}, stored rows {one['stored']}"
            for one in differences
        ]
        document = {"ok": not differences, "differences": differences}
        output.document(document, "\n".join(lines) or "Usage equals stored rows, everywhere.")
        if differences:
            sys.exit(1)

    @root.group("billing")
    def billing() -> None:
        """Hand usage to billing."""

    @command(billing, "push")
    @click.option("--backend", required=True, help="The plugin that bills, such as csv.")
    @click.option("--period", type=PERIOD, help="The month, such as 2026-11; else all months.")
    def push(context: Context, output: Output, backend: str, period: date | None) -> None:
        """Hand closed and current usage to a billing backend.

        Months that are over are closed first. Pushing again is harmless: every usage carries the same idempotency
        key each time (account, project, period). Deleted projects are billed for what they stored; a demo's account
        is not billed.
        """
        pushed = context.run(lambda management: management.billing.push(backend, period=period))
        periods = [period_text(one) for one in pushed.periods]
        document = {"backend": backend, "pushed": pushed.usages, "periods": periods}
        output.document(document, f"{backend} took {pushed.usages} usage(s), of {', '.join(periods) or 'no period'}.")


def _outcome_row(one: OutcomeCount) -> dict[str, Any]:
    return {
        "project_id": one.project_id,
        "hour": f"{one.hour.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "outcome": one.outcome,
        "reason": one.reason,
        "events": one.events,
    }

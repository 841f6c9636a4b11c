"""Commands that administer quotas and plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from catchment.core.errors import CatchmentError
from catchment.core.metering.patterns import NamePattern
from catchment.core.metering.quota import MOST_GRACE_DAYS, BadQuota, QuotaRule
from catchment.core.project import KeyKind, Window

from .context import Context, command
from .output import Output

if TYPE_CHECKING:
    from catchment.core.metering.quotas import NamedQuota, PlanGiven, QuotaState

_LINE = 44
"""Characters of a quota's description in a table."""


class _Pattern(click.ParamType[NamePattern]):
    """A pattern of event names."""

    name = "pattern"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> NamePattern:
        if isinstance(value, NamePattern):
            return value
        try:
            return NamePattern.parse(value)
        except CatchmentError as error:
            self.fail(str(error), param, ctx)


def quota_words(rule: QuotaRule) -> str:
    """Return a quota in words, such as `at most 20,000 events a month with browser keys`."""
    if rule.hard is None:
        return f"told from {rule.soft:,} {rule.counted} on"
    words = f"at most {rule.hard:,} {rule.counted}"
    if rule.soft is not None:
        words += f", told from {rule.soft:,} on"
    if rule.grace:
        days = "1 day" if rule.grace == 1 else f"{rule.grace} days"
        words += f"; the limit holds {days} after that"
    return words


def _rule_lines(rule: QuotaRule) -> list[str]:
    """Return a quota for a table: what `quota_words` says, in short lines."""
    first, _, more = quota_words(rule).partition(", ")
    return [first, f"  {more}"] if more else [first]


def plan_words(given: PlanGiven) -> list[str]:
    """Return what a change of plan did, in lines."""
    changes = given.changes
    lines = [
        *(f"new: {quota_words(rule)}" for rule in changes.add),
        *(f"changed: {quota_words(quota)}" for quota in changes.change),
        *(f"gone: {quota_words(quota)}" for quota in changes.remove),
        *(f"stays, in the place of one of the plan: {quota_words(quota)} ({quota.id})" for quota in changes.replaced),
    ]
    has = "has no plan" if given.plan is None else f"has the plan {given.plan}"
    return [f"{given.account.name} {has}{'' if lines else '; its quotas are as they were'}", *lines]


def plan_document(given: PlanGiven) -> dict[str, Any]:
    """Return what a change of plan did, for machines."""
    changes = given.changes
    return {
        "id": given.account.id,
        "name": given.account.name,
        "plan": given.plan,
        "added": [rule.given() for rule in changes.add],
        "changed": [{"id": quota.id, **quota.given()} for quota in changes.change],
        "removed": [{"id": quota.id, **quota.given()} for quota in changes.remove],
        "replaced": [{"id": quota.id, **quota.given()} for quota in changes.replaced],
    }


def add_quotas(root: click.Group) -> None:
    @root.group("quota")
    def quota() -> None:
        """Limits on usage, as data: they can be set, changed and removed at any moment."""

    @command(quota, "set")
    @click.option("--account", metavar="A", help="The account: all its projects together.")
    @click.option("--project", metavar="P", help="The project.")
    @click.option("--window", type=click.Choice([w.value for w in Window]), required=True, help="In UTC.")
    @click.option("--soft", type=int, metavar="N", help="From so many events on you are told.")
    @click.option("--hard", type=int, metavar="N", help="Events in a window; more are refused.")
    @click.option(
        "--grace",
        type=click.IntRange(0, MOST_GRACE_DAYS),
        metavar="DAYS",
        default=0,
        help="Days after soft was crossed during which hard does not hold.",
    )
    @click.option(
        "--events", type=_Pattern(), metavar="PATTERN", default="*", help="Count events of these names alone."
    )
    @click.option(
        "--keys", type=click.Choice([k.value for k in KeyKind]), help="Count events of this kind of key alone."
    )
    def set_(
        context: Context,
        output: Output,
        account: str | None,
        project: str | None,
        window: str,
        soft: int | None,
        hard: int | None,
        grace: int,
        events: NamePattern,
        keys: str | None,
    ) -> None:
        """Set a quota, in place of the one there is for the same events: what is used of it stays.

        \b
        catchment quota set --account acme --window month --hard 100000
        catchment quota set --account acme --window month --soft 80000 --hard 100000 --grace 3
        catchment quota set --project shop --window day --events 'Click*' --hard 5000
        catchment quota set --project shop --window day --keys browser --hard 20000

        What the window has already is counted, to the last event. --soft alone refuses nothing. In a pattern, * stands
        for any characters.

        A browser key is public: anybody may use up what it is allowed. With --keys browser, what comes by it can't use
        up what your back end needs.
        """
        if (account is None) == (project is None):
            raise click.UsageError("say one of --account and --project")
        if soft is None and hard is None:
            raise click.UsageError("say --hard, --soft, or both")
        try:
            rule = QuotaRule(
                window=Window(window),
                keys=KeyKind(keys) if keys else None,
                events=events,
                soft=soft,
                hard=hard,
                grace=grace,
            )
        except BadQuota as error:
            raise click.UsageError("; ".join(f"--{name}: {words}" for name, words in error.mistakes.items())) from None
        made = context.run(lambda management: management.quotas.set(rule, account=account, project=project))
        words = f"For the {made.quota.scope} {made.name}: {quota_words(made.quota)} ({made.quota.id})"
        output.document(_shown(made), words)

    @command(quota, "list")
    @click.option("--account", metavar="A", help="Only those of this account.")
    @click.option("--project", metavar="P", help="Only those of this project.")
    def list_(context: Context, output: Output, account: str | None, project: str | None) -> None:
        """List quotas, with what is used of each in its present window.

        The states: ok, warning (80 % of the first limit), soft, grace (hard is reached, and does not hold yet), hard
        (more is refused). The forecast is the day on which hard is reached at the rate of the last 7 days.
        """
        found = context.run(lambda management: management.quotas.list(account=account, project=project))
        rows = [_with_usage(state) for state in found]
        if not output.as_json:
            rows = [{**row, "quota_id": _lines(state)} for row, state in zip(rows, found, strict=True)]
        columns = {
            "quota_id": "Quota",
            "used": "Used",
            "soft": "Soft",
            "hard": "Hard",
            "left": "Left",
            "state": "State",
            "forecast": "Forecast",
            "resets_at": "Begins anew",
        }
        output.table(
            rows,
            columns,
            "There is no quota yet: catchment quota set --help",
            droppable=("resets_at", "left", "soft", "forecast"),
        )

    @command(quota, "remove")
    @click.argument("id")
    def remove(context: Context, output: Output, id: str) -> None:
        """Remove a quota, named by its id. It holds for no event after that."""
        gone = context.run(lambda management: management.quotas.remove(id))
        words = f"Removed, for the {gone.quota.scope} {gone.name}: {quota_words(gone.quota)}"
        output.document({**_shown(gone), "removed": True}, words)


def add_plans(root: click.Group) -> None:
    @root.group("plan")
    def plan() -> None:
        """Plans: sets of quotas with a name, from the settings (section plans)."""

    @command(plan, "list")
    def list_(context: Context, output: Output) -> None:
        """List the plans of the settings, with their quotas and the accounts that have them.

        An account gets one by `catchment account set A --plan NAME`.
        """
        found = context.run(lambda management: management.quotas.plans())
        if output.as_json:
            rows: list[dict[str, Any]] = [
                {
                    "name": one.name,
                    "quotas": None if one.plan is None else [rule.given() for rule in one.plan.quotas],
                    "accounts": list(one.accounts),
                }
                for one in found
            ]
        else:
            gone = ["not in the settings any more"]
            rows = [
                {
                    "name": one.name,
                    "quotas": gone if one.plan is None else [_rule_lines(rule) for rule in one.plan.quotas] or ["none"],
                    "accounts": len(one.accounts),
                }
                for one in found
            ]
        columns = {"name": "Plan", "accounts": "Accounts", "quotas": "Quotas"}
        output.table(rows, columns, "There is no plan yet: the section plans of the settings makes them.")

    @command(plan, "apply")
    @click.argument("name", required=False)
    def apply(context: Context, output: Output, name: str | None) -> None:
        """Bring every account that has a plan, or the plan NAME, to what the settings say now.

        Run it after you have changed a plan in the settings. Quotas that were set by hand stay.
        """
        found = context.run(lambda management: management.quotas.apply_plans(name))
        words = "\n".join(line for one in found for line in plan_words(one)) or "No account has it."
        output.document([plan_document(one) for one in found], words)


def _shown(named: NamedQuota) -> dict[str, Any]:
    quota = named.quota
    return {
        "id": quota.id,
        "scope": quota.scope,
        "scope_id": quota.scope_id,
        "name": named.name,
        "window": quota.window,
        "events": str(quota.events),
        "keys": quota.keys,
        "soft": quota.soft,
        "hard": quota.hard,
        "grace": quota.grace,
        "plan": quota.plan,
    }


def _with_usage(state: QuotaState) -> dict[str, Any]:
    return {
        **_shown(state),
        "used": state.use.used,
        "left": state.use.left,
        "state": state.state,
        "resets_at": state.resets_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "forecast": None if state.forecast is None else state.forecast.isoformat(),
    }


def _lines(state: QuotaState) -> list[str]:
    """Return a quota for a table: whose it is, what it counts, its id."""
    quota = state.quota
    plan = "" if quota.plan is None else f" (plan {quota.plan})"
    return [*(_cut(line) for line in (f"{state.name}{plan}", quota.counted)), quota.id]


def _cut(text: str) -> str:
    return text if len(text) <= _LINE else f"{text[: _LINE - 1]}…"

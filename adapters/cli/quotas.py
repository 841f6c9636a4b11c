"""Commands that administer quotas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from catchment.core.project import MOST_EVENTS, KeyKind, Quota, Window

from .context import Context, command
from .output import Output

if TYPE_CHECKING:
    from catchment.core.metering.quotas import NamedQuota, QuotaState


def quota_words(quota: Quota) -> str:
    """Return a quota in words, such as `20,000 events a month with browser keys`."""
    by = "" if quota.keys is None else f" with {quota.keys} keys"
    return f"{quota.hard:,} events a {quota.window}{by}"


def add_quotas(root: click.Group) -> None:
    @root.group("quota")
    def quota() -> None:
        """Limits on usage."""

    @command(quota, "set")
    @click.option("--account", help="The account: all its projects together.")
    @click.option("--project", help="The project.")
    @click.option("--window", type=click.Choice([w.value for w in Window]), required=True, help="In UTC.")
    @click.option(
        "--keys", type=click.Choice([k.value for k in KeyKind]), help="Count events of this kind of key alone."
    )
    @click.option(
        "--hard", type=click.IntRange(0, MOST_EVENTS), required=True, help="Events in a window; more are refused."
    )
    def set_(
        context: Context,
        output: Output,
        account: str | None,
        project: str | None,
        window: str,
        keys: str | None,
        hard: int,
    ) -> None:
        """Set a quota, in place of the one there is for this window and kind of key.

        A browser key is public: anybody may use up what it is allowed. With --keys browser, what comes by it can't use
        up what your back end needs.
        """
        if (account is None) == (project is None):
            raise click.UsageError("say one of --account and --project")
        made = context.run(
            lambda management: management.quotas.set(
                account=account,
                project=project,
                window=Window(window),
                keys=KeyKind(keys) if keys else None,
                hard=hard,
            )
        )
        quota = made.quota
        words = f"At most {quota_words(quota)} for the {quota.scope} {made.name} ({quota.id})"
        output.document(_shown(made), words)

    @command(quota, "list")
    def list_(context: Context, output: Output) -> None:
        """List all quotas, with what is used of each in its present window."""

        columns = {
            "scope": "Scope",
            "name": "Of",
            "window": "Window",
            "keys": "Keys",
            "hard": "Events",
            "used": "Used",
            "left": "Left",
            "resets_at": "Begins anew",
            "id": "Id",
        }
        rows = [_with_usage(state) for state in context.run(lambda management: management.quotas.list())]
        if not output.as_json:
            rows = [{**row, "keys": row["keys"] or "both"} for row in rows]
        output.table(rows, columns, "There is no quota.")

    @command(quota, "remove")
    @click.argument("id")
    def remove(context: Context, output: Output, id: str) -> None:
        """Remove a quota, named by its id. Running servers see it at once."""
        gone = context.run(lambda management: management.quotas.remove(id))
        words = f"Removed: {quota_words(gone.quota)} for the {gone.quota.scope} {gone.name}"
        output.document({**_shown(gone), "removed": True}, words)


def _shown(named: NamedQuota) -> dict[str, Any]:
    quota = named.quota
    return {
        "id": quota.id,
        "scope": quota.scope,
        "scope_id": quota.scope_id,
        "name": named.name,
        "window": quota.window,
        "events": None,
        "keys": quota.keys,
        "hard": quota.hard,
    }


def _with_usage(state: QuotaState) -> dict[str, Any]:
    return {
        **_shown(state),
        "used": state.used,
        "left": state.left,
        "resets_at": state.resets_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }

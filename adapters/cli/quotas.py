"""Commands that administer quotas."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from catchment.core.project import MOST_EVENTS, KeyKind, Quota, Window
from catchment.core.times import window_end

from .actions import Managed
from .context import Context, command
from .output import Output


def quota_words(quota: Quota) -> str:
    """Return a quota in words, such as `20,000 events a month with browser keys`."""
    by = "" if quota.keys is None else f" with {quota.keys} keys"
    return f"{quota.hard:,} events a {quota.window}{by}"


def add_quotas(root: click.Group) -> None:
    @root.group("quota")
    def quota() -> None:
        """Limits on usage."""

    @command(quota, "set")
    @click.option("--account", help="Of this account, all its projects together.")
    @click.option("--project", help="Of this project.")
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
        made, name = context.managing(
            lambda managed: managed.administer.set_quota(
                account=account,
                project=project,
                window=Window(window),
                keys=KeyKind(keys) if keys else None,
                hard=hard,
            )
        )
        output.document(_shown(made, name), f"At most {quota_words(made)} for the {made.scope} {name} ({made.id})")

    @command(quota, "list")
    def list_(context: Context, output: Output) -> None:
        """List all quotas, with what is used of each in its present window."""

        async def work(managed: Managed) -> list[dict[str, Any]]:
            now = datetime.now(UTC)
            used = await managed.meter.quota_usage(now)
            return [_with_usage(one, name, used, now) for one, name in await managed.administer.quotas()]

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
        rows = context.managing(work)
        if not output.as_json:
            rows = [{**row, "keys": row["keys"] or "both"} for row in rows]
        output.table(rows, columns, "There is no quota.")

    @command(quota, "remove")
    @click.argument("id")
    def remove(context: Context, output: Output, id: str) -> None:
        """Remove a quota, named by its id. Running servers see it at once."""
        gone, name = context.managing(lambda managed: managed.administer.remove_quota(id))
        output.document(
            {**_shown(gone, name), "removed": True}, f"Removed: {quota_words(gone)} for the {gone.scope} {name}"
        )


def _shown(quota: Quota, name: str) -> dict[str, Any]:
    return {
        "id": quota.id,
        "scope": quota.scope,
        "scope_id": quota.scope_id,
        "name": name,
        "window": quota.window,
        "events": None,
        "keys": quota.keys,
        "hard": quota.hard,
    }


def _with_usage(quota: Quota, name: str, used_of: Mapping[str, int], now: datetime) -> dict[str, Any]:
    """Return a quota with its used events in the window that contains `now`."""
    used = used_of.get(quota.id, 0)
    ends = window_end(quota.window, now)
    return {
        **_shown(quota, name),
        "used": used,
        "left": max(0, quota.hard - used),
        "resets_at": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }

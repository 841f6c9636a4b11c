"""The command line."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from catchment.core.errors import Invalid, Misconfigured
from catchment.core.times import period_text, read_period

from .administering import add_administering
from .context import Context, command
from .failures import Root
from .output import Output

if TYPE_CHECKING:
    from catchment.core.metering.usage import Usage

    from .actions import ActionsOf, Managed


class PeriodType(click.ParamType[date]):
    name = "yyyy-mm"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            return value if isinstance(value, date) else read_period(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


PERIOD = PeriodType()


def build(actions_of: ActionsOf, version: str | None = None) -> click.Group:
    """Return the whole command line for these actions. `version`: the installed one's unless given."""

    @click.group(
        cls=Root,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        epilog="To begin with: catchment demo. The settings that count: catchment config show.",
    )
    @click.version_option(version, prog_name="catchment", package_name="catchment")
    @click.option(
        "--config",
        metavar="FILE",
        type=click.Path(),
        help="Settings, in TOML. Else CATCHMENT_CONFIG's, else /etc/catchment/catchment.toml if it is there.",
    )
    @click.pass_context
    def root(ctx: click.Context, config: str | None) -> None:
        """Collects the custom events of websites: every event gets a receipt, and what is billed equals what is
        stored."""
        ctx.obj = Context(actions_of, config)

    add_running(root)
    add_administering(root)
    add_metering(root)
    return root


def add_running(root: click.Group) -> None:
    @command(root, "serve")
    @click.option("--host", help="The address to listen on; 0.0.0.0 is all.")
    @click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 is any free one.")
    @click.option("--workers", type=click.IntRange(1, 64), help="Processes that share the socket.")
    def serve(context: Context, output: Output, host: str | None, port: int | None, workers: int | None) -> None:
        """Collect events over HTTP.

        Ends on SIGTERM or Ctrl-C without cutting a request. The settings are read once, at the start.
        """

        def listening(host: str, port: int, workers: int) -> None:
            if output.as_json:
                output.document({"host": host, "port": port, "workers": workers}, "")
            elif sys.stderr is not None and sys.stderr.isatty():  # the log says it otherwise
                output.say(f"Listening on {host}:{port}, {workers} worker(s). Ctrl-C ends it.")

        sys.exit(context.actions.serve(host=host, port=port, workers=workers, listening=listening))

    @command(root, "migrate")
    def migrate(context: Context, output: Output) -> None:
        """Bring the database to this version. A second run changes nothing."""
        applied = context.actions.migrate(lambda name: output.say(f"applying {name}"))
        words = f"Applied {len(applied)} migration(s)." if applied else "The database is at this version already."
        output.document({"applied": applied}, words)

    @command(root, "maintain")
    def maintain(context: Context, output: Output) -> None:
        """Do now what servers do every hour, and put events into their month's partition.

        Makes partitions three months ahead, forgets ids of over 32 days, and moves events that had to go into the
        default partition; servers wait while those of a month are moved.
        """

        async def work(managed: Managed) -> dict[str, Any]:
            done = await managed.maintenance.once()
            moved = {period_text(month): await managed.maintenance.place(month) for month in done.misplaced}
            return {"partitions": list(done.partitions), "ids_forgotten": done.ids_forgotten, "moved": moved}

        with output.waiting("partitions, ids that are old, events in the default partition"):
            done = context.managing(work)
        lines = [f"made {name}" for name in done["partitions"]]
        lines += [f"moved {events:,} events of {month}" for month, events in done["moved"].items()]
        lines.append(f"forgot {done['ids_forgotten']:,} ids")
        output.document(done, "\n".join(lines))

    @command(root, "demo")
    @click.option("--host", help="The address to listen on.")
    @click.option("--port", type=click.IntRange(0, 65535), help="The collector's port.")
    @click.option("--site-port", type=click.IntRange(0, 65535), help="The demo website's port.")
    @click.option("--check", is_flag=True, help="Do it all without a person, verify it, and leave nothing behind.")
    @click.option("--remove", is_flag=True, help="Take away what the demo made and stored, and end.")
    def demo(
        context: Context,
        output: Output,
        host: str | None,
        port: int | None,
        site_port: int | None,
        check: bool,
        remove: bool,
    ) -> None:
        """Show the main job: a server, and a small website whose pages post events to it.

        Prints a curl to try, and a line for each receipt as it is committed. It works on the database of the settings
        (embedded unless told otherwise), in an account `demo` that is never billed.

        --check is a good first test of a database: it makes an account of its own there, verifies what comes back, and
        takes everything away again, also if it fails or is interrupted.
        """
        if check:
            found = context.actions.check_demo(output.say)
            output.document(found, "All of it holds.")
        elif remove:
            gone = context.managing(lambda managed: managed.administer.remove_demo("demo"))
            output.document({"id": gone.id, "name": gone.name, "deleted": True}, "The demo is gone.")
        else:
            say = output.say if output.as_json else click.echo
            sys.exit(context.actions.demo(host=host, port=port, site_port=site_port, say=say))

    @command(root, "plugins")
    def plugins(context: Context, output: Output) -> None:
        """List the plugins that are installed: their state, hooks and settings, and what is wrong with them.

        The number behind a hook is the plugin's place among those that have it. Exits with 2 if one can't be loaded.
        """
        found = context.actions.plugins()
        rows = [
            {
                "name": plugin.name,
                "state": plugin.state,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "module": plugin.module,
                "hooks": list(plugin.hooks) if output.as_json else [f"{h} ({plugin.order[h]})" for h in plugin.hooks],
                "order": dict(plugin.order),
                "settings": dict(plugin.settings) if output.as_json else _settings_words(plugin.settings),
                "problems": list(plugin.problems),
            }
            for plugin in found
        ]
        columns = {"name": "Plugin", "state": "State", "distribution": "From", "version": "Version", "hooks": "Hooks"}
        columns["settings"] = "Settings"
        output.table(rows, columns, "No plugin is installed.", droppable=["distribution", "version"])
        problems = [problem for plugin in found for problem in plugin.problems]
        for problem in problems:
            output.say(problem)
        if problems:
            sys.exit(2)

    @root.group("config")
    def config() -> None:
        """See and check the settings."""

    @command(config, "show")
    def show(context: Context, output: Output) -> None:
        """Print the settings as they are now, secrets hidden, and where each comes from: a default, the file, or a
        variable of the environment."""
        shown = context.actions.shown_settings()
        file, sources = shown.get("settings_file"), shown.get("sources", {})
        lines = [f"# settings: {file}" if file else "# no settings file", ""]
        for section, values in shown.items():
            if section in ("settings_file", "sources"):
                continue
            lines.append(f"[{section}]")
            for name, value in values.items():
                text = f"{name} = {_toml(value)}"
                source = _source_words(sources, f"{section}.{name}")
                lines.append(f"{text:<40}  # {source}" if source else text)
            lines.append("")
        output.document(shown, "\n".join(lines).rstrip())

    @command(config, "check")
    def check(context: Context, output: Output) -> None:
        """Check the settings, plugins, database, port and rights. Starts and changes nothing.

        Harmless beside a running server. Exits with 0 if nothing fails, 1 if something does, and 2 if it is the
        settings, a plugin's too.
        """
        try:
            found = [
                {"name": one.name, "level": one.level, "message": one.message, "advice": one.advice}
                for one in context.actions.check()
            ]
        except Misconfigured as error:
            found = [
                {"name": "settings", "level": "fail", "message": line, "advice": "mend it"}
                for line in str(error).splitlines()
            ]
        failed = [one["name"] for one in found if one["level"] == "fail"]
        lines = [
            f"{one['level']:<4}  {one['name']}: {one['message']}" + (f" -> {one['advice']}" if one["advice"] else "")
            for one in found
        ]
        output.document({"ok": not failed, "checks": found}, "\n".join(lines))
        if failed:
            sys.exit(2 if {"settings", "plugins"} & set(failed) else 1)


def _settings_words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_toml(value)}" for name, value in settings.items())


def _source_words(sources: dict[str, str], name: str) -> str:
    """Return the source of a value; for a plugin's section, the sources of its values."""
    below = [source for key, source in sources.items() if key == name or key.startswith(f"{name}.")]
    return ", ".join(dict.fromkeys(below))


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def add_metering(root: click.Group) -> None:
    @command(root, "usage")
    @click.option("--account", help="Of this account alone, by name or id.")
    @click.option("--project", help="Of this project alone, by id, account/name, or name.")
    @click.option("--period", type=PERIOD, help="Of this month alone, such as 2026-11.")
    def usage(context: Context, output: Output, account: str | None, project: str | None, period: date | None) -> None:
        """Show the events stored, by account, project and billing period (a month in UTC).

        Deleted projects are in it. The demo's account is not, unless it is named: nobody is billed for it.
        """

        async def work(managed: Managed) -> list[Usage]:
            account_id = (await managed.administer.account(account, deleted=True)).id if account else None
            project_id = (await managed.administer.project(project, deleted=True)).id if project else None
            found = await managed.meter.usage(account=account_id, project=project_id, period=period)
            return [one for one in found if account or project or not one.demo]

        found = context.managing(work)
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
    @click.option("--project", help="Of this project alone, by id, account/name, or name.")
    def losses(context: Context, output: Output, project: str | None) -> None:
        """Show the events that senders lost before they got here, as they say themselves, by day in UTC."""

        async def work(managed: Managed) -> list[dict[str, Any]]:
            project_id = (await managed.administer.project(project, deleted=True)).id if project else None
            return [
                {
                    "account": one.account,
                    "project": one.project,
                    "project_id": one.project_id,
                    "day": one.day.isoformat(),
                    "reason": one.reason,
                    "events": one.events,
                }
                for one in await managed.losses.losses(project=project_id)
            ]

        columns = {"account": "Account", "project": "Project", "day": "Day", "reason": "Reason", "events": "Events"}
        output.table(
            context.managing(work),
            columns,
            f"No sender{f' of {project}' if project else ''} says that it lost an event.",
        )

    @command(root, "audit")
    def audit(context: Context, output: Output) -> None:
        """Prove that usage equals stored rows, for every project and period. Exits with 1 if it does not."""

        async def work(managed: Managed) -> list[dict[str, Any]]:
            return [
                {
                    "account": one.account,
                    "project": one.project,
                    "project_id": one.project_id,
                    "period": period_text(one.period),
                    "usage": one.usage,
                    "stored": one.stored,
                }
                for one in await managed.meter.audit()
            ]

        with output.waiting("counting all events"):
            differences = context.managing(work)
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
    @click.option("--period", type=PERIOD, help="This month alone, such as 2026-11; else all that are known.")
    def push(context: Context, output: Output, backend: str, period: date | None) -> None:
        """Hand closed and current usage to a billing backend.

        Months that are over are closed first. Pushing again is harmless: every usage carries the same idempotency
        key each time (account, project, period). Deleted projects are billed for what they stored; a demo's account
        is not billed.
        """

        async def work(managed: Managed) -> tuple[int, list[str]]:
            known = await managed.meter.usage(period=period)
            for month in sorted({one.period for one in known if not one.closed}):
                await _close_if_over(managed, month)
            usages = [one for one in await managed.meter.usage(period=period) if not one.demo]
            taken = await context.actions.bill(managed, backend, usages)
            return taken, sorted({period_text(one.period) for one in usages})

        taken, periods = context.managing(work)
        document = {"backend": backend, "pushed": taken, "periods": periods}
        output.document(document, f"{backend} took {taken} usage(s), of {', '.join(periods) or 'no period'}.")


async def _close_if_over(managed: Managed, month: date) -> None:
    with contextlib.suppress(Invalid):  # it still runs: it is pushed as it is now
        await managed.meter.close(month)

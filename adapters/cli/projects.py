"""Commands that administer projects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from catchment.core.accounts.scripts import TRACKER, TRACKER_PLUS
from catchment.core.errors import Invalid
from catchment.core.project import Bots, DoNotTrack, Privacy, Project, ProjectSettings, SettingsChange, Visitors

from .context import Context, command
from .output import Output
from .quotas import quota_words

if TYPE_CHECKING:
    from catchment.core.accounts.administer import Contents
    from catchment.core.metering.quota import Quota

    from .actions import Management


def add_projects(root: click.Group) -> None:
    @root.group("project")
    def project() -> None:
        """The websites and apps of an account."""

    @command(project, "create")
    @click.argument("name")
    @click.option("--account", required=True, help="The account, by name or id.")
    @click.option("--origin", "origins", multiple=True, help="An allowed origin; may be given again.")
    @_settings
    @click.option("--if-missing", is_flag=True, help="Keep an existing project of this name as it is.")
    def create(
        context: Context,
        output: Output,
        name: str,
        account: str,
        origins: tuple[str, ...],
        if_missing: bool,
        **given: Any,
    ) -> None:
        """Create a project with a browser key.

        An origin is https://app.example.com, https://app.example.com:8443, https://*.example.com (any subdomain,
        not the bare domain) or http://localhost:*. A back end needs none: it posts with a server key
        (`catchment key create`), which is bound to no origin.
        """
        settings = _changes(given).of(ProjectSettings())

        async def work(management: Management) -> tuple[Project, str, bool]:
            if if_missing:
                return await management.administer.keep_project(name, account, origins, settings)
            made, key = await management.administer.create_project(name, account, origins, settings)
            return made, key.text, True

        made, key, new = context.run(work)
        text = context.actions.tag(TRACKER, key).html
        document = {
            "id": made.id,
            "name": made.name,
            "account": made.account,
            "browser_key": key,
            "snippet": text,
        }
        words = f"Project {made.account}/{made.name} ({made.id})\nBrowser key: {key}"
        if made.origins.rules:
            words += f"\n\nFor its pages:\n\n{text}"
        else:
            words += (
                f"\n\nIt has no origin, so that only a server key can post: "
                f"catchment key create {made.id} --kind server"
            )
        output.document(document, words)
        if not new:
            output.say("It is there already, and stays as it is: `catchment project set` changes it.")

    @command(project, "list")
    def list_(context: Context, output: Output) -> None:
        """List all projects."""

        async def projects(management: Management) -> list[dict[str, Any]]:
            found = await management.administer.projects()
            quotas = await management.quotas.of(found)
            return [_shown(one, quotas[one.id]) for one in found]

        columns = {"account": "Account", "name": "Project", "origins": "Origins", "enabled": "Enabled", "id": "Id"}
        output.table(
            context.run(projects),
            columns,
            "There is no project yet: catchment project create",
            droppable=["origins", "enabled"],
        )

    @command(project, "show")
    @click.argument("project")
    def show(context: Context, output: Output, project: str) -> None:
        """Show a project, named by its id, account/name, or name."""
        _print_project(context, output, lambda management: management.administer.project(project))

    @command(project, "snippet")
    @click.argument("project")
    @click.option("--plus", is_flag=True, help="The script with forms, links, downloads and hash routing, too.")
    @click.option("--sri", is_flag=True, help="Pin this version, with its integrity; it is served for good.")
    def snippet(context: Context, output: Output, project: str, plus: bool, sri: bool) -> None:
        """Print the script tag for a project's pages.

        With --sri the address names this version of the script, and the browser runs nothing else. The version is
        kept in the database, and every server on it serves it for good, also after an upgrade.
        """
        name = TRACKER_PLUS if plus else TRACKER
        script = context.actions.script(name) if sri else None

        made = context.run(lambda management: management.snippets.make(project, script))
        tag = context.actions.tag(name, made.key, script)
        document = {
            "project": made.project.id,
            "browser_key": made.key,
            "src": tag.src,
            "version": script.version if script else None,
            "integrity": script.integrity if script else None,
            "snippet": tag.html,
        }
        output.document(document, tag.html)

    @command(project, "set")
    @click.argument("project")
    @click.option("--add-origin", "add_origins", multiple=True, help="Allow an origin; may be given again.")
    @click.option("--remove-origin", "remove_origins", multiple=True, help="Allow it no more; may be given again.")
    @_settings
    @click.option("--enable/--disable", "enabled", default=None, help="Accept events, or refuse them.")
    def set_(
        context: Context,
        output: Output,
        project: str,
        add_origins: tuple[str, ...],
        remove_origins: tuple[str, ...],
        **given: Any,
    ) -> None:
        """Change a project. What is not named stays as it is; running servers see it at once."""
        changed = _print_project(
            context,
            output,
            lambda management: management.administer.change_project(
                project, add_origins=add_origins, remove_origins=remove_origins, changes=_changes(given)
            ),
        )
        if remove_origins and not changed.origins.rules:
            output.say(
                "That was its last origin: whatever is sent with a browser key is refused from now on "
                "(origin_not_allowed). Server keys post as before."
            )

    @command(project, "rename")
    @click.argument("project")
    @click.argument("name")
    def rename(context: Context, output: Output, project: str, name: str) -> None:
        """Give a project another name within its account. Its id and keys stay, and so do its usage and bills."""
        made = context.run(lambda management: management.administer.rename_project(project, name))
        document = {"id": made.id, "name": made.name, "account": made.account}
        output.document(document, f"Project {made.account}/{made.name} ({made.id})")

    @command(project, "delete")
    @click.argument("project")
    @click.option("--yes", is_flag=True, help="Delete. Without this, only say what would be deleted.")
    def delete(context: Context, output: Output, project: str, yes: bool) -> None:
        """Delete a project that is disabled, with its keys, origins and quotas, and all events that it stored.

        Its usage stays: it is shown, billed and audited as before. Its name is free. Servers go on meanwhile: events go
        some thousands at a time. If it is interrupted, run it again; a second run changes nothing.
        """
        found = context.run(lambda management: management.administer.contents(project))
        if not yes:
            output.say(_would_be_gone(found))
            raise Invalid("nothing was deleted yet; to delete it, add --yes")
        with output.waiting(f"deleting {found.events:,} events", found.events) as progress:
            gone = context.run(
                lambda management: management.administer.delete_project(found.project.id, progress=progress)
            )
        of = gone.project
        document = {"id": of.id, "name": of.name, "account": of.account, "deleted": True, "events": gone.events}
        again = "It was deleted before. " if gone.before else ""
        words = f"{again}Deleted the project {of.account}/{of.name} ({of.id}) and {gone.events:,} events."
        output.document(document, f"{words} Its usage stays.")


def _settings(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a project's settings."""
    for option in (
        click.option(
            "--allow-null-origin/--no-allow-null-origin", default=None, help="Accept events with Origin: null."
        ),
        click.option("--visitors", type=click.Choice([v.value for v in Visitors]), help="How to tell visitors apart."),
        click.option(
            "--privacy", type=click.Choice([p.value for p in Privacy]), help="The part of an address that is stored."
        ),
        click.option(
            "--do-not-track",
            type=click.Choice([d.value for d in DoNotTrack]),
            help="How to treat DNT: 1 and Sec-GPC: 1.",
        ),
        click.option("--bots", type=click.Choice([b.value for b in Bots]), help="How to treat events of robots."),
    ):
        function = option(function)
    return function


def _changes(given: Mapping[str, Any]) -> SettingsChange:
    """Return the options that were given as a change of settings."""
    types: dict[str, Callable[[Any], Any]] = {
        "bots": Bots,
        "do_not_track": DoNotTrack,
        "privacy": Privacy,
        "visitors": Visitors,
    }
    return SettingsChange(**{name: types.get(name, bool)(value) for name, value in given.items() if value is not None})


def _shown(project: Project, quotas: Sequence[Quota]) -> dict[str, Any]:
    settings = project.settings
    return {
        "id": project.id,
        "name": project.name,
        "account": project.account,
        "origins": [str(rule) for rule in project.origins.rules],
        "bots": settings.bots,
        "do_not_track": settings.do_not_track,
        "privacy": settings.privacy,
        "visitors": settings.visitors,
        "allow_null_origin": settings.allow_null_origin,
        "enabled": settings.enabled,
        "quotas": [{"id": quota.id, "scope": quota.scope, **quota.given()} for quota in quotas],
    }


def _print_project(context: Context, output: Output, use_case: Callable[[Management], Awaitable[Project]]) -> Project:
    """Run a use case, and print the project that it returns, with its quotas."""

    async def run(management: Management) -> tuple[Project, Sequence[Quota]]:
        project = await use_case(management)
        return project, (await management.quotas.of([project]))[project.id]

    project, quotas = context.run(run)
    shown = _shown(project, quotas)
    told = [f"{quota_words(quota)} ({quota.scope})" for quota in quotas]
    words = {**shown, "origins": ", ".join(shown["origins"]), "quotas": f"\n{' ' * 19}".join(told) or "none"}
    lines = [f"{name.replace('_', ' '):18} {_word(value)}" for name, value in words.items()]
    output.document(shown, "\n".join(lines))
    return project


def _word(value: object) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _would_be_gone(found: Contents) -> str:
    of = found.project
    return (
        f"Of the project {of.account}/{of.name} ({of.id}) would be gone: {found.events:,} events and their ids, "
        f"{found.keys} key(s), {len(of.origins.rules)} origin(s), {found.quotas} quota(s), and what its senders lost.\n"
        "Its usage stays: it is shown, billed and audited as before."
        + ("\nIt takes events: disable it first." if of.settings.enabled else "")
    )

"""Commands that administer accounts, projects, keys and quotas."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from catchment.core.project import MOST_EVENTS, Bots, DoNotTrack, KeyKind, Privacy, Project, Window
from catchment.core.scripts import TRACKER, TRACKER_PLUS, tag

from .commands import Context, command
from .output import Output

if TYPE_CHECKING:
    from .actions import Managed


def add_administering(root: click.Group) -> None:
    _accounts(root)
    _projects(root)
    _keys(root)
    _quotas(root)


def _accounts(root: click.Group) -> None:
    @root.group("account")
    def account() -> None:
        """The tenants: who is billed."""

    @command(account, "create")
    @click.argument("name")
    def create(context: Context, output: Output, name: str) -> None:
        """Create an account."""
        made = context.managing(lambda managed: managed.administer.create_account(name))
        output.document({"id": made.id, "name": made.name}, f"Account {made.name} ({made.id})")

    @command(account, "list")
    def list_(context: Context, output: Output) -> None:
        """List all accounts."""
        found = context.managing(lambda managed: managed.administer.accounts())
        rows = [{"id": one.id, "name": one.name} for one in found]
        output.table(rows, {"name": "Account", "id": "Id"}, "There is no account yet: catchment account create NAME")


def _projects(root: click.Group) -> None:
    @root.group("project")
    def project() -> None:
        """The websites and apps of an account."""

    @command(project, "create")
    @click.argument("name")
    @click.option("--account", required=True, help="Whose it is, by name or id.")
    @click.option("--origin", "origins", multiple=True, required=True, help="An allowed origin; may be given again.")
    def create(context: Context, output: Output, name: str, account: str, origins: tuple[str, ...]) -> None:
        """Create a project with a browser key.

        An origin is https://app.example.com, https://app.example.com:8443, https://*.example.com (any subdomain,
        not the bare domain) or http://localhost:*.
        """
        made, key = context.managing(lambda managed: managed.administer.create_project(name, account, origins))
        text = tag(f"{context.actions.public_url}/{TRACKER}.js", key.text)
        document = {
            "id": made.id,
            "name": made.name,
            "account": made.account,
            "browser_key": key.text,
            "snippet": text,
        }
        words = f"Project {made.account}/{made.name} ({made.id})\nBrowser key: {key.text}\n\nFor its pages:\n\n{text}"
        output.document(document, words)

    @command(project, "list")
    def list_(context: Context, output: Output) -> None:
        """List all projects."""
        found = context.managing(lambda managed: managed.administer.projects())
        columns = {"account": "Account", "name": "Project", "origins": "Origins", "enabled": "Enabled", "id": "Id"}
        output.table(
            [_shown(one) for one in found],
            columns,
            "There is no project yet: catchment project create",
            droppable=["origins", "enabled"],
        )

    @command(project, "show")
    @click.argument("project")
    def show(context: Context, output: Output, project: str) -> None:
        """Show a project, named by its id, account/name, or name."""
        _print_project(output, context.managing(lambda managed: managed.administer.project(project)))

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

        async def work(managed: Managed) -> tuple[Project, str]:
            found = await managed.administer.browser_key(project)
            if script is not None:
                await managed.archive.keep(script)
            return found

        of, key = context.managing(work)
        address = f"{context.actions.public_url}{script.versioned_path if script else f'/{name}.js'}"
        text = tag(address, key, script.integrity if script else None)
        document = {
            "project": of.id,
            "browser_key": key,
            "src": address,
            "version": script.version if script else None,
            "integrity": script.integrity if script else None,
            "snippet": text,
        }
        output.document(document, text)

    @command(project, "set")
    @click.argument("project")
    @click.option("--add-origin", "add_origins", multiple=True, help="Allow an origin; may be given again.")
    @click.option("--remove-origin", "remove_origins", multiple=True, help="Allow it no more; may be given again.")
    @click.option("--bots", type=click.Choice([b.value for b in Bots]), help="What to do with robots' events.")
    @click.option(
        "--do-not-track", type=click.Choice([d.value for d in DoNotTrack]), help="What DNT: 1 and Sec-GPC: 1 mean."
    )
    @click.option("--privacy", type=click.Choice([p.value for p in Privacy]), help="What is kept of an address.")
    @click.option("--allow-null-origin/--no-allow-null-origin", default=None, help="Whether Origin: null may post.")
    @click.option("--enable/--disable", "enabled", default=None, help="Whether it takes events.")
    def set_(
        context: Context,
        output: Output,
        project: str,
        add_origins: tuple[str, ...],
        remove_origins: tuple[str, ...],
        bots: str | None,
        do_not_track: str | None,
        privacy: str | None,
        allow_null_origin: bool | None,
        enabled: bool | None,
    ) -> None:
        """Change a project. What is not named stays as it is; running servers see it at once."""
        given = {
            "bots": Bots(bots) if bots else None,
            "do_not_track": DoNotTrack(do_not_track) if do_not_track else None,
            "privacy": Privacy(privacy) if privacy else None,
            "allow_null_origin": allow_null_origin,
            "enabled": enabled,
        }
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}

        async def work(managed: Managed) -> Project:
            now = await managed.administer.project(project)
            return await managed.administer.change_project(
                now.id,
                add_origins=add_origins,
                remove_origins=remove_origins,
                changes=replace(now.settings, **changes),
            )

        _print_project(output, context.managing(work))


def _shown(project: Project) -> dict[str, Any]:
    settings = project.settings
    return {
        "id": project.id,
        "name": project.name,
        "account": project.account,
        "origins": [str(rule) for rule in project.origins.rules],
        "bots": settings.bots,
        "do_not_track": settings.do_not_track,
        "privacy": settings.privacy,
        "allow_null_origin": settings.allow_null_origin,
        "enabled": settings.enabled,
        "quotas": [{"scope": q.scope, "window": q.window, "hard": q.hard} for q in project.limits],
    }


def _print_project(output: Output, project: Project) -> None:
    shown = _shown(project)
    quotas = [f"{q['hard']:,} a {q['window']} ({q['scope']})" for q in shown["quotas"]]
    words = {**shown, "origins": ", ".join(shown["origins"]), "quotas": ", ".join(quotas) or "none"}
    lines = [f"{name.replace('_', ' '):18} {_word(value)}" for name, value in words.items()]
    output.document(shown, "\n".join(lines))


def _word(value: object) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _keys(root: click.Group) -> None:
    @root.group("key")
    def key() -> None:
        """The keys that events are posted with."""

    @command(key, "create")
    @click.argument("project")
    @click.option("--kind", type=click.Choice([k.value for k in KeyKind]), required=True)
    def create(context: Context, output: Output, project: str, kind: str) -> None:
        """Create a key. A browser key is public; a server key is secret, and shown this once."""
        made = context.managing(lambda managed: managed.administer.create_key(project, KeyKind(kind)))
        document = {"id": made.key.id, "project": made.key.project_id, "kind": made.key.kind, "key": made.text}
        output.document(document, made.text)
        if made.key.kind is KeyKind.SERVER:
            output.say("Keep it: it is not shown again.")

    @command(key, "list")
    @click.argument("project")
    def list_(context: Context, output: Output, project: str) -> None:
        """List a project's keys. Of server keys only the first characters are known."""
        found = context.managing(lambda managed: managed.administer.keys(project))
        rows = [{"id": k.id, "kind": k.kind, "key": k.text, "revoked": k.revoked} for k in found]
        columns = {"key": "Key", "kind": "Kind", "revoked": "Revoked", "id": "Id"}
        output.table(rows, columns, "The project has no key: catchment key create")

    @command(key, "revoke")
    @click.argument("key")
    def revoke(context: Context, output: Output, key: str) -> None:
        """Revoke a key, named by its text or its id. Running servers refuse it at once."""
        gone = context.managing(lambda managed: managed.administer.revoke_key(key))
        document = {"id": gone.id, "project": gone.project_id, "kind": gone.kind, "key": gone.text, "revoked": True}
        output.document(document, f"Revoked {gone.text}")


def _quotas(root: click.Group) -> None:
    @root.group("quota")
    def quota() -> None:
        """Limits on usage."""

    @command(quota, "set")
    @click.option("--account", help="Of this account, all its projects together.")
    @click.option("--project", help="Of this project.")
    @click.option("--window", type=click.Choice([w.value for w in Window]), required=True, help="In UTC.")
    @click.option(
        "--hard", type=click.IntRange(0, MOST_EVENTS), required=True, help="Events in a window; more are refused."
    )
    def set_(
        context: Context, output: Output, account: str | None, project: str | None, window: str, hard: int
    ) -> None:
        """Set a quota, in place of the one there is."""
        if (account is None) == (project is None):
            raise click.UsageError("say one of --account and --project")
        made = context.managing(
            lambda managed: managed.administer.set_quota(
                account=account, project=project, window=Window(window), hard=hard
            )
        )
        document = {"scope": made.scope, "scope_id": made.scope_id, "window": made.window, "hard": made.hard}
        output.document(document, f"At most {made.hard:,} events a {made.window} for the {made.scope} {made.scope_id}")

    @command(quota, "list")
    def list_(context: Context, output: Output) -> None:
        """List all quotas."""

        async def work(managed: Managed) -> list[dict[str, Any]]:
            names = {one.id: f"{one.account}/{one.name}" for one in await managed.administer.projects()}
            names.update({one.id: one.name for one in await managed.administer.accounts()})
            return [
                {
                    "scope": q.scope,
                    "scope_id": q.scope_id,
                    "name": names[q.scope_id],
                    "window": q.window,
                    "hard": q.hard,
                }
                for q in await managed.administer.quotas()
            ]

        columns = {"scope": "Scope", "name": "Of", "window": "Window", "hard": "Events"}
        output.table(context.managing(work), columns, "There is no quota.")

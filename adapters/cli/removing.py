"""Commands that rename and delete accounts and projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from catchment.core.errors import Invalid

from .context import Context, command
from .output import Output

if TYPE_CHECKING:
    from catchment.core.accounts.administer import Contents, DeletedProject

    from .actions import Managed


def add_removing(root: click.Group) -> None:
    account, project = root.commands["account"], root.commands["project"]
    if isinstance(account, click.Group) and isinstance(project, click.Group):
        _accounts(account)
        _projects(project)


def _accounts(account: click.Group) -> None:
    @command(account, "rename")
    @click.argument("account")
    @click.argument("name")
    def rename(context: Context, output: Output, account: str, name: str) -> None:
        """Give an account another name. Its id stays, and so do its projects, usage and bills."""
        made = context.managing(lambda managed: managed.administer.rename_account(account, name))
        output.document({"id": made.id, "name": made.name}, f"Account {made.name} ({made.id})")

    @command(account, "delete")
    @click.argument("account")
    @click.option("--yes", is_flag=True, help="Do it. Without this, say what would be gone.")
    def delete(context: Context, output: Output, account: str, yes: bool) -> None:
        """Delete an account whose projects are deleted.

        Its quotas are gone, and its name is free. The usage of its projects stays: it is shown, billed and audited as
        before. What the demo made is forgotten whole. A second run changes nothing.
        """
        if not yes:
            found = context.managing(lambda managed: managed.administer.account(account))
            output.say(
                f"Of the account {found.name} ({found.id}) its quotas would be gone. The usage of its projects stays."
            )
            raise Invalid("nothing was deleted: --yes does it")
        gone = context.managing(lambda managed: managed.administer.delete_account(account))
        document = {"id": gone.id, "name": gone.name, "deleted": True}
        output.document(document, f"Deleted the account {gone.name} ({gone.id})")


def _projects(project: click.Group) -> None:
    @command(project, "rename")
    @click.argument("project")
    @click.argument("name")
    def rename(context: Context, output: Output, project: str, name: str) -> None:
        """Give a project another name within its account. Its id and keys stay, and so do its usage and bills."""
        made = context.managing(lambda managed: managed.administer.rename_project(project, name))
        document = {"id": made.id, "name": made.name, "account": made.account}
        output.document(document, f"Project {made.account}/{made.name} ({made.id})")

    @command(project, "delete")
    @click.argument("project")
    @click.option("--yes", is_flag=True, help="Do it. Without this, say what would be gone.")
    def delete(context: Context, output: Output, project: str, yes: bool) -> None:
        """Delete a project that is disabled, with its keys, origins and quotas, and all events that it stored.

        Its usage stays: it is shown, billed and audited as before. Its name is free. Servers go on meanwhile: events go
        some thousands at a time. If it is interrupted, run it again; a second run changes nothing.
        """
        found = context.managing(lambda managed: managed.administer.contents(project))
        if not yes:
            output.say(_would_be_gone(found))
            raise Invalid("nothing was deleted: --yes does it")

        async def work(managed: Managed) -> DeletedProject:
            return await managed.administer.delete_project(found.project.id, progress=progress)

        with output.waiting(f"deleting {found.events:,} events", found.events) as progress:
            gone = context.managing(work)
        of = gone.project
        document = {"id": of.id, "name": of.name, "account": of.account, "deleted": True, "events": gone.events}
        again = "It was deleted before. " if gone.before else ""
        words = f"{again}Deleted the project {of.account}/{of.name} ({of.id}) and {gone.events:,} events."
        output.document(document, f"{words} Its usage stays.")


def _would_be_gone(found: Contents) -> str:
    of = found.project
    return (
        f"Of the project {of.account}/{of.name} ({of.id}) would be gone: {found.events:,} events and their ids, "
        f"{found.keys} key(s), {len(of.origins.rules)} origin(s), {found.quotas} quota(s), and what its senders lost.\n"
        "Its usage stays: it is shown, billed and audited as before."
        + ("\nIt takes events: disable it first." if of.settings.enabled else "")
    )

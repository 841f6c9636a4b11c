"""Commands that administer accounts."""

from __future__ import annotations

import click

from catchment.core.errors import Invalid

from .context import Context, command
from .output import Output
from .quotas import plan_document, plan_words


def add_accounts(root: click.Group) -> None:
    @root.group("account")
    def account() -> None:
        """Accounts: the customers, who are billed."""

    @command(account, "create")
    @click.argument("name")
    @click.option("--if-missing", is_flag=True, help="Keep an existing account of this name.")
    def create(context: Context, output: Output, name: str, if_missing: bool) -> None:
        """Create an account: a customer, to whom projects belong, and who is billed."""
        if not if_missing:
            made = context.run(lambda management: management.administer.create_account(name))
        else:
            made, new = context.run(lambda management: management.administer.keep_account(name))
            if not new:
                output.say("It is there already.")
        output.document({"id": made.id, "name": made.name}, f"Account {made.name} ({made.id})")

    @command(account, "list")
    def list_(context: Context, output: Output) -> None:
        """List all accounts."""
        found = context.run(lambda management: management.administer.accounts())
        rows = [{"id": one.id, "name": one.name, "plan": one.plan} for one in found]
        output.table(
            rows,
            {"name": "Account", "plan": "Plan", "id": "Id"},
            "There is no account yet: catchment account create NAME",
        )

    @command(account, "set")
    @click.argument("account")
    @click.option("--plan", metavar="NAME", help="Give it this plan: `catchment plan list` shows them.")
    @click.option("--no-plan", is_flag=True, help="Take its plan away, with the plan's quotas.")
    def set_(context: Context, output: Output, account: str, plan: str | None, no_plan: bool) -> None:
        """Give an account a plan of the settings. Its quotas hold at once, together.

        What the present windows have already counts. Quotas that were set by hand stay; one that counts the same events
        as one of the plan stands in its place.
        """
        if (plan is None) == (not no_plan):
            raise click.UsageError("say one of --plan and --no-plan")
        given = context.run(lambda management: management.quotas.set_plan(account, plan))
        output.document(plan_document(given), "\n".join(plan_words(given)))

    @command(account, "rename")
    @click.argument("account")
    @click.argument("name")
    def rename(context: Context, output: Output, account: str, name: str) -> None:
        """Give an account another name. Its id stays, and so do its projects, usage and bills."""
        made = context.run(lambda management: management.administer.rename_account(account, name))
        output.document({"id": made.id, "name": made.name}, f"Account {made.name} ({made.id})")

    @command(account, "delete")
    @click.argument("account")
    @click.option("--yes", is_flag=True, help="Delete. Without this, only say what would be deleted.")
    def delete(context: Context, output: Output, account: str, yes: bool) -> None:
        """Delete an account whose projects are deleted.

        Its quotas are gone, and its name is free. The usage of its projects stays: it is shown, billed and audited as
        before. What the demo made is forgotten whole. A second run changes nothing.
        """
        if not yes:
            found = context.run(lambda management: management.administer.account(account))
            output.say(
                f"Of the account {found.name} ({found.id}) its quotas would be gone. The usage of its projects stays."
            )
            raise Invalid("nothing was deleted yet; to delete it, add --yes")
        gone = context.run(lambda management: management.administer.delete_account(account))
        document = {"id": gone.id, "name": gone.name, "deleted": True}
        output.document(document, f"Deleted the account {gone.name} ({gone.id})")

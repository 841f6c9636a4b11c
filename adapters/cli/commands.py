"""The command line: all commands, by subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .accounts import add_accounts
from .context import Context
from .failures import Root
from .inbox import add_inbox
from .installation import add_installation
from .keys import add_keys
from .metering import add_metering
from .operations import add_operations
from .projects import add_projects
from .quotas import add_plans, add_quotas

if TYPE_CHECKING:
    from .actions import ActionsOf


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

    add_operations(root)
    add_installation(root)
    add_accounts(root)
    add_projects(root)
    add_keys(root)
    add_quotas(root)
    add_plans(root)
    add_metering(root)
    add_inbox(root)
    return root

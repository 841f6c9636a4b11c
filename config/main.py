"""Where the command `catchment` starts."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

import click

from catchment.adapters.cli.commands import build

from .actions import SettingsActions
from .settings import BadSettings, load


def actions_of(config: str | None) -> SettingsActions:
    """The actions under the settings of a file and the environment; bad settings end the program, a line for each."""
    try:
        return SettingsActions(load(config, os.environ))
    except BadSettings as error:
        for line in error.lines:
            click.echo(f"catchment: {line}", err=True)
        sys.exit(2)


def main() -> None:
    """The command line."""
    build(actions_of, version("catchment"))()


if __name__ == "__main__":
    main()

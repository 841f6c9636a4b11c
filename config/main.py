"""The start of the command `catchment`. It imports little: Ctrl-C may come at any moment, and `--help` should be
quick."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .actions import SettingsActions


def actions_of(config: str | None) -> SettingsActions:
    """The actions under the settings of a file and the environment. Raises `BadSettings`."""
    from .settings import load

    settings = load(config, os.environ)
    from .actions import SettingsActions

    return SettingsActions(settings)


def main() -> None:
    """The command line."""
    # While modules are imported, and again at the end, Ctrl-C ends the process at once and without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from catchment.adapters.cli.commands import build

    command = build(actions_of)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        command()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()

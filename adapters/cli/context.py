"""The context of a command, and the decorator that makes one."""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from catchment.core.errors import CatchmentError

from .failures import fail
from .output import Output

if TYPE_CHECKING:
    from .actions import Actions, ActionsOf, Management

Result = TypeVar("Result")


class Context:
    """The context of every command. The actions are made when they are first used, so `--help` needs no settings."""

    def __init__(self, actions_of: ActionsOf, config: str | None) -> None:
        self._actions_of = actions_of
        self._config = config

    @functools.cached_property
    def actions(self) -> Actions:
        return self._actions_of(self._config)

    def run(self, use_case: Callable[[Management], Awaitable[Result]]) -> Result:
        """Run a use case to its end, and return its result."""
        import asyncio

        async def run() -> Result:
            async with self.actions.management() as management:
                return await use_case(management)

        return asyncio.run(run())


def command(group: click.Group, name: str, **attributes: Any) -> Callable[[Callable[..., None]], click.Command]:
    """Return a decorator for a command with `--json`. Its function takes the context and the output first; its errors
    are one line on standard error, and a document with `--json`."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @group.command(name, **attributes)
        @click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else.")
        @click.pass_obj
        @functools.wraps(function)
        def run(context: Context, /, as_json: bool, **arguments: Any) -> None:
            try:
                function(context, Output(as_json), **arguments)
            except CatchmentError as error:
                sys.exit(fail(error, as_json))

        return run

    return decorate

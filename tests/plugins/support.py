"""Small parts that the tests of the plugins share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from catchment.core.outcomes import EventWarning, WarningCode
from catchment.plugins.hooks import hookimpl
from catchment.plugins.loading import load_plugins
from catchment.plugins.manager import PluginExtensions

Result = TypeVar("Result")


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(coroutine)


class Made:
    """A plugin that a test makes."""


def plugin(**functions: Any) -> Made:
    """A plugin of functions by the hook's name without its prefix; those not marked yet are marked."""
    made = Made()
    named = {f"catchment_{name}": function for name, function in functions.items()}
    for name, function in named.items():
        if not hasattr(function, "catchment_impl"):
            named[name] = hookimpl(function)
    vars(made).update(named)
    return made


def extensions(plugins: dict[str, object], **arguments: Any) -> PluginExtensions:
    """The plugins handed in, and no other."""
    return PluginExtensions(load_plugins(plugins, installed=False), **arguments)


def failed(name: str, hook: str) -> EventWarning:
    return EventWarning(WarningCode.PLUGIN_FAILED, name, f"catchment_{hook}")


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

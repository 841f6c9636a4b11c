"""One implementation of a hook, ready to be called, and what every call of a plugin has in common."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

from catchment.core.outcomes import EventWarning, WarningCode

from .interrupting import TooLong, interrupted_after
from .loading import Plugins

logger = logging.getLogger("catchment.plugins")


class Call:
    """One implementation of one hook, ready to be called with the hook's one argument."""

    __slots__ = ("function", "hook", "is_async", "overruns", "plugin", "rests_until", "warning")

    def __init__(self, plugin: str, hook: str, function: Callable[[Any], Any], is_async: bool) -> None:
        self.plugin = plugin
        self.hook = hook
        self.function = function
        self.is_async = is_async
        self.overruns = 0
        """Calls in a row that took too long."""
        self.rests_until = 0.0
        self.warning = EventWarning(WarningCode.PLUGIN_FAILED, plugin, hook)


def calls_of(plugins: Plugins, hook: str, trace: bool) -> tuple[Call, ...]:
    """Return the implementations of a hook, in the order in which they are called."""
    calls = []
    for impl in plugins.implementations(hook):
        function: Callable[..., Any] = impl.function
        is_async = inspect.iscoroutinefunction(function)
        if not impl.argnames:
            function = _without_argument(function)
        if trace:
            function = _traced(function, impl.plugin_name, hook)
        calls.append(Call(impl.plugin_name, hook, function, is_async))
    return tuple(calls)


def _without_argument(function: Callable[[], Any]) -> Callable[[object], Any]:
    return lambda _argument: function()


def _traced(function: Callable[[Any], Any], plugin: str, hook: str) -> Callable[[Any], Any]:
    def traced(argument: object) -> Any:
        logger.info("plugin %s, %s: called", plugin, hook)
        return function(argument)

    return traced


async def outcome_of(function: Callable[[Any], Any], argument: object) -> tuple[Any, BaseException | None]:
    """Return the result of an ``async def``, or its exception: a task that ends with SystemExit would end the loop."""
    try:
        return await function(argument), None
    except BaseException as error:
        return None, error


async def finished(result: Any) -> Any:
    """Return the result, awaited if it can be."""
    return await result if inspect.isawaitable(result) else result


async def finished_within(seconds: float, function: Callable[[Any], Any], argument: object) -> None:
    """Call a function that may be asynchronous. Raise `TooLong` if it does not return in time."""
    with interrupted_after(seconds):
        result = function(argument)
    try:
        async with asyncio.timeout(seconds) as limit:
            await finished(result)
    except TimeoutError as error:
        if limit.expired():
            raise TooLong from error
        raise


def pass_cancellation(error: BaseException) -> None:
    """Raise the exception if it cancels the task in which the plugin was called. All others are the plugin's own
    errors, also SystemExit and KeyboardInterrupt: a library that calls ``sys.exit()`` must not stop the server."""
    if isinstance(error, Exception):
        return
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs any more: a coroutine is being discarded
        task = None
    ends = isinstance(error, asyncio.CancelledError | GeneratorExit)
    if ends and (task is None or task.cancelling()):
        raise error
    if task is not None and task.cancelling():  # it raised something else instead, which would end the event loop
        raise asyncio.CancelledError from error


def line_of(error: BaseException) -> str:
    """Return the text of an exception in one line."""
    try:
        return " ".join(str(error).split())
    except Exception:  # the error's own text fails
        return "an error without a text"

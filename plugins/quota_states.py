"""Tells plugins the states that quotas enter."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from catchment.core.metering.ladder import QuotaStateChange

from .calls import Call, finished, outcome_of
from .failures import Failures

WITHIN = 10.0
"""Seconds that one call may take."""


class QuotaStateCalls:
    """The plugins that want to know the states of quotas.

    A call that takes too long is cancelled, and left behind if it does not end.
    """

    def __init__(self, calls: Sequence[Call], failures: Failures, *, within: float = WITHIN) -> None:
        self._calls = calls
        self._failures = failures
        self._within = within
        self._left: set[asyncio.Task[Any]] = set()
        """Calls that have not ended. The event loop itself keeps only weak references to tasks."""

    async def announce(self, change: QuotaStateChange) -> bool:
        """Tell all plugins at once. Return True if all have taken it, or if there is none."""
        errors = await asyncio.gather(*(self._tell(call, change) for call in self._calls))
        for call, error in zip(self._calls, errors, strict=True):
            if error is not None:
                self._failures.note(call.plugin, call.hook, type(error).__qualname__, error)
        return all(error is None for error in errors)

    async def _tell(self, call: Call, change: QuotaStateChange) -> BaseException | None:
        """Tell one plugin. Return what it raised."""

        async def tell(argument: object) -> None:
            await finished(call.function(argument))

        task = asyncio.get_running_loop().create_task(outcome_of(tell, change))
        self._left.add(task)
        task.add_done_callback(self._left.discard)
        await asyncio.wait((task,), timeout=self._within)
        in_time = task.done()
        task.cancel()
        if not in_time:
            return TimeoutError()
        if task.cancelled():
            return asyncio.CancelledError()
        error: BaseException | None = task.result()[1]
        return error

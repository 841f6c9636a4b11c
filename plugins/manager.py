"""The plugin manager: calls the plugins for the core, and handles their failures.

::

    extensions = PluginExtensions(load_plugins(disabled=["csv"]))
    await extensions.configure({"geography": {"database": "GeoLite2-City.mmdb"}})
    place = await extensions.locate("81.2.69.160", warnings)

pluggy keeps the plugins and checks them against the hooks. The calls are made here, one by one. So if a plugin fails,
only its own part is missing, and a call costs very little.

A call may fail in four ways:

- It raises.
- It returns something that the hook does not allow.
- It changes its event. The event is restored, and the result is not used.
- It takes longer than `budget` seconds. An ``async def`` is cancelled, and left behind if it does not end. A plain
  function can't be stopped, so its late result is used. After three such calls in a row the plugin's hook is not called
  for 30 s: its part is missing at once, instead of late.

Two things are not prevented: a plain function that never returns blocks the process, and a plugin that keeps an event
can change it later.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catchment.core.errors import CatchmentError
from catchment.core.event import NO_USER_AGENT, NOWHERE, Enrichment, Event, JsonObject, Place, UserAgent
from catchment.core.metering.ladder import QuotaStateChange
from catchment.core.metering.usage import Usage
from catchment.core.outcomes import EventWarning, Filtered
from catchment.core.refusals import Reason, Refusal
from catchment.core.times import period_text

from .calls import Call, calls_of, finished, finished_within, line_of, outcome_of, pass_cancellation
from .errors import BillingFailed, PluginErrors, UnknownBackend
from .failures import Failures
from .hooks import Filter, Refuse
from .interrupting import TooLong, interrupted_after
from .loading import Plugins, hook_names
from .quota_states import QuotaStateCalls
from .results import BadResult, check_agent, check_enrichment, check_place, copy_json

CONFIGURE = 60.0
"""Seconds in which a plugin must start."""
BUDGET = 0.5
"""Seconds that one call may take."""
OVERRUNS = 3
"""Calls in a row that take too long before the hook is paused."""
REST = 30.0
"""Seconds."""
CLOSE = 2.0
"""Seconds that all plugins together have to close."""
_LEAST = 0.1
"""Seconds that a plugin has to close, even if the plugins before it took all of the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginDescription:
    """The facts of a plugin that ``catchment plugins`` shows."""

    name: str
    distribution: str | None
    version: str | None
    module: str
    hooks: tuple[str, ...]


class PluginExtensions:
    """The port `Extensions`, implemented by plugins. Each process has one, for one event loop.

    `trace` logs every call, by plugin and hook, without data. `budget` is in seconds. `failures` counts for the
    metrics: `failures.counts[plugin, hook]`.
    """

    def __init__(
        self,
        plugins: Plugins,
        *,
        trace: bool = False,
        budget: float = BUDGET,
        now: Callable[[], float] = time.monotonic,
        failures: Failures | None = None,
    ) -> None:
        self.plugins = plugins
        self.failures = failures if failures is not None else Failures(now)
        self._budget = budget
        self._now = now
        calls = {hook: calls_of(plugins, hook, trace) for hook in hook_names()}
        self._configure = calls["catchment_configure"]
        self._close = calls["catchment_close"]
        self._started: set[str] = set()
        """Plugins that are configured and not closed."""
        self._parse = calls["catchment_parse_user_agent"]
        self._locate = calls["catchment_locate"]
        self._validate = calls["catchment_validate"]
        self._enrich = calls["catchment_enrich"]
        self._left: set[asyncio.Future[Any]] = set()
        """Asynchronous calls that have not ended. The event loop itself keeps only weak references to tasks."""
        self._quota_states = QuotaStateCalls(calls["catchment_quota_state"], self.failures)
        self._bill = {call.plugin: call for call in calls["catchment_bill"]}

    # The start, and commands

    async def configure(
        self,
        settings: Mapping[str, Mapping[str, Any]],
        *,
        only: Collection[str] | None = None,
        within: float = CONFIGURE,
    ) -> None:
        """Give every plugin, or `only` the named ones, its own section. If a plugin can't work with it, does not return
        `within` seconds, or if no plugin takes a section, close the other plugins and raise `PluginErrors` with a line
        for each mistake."""
        errors = []
        raised: list[BaseException] = []
        failed = set()
        takers = {call.plugin for call in self._configure}
        for name, section in settings.items():
            if name not in self.plugins.loaded and name not in self.plugins.disabled:
                names = ", ".join(self.plugins.loaded) or "none"
                errors.append(f"plugins.{name}: there is no such plugin; there are: {names}")
            elif name in self.plugins.loaded and name not in takers and section:
                errors.append(f"plugins.{name}: this plugin takes no settings")
        for call in self._configure:
            if only is not None and call.plugin not in only:
                continue
            try:
                await finished_within(within, call.function, settings.get(call.plugin, {}))
            except BaseException as error:
                pass_cancellation(error)
                failed.add(call.plugin)
                raised.append(error)
                if isinstance(error, CatchmentError):
                    errors.append(f"plugins.{call.plugin}: {line_of(error)}")
                    continue
                self.failures.note(call.plugin, call.hook, type(error).__qualname__, error)
                why = f"{type(error).__name__}: {line_of(error)}"
                if isinstance(error, TooLong):
                    why = f"it did not return within {within:g} s"
                errors.append(f"plugins.{call.plugin}: failed to start: {why}")
        self._started = {name for name in self.plugins.loaded if only is None or name in only} - failed
        if errors:
            await self.close()
            raise PluginErrors(errors, raised)

    async def close(self, *, within: float = CLOSE) -> None:
        """Call `catchment_close` of the configured plugins. It raises nothing, and returns after `within` seconds at
        the latest."""
        calls = [call for call in self._close if call.plugin in self._started]
        self._started = set()
        loop = asyncio.get_running_loop()
        end = loop.time() + within
        for call in calls:
            if not call.is_async:
                try:
                    with interrupted_after(max(_LEAST, end - loop.time())):
                        call.function(None)
                except BaseException as error:
                    pass_cancellation(error)
                    self._not_closed(call, error)
        tasks = {loop.create_task(self._close_one(call)): call for call in calls if call.is_async}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=max(_LEAST, end - loop.time()))
            for task in late:
                task.cancel()
                self._not_closed(tasks[task], TooLong())

    async def _close_one(self, call: Call) -> None:
        # Caught here: a task that ends with SystemExit ends the event loop.
        try:
            await call.function(None)
        except BaseException as error:
            pass_cancellation(error)
            self._not_closed(call, error)

    def _not_closed(self, call: Call, error: BaseException) -> None:
        what = "it took too long" if isinstance(error, TooLong) else type(error).__qualname__
        self.failures.note(call.plugin, call.hook, what, error)

    def describe(self) -> tuple[PluginDescription, ...]:
        """Return a description of every loaded plugin, by name."""
        hooks_of: dict[str, list[str]] = {name: [] for name in self.plugins.loaded}
        for hook in hook_names():
            for impl in self.plugins.implementations(hook):
                hooks_of[impl.plugin_name].append(hook)
        return tuple(
            PluginDescription(
                name=name,
                distribution=loaded.distribution,
                version=loaded.version,
                module=loaded.module,
                hooks=tuple(hooks_of[name]),
            )
            for name, loaded in self.plugins.loaded.items()
        )

    async def bill(self, backend: str, usages: Iterable[Usage]) -> int:
        """Pass each usage to the billing backend of this name. Return the number of usages that it took.

        Raises `UnknownBackend`, and `BillingFailed` at the first usage that it did not take. There is no time limit.
        """
        call = self._bill.get(backend)
        if call is None:
            there_are = ", ".join(self._bill) or "none"
            raise UnknownBackend(f"no plugin {backend!r} bills; there are: {there_are}")
        taken = 0
        for usage in usages:
            try:
                await finished(call.function(usage))
            except BaseException as error:
                pass_cancellation(error)
                self.failures.counts[call.plugin, call.hook] += 1
                # An operator fixes disks and networks: one sentence is enough. For all else the author needs the place.
                if not isinstance(error, CatchmentError | OSError):
                    self.failures.tell(call.plugin, call.hook, type(error).__qualname__, error)
                what = (
                    line_of(error) if isinstance(error, CatchmentError) else f"{type(error).__name__}: {line_of(error)}"
                )
                raise BillingFailed(
                    f"billing backend {backend} failed at {usage.account}/{usage.project}, "
                    f"{period_text(usage.period)}, after {taken} it took: {what}; "
                    "push again, nothing is billed twice"
                ) from error
            taken += 1
        return taken

    async def announce(self, change: QuotaStateChange) -> bool:
        """Tell every plugin that wants to know the states of quotas. Return True if all have taken it."""
        return await self._quota_states.announce(change)

    # Called for every event

    async def parse_user_agent(self, user_agent: str, warnings: list[EventWarning]) -> UserAgent:
        for call in self._parse:
            if call.is_async:
                result = await self._wait_for(call, user_agent, warnings)
            else:
                result = self._run(call, user_agent, warnings)
            if result is not None:
                try:
                    return check_agent(result)
                except BaseException as error:
                    self._bad_result(call, result, error, warnings)
        return NO_USER_AGENT

    async def locate(self, address: str, warnings: list[EventWarning]) -> Place:
        for call in self._locate:
            if call.is_async:
                result = await self._wait_for(call, address, warnings)
            else:
                result = self._run(call, address, warnings)
            if result is not None:
                try:
                    return check_place(result)
                except BaseException as error:
                    self._bad_result(call, result, error, warnings)
        return NOWHERE

    async def validate(self, event: Event, warnings: list[EventWarning]) -> Refusal | Filtered | None:
        if not self._validate:
            return None
        before = _contents(event)
        for call in self._validate:
            if call.is_async:
                result = await self._wait_for(call, event, warnings)
            else:
                result = self._run(call, event, warnings)
            if self._changed(call, event, before, warnings) or result is None:
                continue
            if type(result) is Refuse:
                return Refusal(reason=Reason.REFUSED_BY_PLUGIN, detail=result.words, code=result.code)
            if type(result) is Filter:
                return Filtered(f"plugin:{call.plugin}:{result.code}")
            error = BadResult(f"expected Refuse, Filter or None, not {type(result).__name__}")
            self._bad_result(call, result, error, warnings)
        return None

    async def enrich(self, event: Event, warnings: list[EventWarning]) -> Sequence[Enrichment]:
        if not self._enrich:
            return ()
        before = _contents(event)
        found: list[Enrichment] = []
        for call in self._enrich:
            if call.is_async:
                result = await self._wait_for(call, event, warnings)
            else:
                result = self._run(call, event, warnings)
            if self._changed(call, event, before, warnings) or result is None:
                continue
            try:
                found.append(check_enrichment(result))
            except BaseException as error:
                self._bad_result(call, result, error, warnings)
        return found

    # One call

    def _run(self, call: Call, argument: object, warnings: list[EventWarning]) -> Any:
        """Return the result of a plain function; None if it failed."""
        started = self._now()
        if started < call.rests_until:
            return self._resting(call, warnings)
        result = None
        try:
            result = call.function(argument)
        except BaseException as error:
            self._raised(call, error, warnings)
        if self._now() - started > self._budget:
            self._too_slow(call)
        elif call.overruns:
            call.overruns = 0
        return result

    async def _wait_for(self, call: Call, argument: object, warnings: list[EventWarning]) -> Any:
        """Return the result of an ``async def``; None if it failed."""
        if self._now() < call.rests_until:
            return self._resting(call, warnings)
        # A separate task: if it ignores its cancellation it is left behind, and the request goes on.
        task = asyncio.ensure_future(outcome_of(call.function, argument))
        self._left.add(task)
        task.add_done_callback(self._left.discard)
        try:
            await asyncio.wait((task,), timeout=self._budget)
        finally:
            in_time = task.done()
            task.cancel()
        if not in_time:
            self._too_slow(call)
            self._failed(call, TimeoutError.__qualname__, TimeoutError(), warnings)
            return None
        if call.overruns:
            call.overruns = 0
        result, error = (None, asyncio.CancelledError()) if task.cancelled() else task.result()
        if error is not None:
            self._failed(call, type(error).__qualname__, error, warnings)
        return result

    def _raised(self, call: Call, error: BaseException, warnings: list[EventWarning]) -> None:
        pass_cancellation(error)
        self._failed(call, type(error).__qualname__, error, warnings)

    def _too_slow(self, call: Call) -> None:
        call.overruns += 1
        if call.overruns >= OVERRUNS:
            call.rests_until = self._now() + REST
            what = f"{OVERRUNS} calls in a row took over {self._budget} s; it rests for {REST:.0f} s"
            self.failures.tell(call.plugin, call.hook, what)

    def _resting(self, call: Call, warnings: list[EventWarning]) -> None:
        self.failures.counts[call.plugin, call.hook] += 1
        warnings.append(call.warning)

    def _bad_result(self, call: Call, result: object, error: BaseException, warnings: list[EventWarning]) -> None:
        pass_cancellation(error)
        if inspect.iscoroutine(result):
            result.close()  # or Python complains that it was never awaited
        what = str(error) if isinstance(error, BadResult) else type(error).__qualname__
        self._failed(call, f"a wrong result: {what}", error, warnings)

    def _changed(
        self, call: Call, event: Event, before: tuple[JsonObject, JsonObject], warnings: list[EventWarning]
    ) -> bool:
        """Return True if the call changed the event, after restoring the event."""
        data, properties = before
        try:
            if event.data == data and event.properties == properties:
                return False
            error: BaseException = ValueError()
        except BaseException as failed:  # the comparison itself failed, because of a plugin's object
            pass_cancellation(failed)
            error = failed
        event.data.clear()
        event.data.update(copy_json(data))
        event.properties.clear()
        event.properties.update(copy_json(properties))
        self._failed(call, "it changed the event it was given; return what to add", error, warnings)
        return True

    def _failed(self, call: Call, what: str, error: BaseException, warnings: list[EventWarning]) -> None:
        self.failures.note(call.plugin, call.hook, what, error)
        warnings.append(call.warning)


def _contents(event: Event) -> tuple[JsonObject, JsonObject]:
    """Return a copy of the parts of an event that are not frozen. It costs less than a read-only event."""
    return copy_json(event.data), copy_json(event.properties) if event.properties else {}

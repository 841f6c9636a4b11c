"""The test kit for plugin authors: runs a plugin as the server would, and returns the result.

::

    from catchment.plugins.testkit import check_plugin, run_hook, sample_event
    import my_plugin

    def test_it_is_a_plugin():
        assert check_plugin(my_plugin) == ("catchment_enrich",)

    def test_it_greets():
        run = run_hook(my_plugin, "catchment_enrich", sample_event(name="SignUp"))
        assert run.result[0].properties == {"greeting": "hello"}
        assert run.warnings == ()
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from catchment.core.event import Event, Place, UserAgent
from catchment.core.metering.ladder import QuotaStateChange, State
from catchment.core.metering.quota import Quota
from catchment.core.metering.usage import Usage
from catchment.core.outcomes import EventWarning, Filtered, WarningCode
from catchment.core.project import KeyKind, Scope, Window
from catchment.core.refusals import Reason, Refusal

from .errors import BillingFailed, PluginErrors
from .failures import Failures
from .loading import hook_names, load_plugins
from .manager import BUDGET, PluginExtensions

__all__ = [
    "BillingFailed",
    "EventWarning",
    "Filtered",
    "HookRun",
    "PluginErrors",
    "Reason",
    "Refusal",
    "WarningCode",
    "call_hook",
    "check_plugin",
    "run_hook",
    "sample_event",
    "sample_quota_state",
    "sample_usage",
]

NAME = "tested"
"""The default name of a plugin in tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookRun:
    """The result of one call of a hook."""

    result: Any
    """The value that the server would use: a `UserAgent`, a `Place`, a `Refusal`, a `Filtered` or None, or a sequence
    of `Enrichment`. None for `catchment_configure`, `catchment_bill`, `catchment_quota_state` and `catchment_close`,
    and if the plugin could not be configured."""
    warnings: tuple[EventWarning, ...] = ()
    """The warnings on the event's receipt: one `plugin_failed` for each failure."""
    errors: tuple[BaseException, ...] = ()
    """The exceptions of the plugin in any of its hooks, and the errors in its results."""


def check_plugin(plugin: object, name: str = NAME) -> tuple[str, ...]:
    """Return the names of the hooks that a plugin implements. Raise `PluginErrors` with all mistakes."""
    return PluginExtensions(load_plugins({name: plugin}, installed=False)).describe()[0].hooks


def run_hook(
    plugin: object,
    hook: str,
    argument: Any = None,
    *,
    settings: Mapping[str, Any] | None = None,
    name: str = NAME,
    budget: float = BUDGET,
) -> HookRun:
    """Run one hook of a plugin, plain or async, as the server would. The plugin is configured with `settings` before,
    and closed after it. Its exceptions are in `errors` of the result, also those about its settings.

    Raises `PluginErrors` if the object is no plugin, and ValueError if there is no such hook. In a running event loop
    use `call_hook`.
    """
    return asyncio.run(call_hook(plugin, hook, argument, settings=settings, name=name, budget=budget))


async def call_hook(
    plugin: object,
    hook: str,
    argument: Any = None,
    *,
    settings: Mapping[str, Any] | None = None,
    name: str = NAME,
    budget: float = BUDGET,
) -> HookRun:
    """Do the same as `run_hook`, in a running event loop."""
    if hook not in hook_names():
        raise ValueError(f"there is no hook {hook}")
    failures = _KeptFailures()
    extensions = PluginExtensions(load_plugins({name: plugin}, installed=False), budget=budget, failures=failures)
    warnings: list[EventWarning] = []
    result: Any = None
    section = argument if hook == "catchment_configure" else settings or {}
    try:
        await extensions.configure({name: section})
    except PluginErrors as error:
        return HookRun(result=None, errors=error.raised or (error,))
    match hook:
        case "catchment_parse_user_agent":
            result = await extensions.parse_user_agent(argument, warnings)
        case "catchment_locate":
            result = await extensions.locate(argument, warnings)
        case "catchment_validate":
            result = await extensions.validate(argument, warnings)
        case "catchment_enrich":
            result = await extensions.enrich(argument, warnings)
        case "catchment_quota_state":
            await extensions.announce(argument)
        case "catchment_bill":
            try:
                await extensions.bill(name, [argument])
            except BillingFailed as error:
                failures.errors.append(error.__cause__ or error)
    await extensions.close()
    return HookRun(result=result, warnings=tuple(warnings), errors=tuple(failures.errors))


class _KeptFailures(Failures):
    def __init__(self) -> None:
        super().__init__(time.monotonic)
        self.errors: list[BaseException] = []

    def note(self, plugin: str, hook: str, what: str, error: BaseException | None = None) -> None:
        super().note(plugin, hook, what, error)
        if error is not None:
            self.errors.append(error)


def sample_event(**changes: Any) -> Event:
    """Return an event as validators and enrichers see it, with `changes` to its fields. Its data and properties are not
    shared with other samples."""
    event = Event.with_only(
        project_id="0197f2c4-8f3a-7cc1-9d3e-5b8f0a6b1c2d",
        key_kind=KeyKind.BROWSER,
        event_id="0197f2c4-91b7-7e02-a4f5-6c7d8e9f0a1b",
        name="ButtonClick",
        category="CTA",
        label="Homepage Hero",
        value=1.0,
        data={"custom_field": "custom value", "items": [{"sku": "A-1", "count": 2}]},
        session_id="0197f2c4-90aa-7b11-8c22-1d2e3f4a5b6c",
        user_id="user-42",
        url="https://yourdomain.com/page?utm_source=newsletter&utm_medium=email",
        page_title="Home",
        page_path="/page",
        referrer="https://referrer.com/",
        referrer_host="referrer.com",
        user_agent="Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/139.0.0.0 Safari/537.36",
        agent=UserAgent(browser="Chrome", browser_version="139.0.0", os="Windows", os_version="10", device="desktop"),
        ip="81.2.69.0",
        place=Place(country="GB"),
        occurred_at=datetime(2025, 8, 2, 14, 19, 12, tzinfo=UTC),
        received_at=datetime(2025, 8, 2, 14, 19, 12, 250_000, tzinfo=UTC),
    )
    return event._replace(**changes)


def sample_usage(**changes: Any) -> Usage:
    """Return a usage as a billing backend sees it, with `changes` to its fields."""
    usage = Usage(
        account_id="0197f2c4-0000-7000-8000-000000000001",
        account="acme",
        project_id="0197f2c4-0000-7000-8000-000000000002",
        project="shop",
        period=date(2025, 8, 1),
        events=1234,
        closed=True,
    )
    return replace(usage, **changes)


def sample_quota_state(**changes: Any) -> QuotaStateChange:
    """Return a state that a quota entered, with `changes` to its fields."""
    change = QuotaStateChange(
        quota=Quota(
            id="0197f2c4-0000-7000-8000-000000000003",
            scope=Scope.ACCOUNT,
            scope_id="0197f2c4-0000-7000-8000-000000000001",
            window=Window.MONTH,
            soft=80_000,
            hard=100_000,
        ),
        state=State.SOFT,
        used=80_000,
        starts=date(2025, 8, 1),
        entered_at=datetime(2025, 8, 22, 14, 19, 12, tzinfo=UTC),
        account_id="0197f2c4-0000-7000-8000-000000000001",
        account="acme",
    )
    return replace(change, **changes)

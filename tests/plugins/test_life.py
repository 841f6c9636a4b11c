"""The life of a plugin: it starts, it ends in time, and it may raise whatever it likes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from catchment.core.event import NO_USER_AGENT, NOWHERE
from catchment.core.outcomes import EventWarning
from catchment.plugins.errors import BillingFailed, PluginErrors
from catchment.plugins.hooks import PluginSettingsError
from catchment.plugins.loading import hook_names
from catchment.plugins.testkit import run_hook, sample_event, sample_quota_state, sample_usage

from .support import Made, extensions, failed, plugin, run


class Own(BaseException):
    """An exception that is no `Exception`."""


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError


KINDS = [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), Own(), Mute()]


def raising(error: BaseException, *, is_async: bool) -> Callable[[], Any]:
    def plain() -> None:
        raise error

    async def later() -> None:
        await asyncio.sleep(0)
        raise error

    return later if is_async else plain


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
def test_a_plugin_may_raise_whatever_it_likes_in_every_hook(error: BaseException, is_async: bool) -> None:
    bad = raising(error, is_async=is_async)
    on_the_way = ("parse_user_agent", "locate", "validate", "enrich")
    hooks = {name.removeprefix("catchment_"): bad for name in hook_names()}
    event, warnings = sample_event(), list[EventWarning]()

    async def live() -> None:
        with pytest.raises(PluginErrors, match=r"\Aplugins\.bad: failed to start: "):
            await extensions({"bad": plugin(configure=bad)}).configure({})
        del hooks["configure"]
        server = extensions({"bad": plugin(**hooks)})
        await server.configure({})
        assert await server.parse_user_agent("x", warnings) == NO_USER_AGENT
        assert await server.locate("203.0.113.7", warnings) == NOWHERE
        assert await server.validate(event, warnings) is None
        assert await server.enrich(event, warnings) == []
        with pytest.raises(BillingFailed):
            await server.bill("bad", [sample_usage()])
        assert await server.announce(sample_quota_state()) is False
        await server.close()
        assert server.failures.counts == {("bad", name): 1 for name in hook_names() if name != "catchment_configure"}

    run(live())
    assert warnings == [failed("bad", hook) for hook in on_the_way]


def test_a_plugin_that_answers_a_cancellation_with_an_exit_ends_the_request_alone() -> None:
    started = asyncio.Event()

    async def exits() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            raise SystemExit(3)

    async def cancel() -> None:
        task = asyncio.create_task(extensions({"bad": plugin(enrich=exits)}).enrich(sample_event(), []))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancel())


def test_close_is_called_once_of_each_plugin_that_was_configured() -> None:
    said: list[str] = []

    def living(name: str, error: Exception | None = None) -> Made:
        def configure() -> None:
            if error is not None:
                raise error

        return plugin(configure=configure, close=lambda: said.append(name))

    def without_configure(name: str) -> Made:
        return plugin(close=lambda: said.append(name))

    async def live() -> None:
        both = extensions({"a": living("a"), "b": without_configure("b")})
        await both.close()
        assert said == []
        await both.configure({})
        await both.close()
        await both.close()
        assert said == ["a", "b"]
        await both.configure({}, only=("b",))
        await both.close()
        assert said == ["a", "b", "b"]
        said.clear()
        with pytest.raises(PluginErrors):
            await extensions({"bad": living("bad", KeyError("x")), "good": living("good")}).configure({})
        assert said == ["good"]

    run(live())


def test_close_ends_by_its_deadline_whatever_plugins_do() -> None:
    said: list[str] = []
    let_go = asyncio.Event()

    def blocks() -> None:
        time.sleep(60)

    async def waits() -> None:
        await asyncio.sleep(60)

    async def holds_on() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                said.append("told to end")

    async def good() -> None:
        await asyncio.sleep(0)
        said.append("good")

    async def live() -> None:
        four = extensions(
            {
                "a": plugin(close=blocks),
                "b": plugin(close=waits),
                "c": plugin(close=holds_on),
                "d": plugin(close=lambda: said.append("plain")),
                "e": plugin(close=good),
            }
        )
        await four.configure({})
        async with asyncio.timeout(30):
            await four.close(within=0.2)
        assert said == ["plain", "good"]
        assert four.failures.counts == {(name, "catchment_close"): 1 for name in "abc"}
        let_go.set()

    run(live())


def test_the_kit_shows_what_a_plugin_raises_in_any_hook() -> None:
    bad = PluginSettingsError("color: no")
    assert run_hook(plugin(configure=raising(bad, is_async=False)), "catchment_configure", {}).errors == (bad,)
    assert run_hook(plugin(configure=raising(bad, is_async=True)), "catchment_configure", {}).errors == (bad,)
    [unknown] = run_hook(plugin(enrich=lambda: None), "catchment_enrich", sample_event(), settings={"a": 1}).errors
    assert isinstance(unknown, PluginErrors)
    lost = OSError("gone")
    for hook, argument in [("bill", sample_usage()), ("close", None), ("enrich", sample_event())]:
        done = run_hook(plugin(**{hook: raising(lost, is_async=False)}), f"catchment_{hook}", argument)
        assert done.errors == (lost,)


def test_a_usage_shows_its_key_which_fits_into_a_hundred_characters() -> None:
    usage = sample_usage()
    assert f"idempotency_key={usage.idempotency_key!r}" in repr(usage)
    assert len(usage.idempotency_key) == 81 <= 100

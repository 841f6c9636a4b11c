"""A plugin that fails costs its own part, and nothing else: raise, wrong answer, changed input, hanging."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from catchment.core.event import NO_USER_AGENT, NOWHERE
from catchment.core.outcomes import EventWarning
from catchment.plugins.failures import EVERY, Failures
from catchment.plugins.hooks import Campaign, Enrichment, Event, Place, UserAgent
from catchment.plugins.manager import OVERRUNS, REST
from catchment.plugins.results import MAX_VALUES
from catchment.plugins.testkit import sample_event

from .support import Clock, extensions, failed, plugin, run

GOOD = {"good": 1}


def enriched(bad: Any, **arguments: Any) -> tuple[list[Any], list[EventWarning], Event]:
    """What a bad enricher leaves, between two good ones, of an event."""
    event = sample_event()
    warnings: list[EventWarning] = []
    good = {"a": plugin(enrich=lambda: GOOD), "c": plugin(enrich=lambda: GOOD)}
    three = extensions({**good, "bad": plugin(enrich=bad)}, **arguments)
    found = run(three.enrich(event, warnings))
    assert three.failures.counts == ({("bad", "catchment_enrich"): 1} if warnings else {})
    return [added.properties for added in found], warnings, event


def raising(error: BaseException) -> Callable[[object], object]:
    def raises(event: object) -> object:
        raise error

    return raises


@pytest.mark.parametrize(
    "error", [ValueError("no"), RecursionError(), SystemExit(3), asyncio.CancelledError(), TimeoutError()], ids=repr
)
def test_one_that_raises(error: BaseException) -> None:
    found, warnings, event = enriched(raising(error))
    assert (found, warnings) == ([GOOD, GOOD], [failed("bad", "enrich")])
    assert event == sample_event()


def test_an_async_one_that_raises() -> None:
    async def raises(event: object) -> object:
        await asyncio.sleep(0)
        raise LookupError

    assert enriched(raises)[:2] == ([GOOD, GOOD], [failed("bad", "enrich")])


def test_every_hook_goes_on_after_a_failure() -> None:
    bad = raising(ValueError())
    warnings: list[EventWarning] = []
    alone = extensions({"bad": plugin(parse_user_agent=lambda: bad(0), locate=lambda: bad(0), validate=lambda: bad(0))})
    assert run(alone.parse_user_agent("x", warnings)) == NO_USER_AGENT
    assert run(alone.locate("203.0.113.7", warnings)) == NOWHERE
    assert run(alone.validate(sample_event(), warnings)) is None
    assert warnings == [failed("bad", "parse_user_agent"), failed("bad", "locate"), failed("bad", "validate")]
    helped = extensions(
        {"bad": plugin(locate=lambda: bad(0)), "good": plugin(locate=lambda: Place(country="DE"))},
    )
    assert run(helped.locate("203.0.113.7", [])) == Place(country="DE")


def test_a_cancellation_of_the_request_passes_through() -> None:
    started = asyncio.Event()

    async def waits(event: object) -> None:
        started.set()
        await asyncio.sleep(60)

    async def cancel() -> None:
        slow = extensions({"slow": plugin(enrich=waits)})
        task = asyncio.create_task(slow.enrich(sample_event(), []))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert slow.failures.counts == {}

    run(cancel())


def endless() -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop["itself"] = loop
    return loop


def wide() -> dict[str, Any]:
    items: list[Any] = []
    items.extend([items] * 100)
    return {"items": items}


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(80):
        value = [value]
    return value


BAD_RESULTS: dict[str, object] = {
    "text": "text",
    "a list": [("a", 1)],
    "a number": 1,
    "a key that is a number": {1: "a"},
    "a deep key that is a number": {"a": [{2: "b"}]},
    "nan": {"a": math.nan},
    "infinity": {"a": [math.inf]},
    "a moment": {"a": datetime(2025, 1, 1, tzinfo=UTC)},
    "bytes": {"a": b"a"},
    "a set": {"a": {1}},
    "a tuple": {"a": (1,)},
    "a huge integer": {"a": 10**5000},
    "too many values": {"a": list(range(MAX_VALUES))},
    "too deep": {"a": deep()},
    "one that holds itself": endless(),
    "one that holds itself often": wide(),
    "a bot flag of text": Enrichment(is_bot="yes"),  # type: ignore[arg-type]
    "a campaign of text": Enrichment(campaign="mail"),  # type: ignore[arg-type]
    "a campaign with a number": Enrichment(campaign=Campaign(source=1)),  # type: ignore[arg-type]
    "a campaign with a NUL": Enrichment(campaign=Campaign(source="a\0")),
    "a campaign too long": Enrichment(campaign=Campaign(source="a" * 201)),
    "properties of text": Enrichment(properties="a"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("result", BAD_RESULTS.values(), ids=BAD_RESULTS.keys())
def test_one_that_enriches_with_what_it_may_not(result: object) -> None:
    assert enriched(lambda event: result)[:2] == ([GOOD, GOOD], [failed("bad", "enrich")])


@pytest.mark.parametrize("async_in_disguise", [True, False])
def test_a_coroutine_of_a_plain_function_is_a_wrong_result(async_in_disguise: bool) -> None:
    async def later(event: Event) -> dict[str, int]:
        return GOOD

    found, warnings, _ = enriched((lambda event: later(event)) if async_in_disguise else later)
    assert (len(found), len(warnings)) == ((2, 1) if async_in_disguise else (3, 0))


@pytest.mark.parametrize(
    "result",
    ["Firefox", UserAgent(browser=1), UserAgent(os="\ud800"), UserAgent(device="x" * 201)],  # type: ignore[arg-type]
)
def test_one_that_parses_a_user_agent_into_what_it_may_not(result: object) -> None:
    warnings: list[EventWarning] = []
    two = extensions(
        {"bad": plugin(parse_user_agent=lambda: result), "good": plugin(parse_user_agent=lambda: UserAgent(os="X"))}
    )
    assert run(two.parse_user_agent("x", warnings)) == UserAgent(os="X")
    assert warnings == [failed("bad", "parse_user_agent")]


@pytest.mark.parametrize("result", ["DE", Place(country="D\0"), Place(city=7)])  # type: ignore[arg-type]
def test_one_that_locates_into_what_it_may_not(result: object) -> None:
    warnings: list[EventWarning] = []
    assert run(extensions({"bad": plugin(locate=lambda: result)}).locate("203.0.113.7", warnings)) == NOWHERE
    assert warnings == [failed("bad", "locate")]


@pytest.mark.parametrize("result", [True, "refuse", ("code", "words")])
def test_one_that_validates_into_what_it_may_not(result: object) -> None:
    warnings: list[EventWarning] = []
    assert run(extensions({"bad": plugin(validate=lambda: result)}).validate(sample_event(), warnings)) is None
    assert warnings == [failed("bad", "validate")]


def test_properties_belong_to_the_event_and_not_to_the_plugin() -> None:
    kept = {"list": [1]}
    found = run(extensions({"a": plugin(enrich=lambda: kept)}).enrich(sample_event(), []))
    kept["list"].append(2)
    assert found == [Enrichment(properties={"list": [1]})]


def change_data(event: Event) -> object:
    event.data["custom_field"] = "other"
    return {"changed": True}


def change_deep(event: Event) -> object:
    event.data["items"][0]["count"] = 3
    return {"changed": True}


def empty_it(event: Event) -> object:
    event.data.clear()
    raise ValueError


def write_properties(event: Event) -> object:
    event.properties["b"] = object()
    return None


def hide_the_change(event: Event) -> object:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise TypeError

        __hash__ = None  # type: ignore[assignment]

    event.data["custom_field"] = Odd()
    return None


@pytest.mark.parametrize("change", [change_data, change_deep, empty_it, write_properties, hide_the_change])
def test_one_that_changes_the_event(change: Callable[[Event], object]) -> None:
    """Its answer is not used, and the event is stored as it was."""
    event = sample_event()
    data, warnings = event.data, []
    seen: list[Event] = []
    two = extensions({"bad": plugin(enrich=change), "watch": plugin(enrich=lambda event: seen.append(event))})
    assert run(two.enrich(event, warnings)) == []
    assert event == sample_event()
    assert event.data is data
    assert seen == [sample_event()]
    assert set(warnings) == {failed("bad", "enrich")}


def test_a_validator_that_changes_the_event_has_no_say() -> None:
    def validate(event: Event) -> object:
        event.data.clear()
        return "anything"

    event = sample_event(properties={"before": [1]})
    warnings: list[EventWarning] = []
    assert run(extensions({"bad": plugin(validate=validate)}).validate(event, warnings)) is None
    assert event == sample_event(properties={"before": [1]})
    assert warnings == [failed("bad", "validate")]


def test_an_async_one_that_hangs_is_cut_off() -> None:
    async def hangs(event: object) -> None:
        await asyncio.sleep(60)

    assert enriched(hangs, budget=0.01)[:2] == ([GOOD, GOOD], [failed("bad", "enrich")])


def test_an_async_one_that_takes_no_end_holds_up_nobody() -> None:
    async def go() -> tuple[list[Any], list[EventWarning]]:
        over = asyncio.Event()

        async def hangs(event: object) -> None:
            while not over.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await over.wait()

        warnings: list[EventWarning] = []
        several = extensions({"bad": plugin(enrich=hangs), "good": plugin(enrich=lambda: GOOD)}, budget=0.01)
        async with asyncio.timeout(10):
            found = await several.enrich(sample_event(), warnings)
        over.set()
        return [added.properties for added in found], warnings

    assert run(go()) == ([GOOD], [failed("bad", "enrich")])


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()], ids=repr
)
def test_an_async_one_may_raise_what_ends_a_loop(error: BaseException) -> None:
    async def raises(event: object) -> None:
        await asyncio.sleep(0)
        raise error

    assert enriched(raises)[:2] == ([GOOD, GOOD], [failed("bad", "enrich")])


def test_one_that_hangs_again_and_again_rests(caplog: pytest.LogCaptureFixture) -> None:
    """Its part is missing at once then; after a while it is tried again."""
    calls = 0
    clock = Clock()

    async def hangs(address: object) -> Place:
        nonlocal calls
        calls += 1
        await asyncio.sleep(60 if calls <= OVERRUNS else 0)
        return Place(country="DE")

    slow = extensions({"slow": plugin(locate=hangs)}, budget=0.01, now=clock)
    warnings: list[EventWarning] = []

    async def locate(times: int) -> list[Place]:
        return [await slow.locate("203.0.113.7", warnings) for _ in range(times)]

    assert run(locate(OVERRUNS + 5)) == [NOWHERE] * (OVERRUNS + 5)
    assert calls == OVERRUNS
    assert warnings == [failed("slow", "locate")] * (OVERRUNS + 5)
    assert slow.failures.counts == {("slow", "catchment_locate"): OVERRUNS + 5}
    assert "it rests for 30 s" in caplog.text
    clock.seconds += REST
    assert run(locate(2)) == [Place(country="DE")] * 2


def test_a_plain_one_that_takes_too_long_is_used_late_and_rests() -> None:
    clock = Clock()
    slowness = 1.0

    def slow(event: object) -> dict[str, int]:
        clock.seconds += slowness
        return GOOD

    one = extensions({"slow": plugin(enrich=slow)}, now=clock)
    event = sample_event()
    for _ in range(OVERRUNS):
        assert len(run(one.enrich(event, []))) == 1
    warnings: list[EventWarning] = []
    assert len(run(one.enrich(event, warnings))) == 0
    assert warnings == [failed("slow", "enrich")]
    clock.seconds += REST
    slowness = 0.0
    assert len(run(one.enrich(event, []))) == 1
    slowness = 1.0  # one slow call after a quick one is forgiven
    assert len(run(one.enrich(event, []))) == 1
    assert len(run(one.enrich(event, []))) == 1


def test_the_log_has_the_lines_of_code_once_and_no_data(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    bad = extensions({"bad": plugin(locate=locate_badly)}, now=clock)
    for _ in range(50):
        run(bad.locate("203.0.113.7", []))
    assert len(caplog.records) == 1
    assert "plugin bad, catchment_locate: ValueError" in caplog.text
    assert "in locate_badly" in caplog.text
    assert "203.0.113" not in caplog.text
    clock.seconds += EVERY
    run(bad.locate("203.0.113.7", []))
    assert [record.getMessage() for record in caplog.records[1:]] == [
        "plugin bad, catchment_locate: ValueError; 50 more times in 60 s"
    ]
    assert bad.failures.counts == {("bad", "catchment_locate"): 51}


def locate_badly(address: str) -> Place:
    raise ValueError(address)


def test_the_kinds_of_failure_that_are_told_apart_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures(Clock())
    with caplog.at_level(logging.WARNING):
        for number in range(2_000):
            failures.note("bad", "hook", f"kind {number}")
    assert len(caplog.records) == 1_000
    assert failures.counts == {("bad", "hook"): 2_000}

"""Every hook: who is called, in which order, and what becomes of the answer."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from catchment.core.event import NO_USER_AGENT, NOWHERE
from catchment.core.outcomes import EventWarning, Filtered
from catchment.core.refusals import Reason, Refusal
from catchment.plugins.calls import calls_of
from catchment.plugins.errors import BillingFailed, PluginErrors, UnknownBackend
from catchment.plugins.failures import Failures
from catchment.plugins.hooks import (
    Campaign,
    Enrichment,
    Event,
    Filter,
    Place,
    PluginSettingsError,
    QuotaStateChange,
    Refuse,
    Usage,
    UserAgent,
    check_settings,
    hookimpl,
)
from catchment.plugins.loading import load_plugins
from catchment.plugins.quota_states import QuotaStateCalls
from catchment.plugins.testkit import sample_event, sample_quota_state, sample_usage

from .support import Made, extensions, plugin, run


def test_hook_configure() -> None:
    """Each plugin gets its own section once, plain and async ones."""
    got: list[tuple[str, Mapping[str, Any]]] = []

    def configure(settings: Mapping[str, Any]) -> None:
        got.append(("one", settings))

    async def configure_later(settings: Mapping[str, Any]) -> None:
        await asyncio.sleep(0)
        got.append(("two", settings))

    both = extensions({"two": plugin(configure=configure_later), "one": plugin(configure=configure)})
    run(both.configure({"one": {"a": 1}}))
    assert got == [("one", {"a": 1}), ("two", {})]


def test_hook_configure_shows_all_errors_at_once() -> None:
    def bad_setting(settings: Mapping[str, Any]) -> None:
        check_settings(settings, color=str)

    def bug(settings: Mapping[str, Any]) -> None:
        raise KeyError("size")

    all_of_them = extensions(
        {"bug": plugin(configure=bug), "paint": plugin(configure=bad_setting), "plain": plugin(enrich=lambda: None)}
    )
    with pytest.raises(PluginErrors) as caught:
        run(all_of_them.configure({"paint": {"colour": "red"}, "plain": {"a": 1}, "ghost": {}}))
    assert caught.value.errors == (
        "plugins.plain: this plugin takes no settings",
        "plugins.ghost: there is no such plugin; there are: bug, paint, plain",
        "plugins.bug: failed to start: KeyError: 'size'",
        "plugins.paint: colour is not one of its settings; it takes color",
    )


def test_hook_configure_says_which_plugin_does_not_return() -> None:
    async def waits_for_nobody(settings: Mapping[str, Any]) -> None:
        await asyncio.Event().wait()

    def sleeps(settings: Mapping[str, Any]) -> None:
        time.sleep(3600)

    async def fails(settings: Mapping[str, Any]) -> None:
        raise TimeoutError("no answer from the registry")

    all_of_them = extensions(
        {"a": plugin(configure=waits_for_nobody), "b": plugin(configure=sleeps), "c": plugin(configure=fails)}
    )
    with pytest.raises(PluginErrors) as caught:
        run(all_of_them.configure({}, within=0.1))
    assert sorted(caught.value.errors) == [
        "plugins.a: failed to start: it did not return within 0.1 s",
        "plugins.b: failed to start: it did not return within 0.1 s",
        "plugins.c: failed to start: TimeoutError: no answer from the registry",
    ]


def test_an_alarm_of_somebody_else_interrupts_no_plugin() -> None:
    got: list[str] = []

    def configure(settings: Mapping[str, Any]) -> None:
        os.kill(os.getpid(), signal.SIGALRM)
        got.append("started")

    run(extensions({"one": plugin(configure=configure)}).configure({}))
    assert got == ["started"]


def test_hook_configure_only_of_those_named() -> None:
    got: list[str] = []
    both = extensions(
        {"one": plugin(configure=lambda: got.append("one")), "two": plugin(configure=lambda: got.append("two"))}
    )
    run(both.configure({"one": {}}, only=("two",)))
    assert got == ["two"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"path": 1}, "path: expected str, not int"),
        ({"count": True}, "count: expected int, not bool"),
        ({"other": 1}, "other is not one of its settings; it takes count, path"),
    ],
)
def test_settings_are_checked_with_a_clear_line(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(PluginSettingsError, match=words):
        check_settings(settings, path=str, count=int)


def test_hook_parse_user_agent() -> None:
    """The first that answers wins, and those after it are not asked."""
    asked: list[str] = []

    def answering(name: str, answer: UserAgent | None) -> Made:
        def parse_user_agent(user_agent: str) -> UserAgent | None:
            asked.append(f"{name} {user_agent}")
            return answer

        return plugin(parse_user_agent=parse_user_agent)

    found = UserAgent(browser="Kiosk")
    three = extensions(
        {"a": answering("a", None), "b": answering("b", found), "c": answering("c", UserAgent(browser="No"))}
    )
    assert run(three.parse_user_agent("Kiosk/4", [])) == found
    assert asked == ["a Kiosk/4", "b Kiosk/4"]
    assert run(extensions({"a": answering("a", None)}).parse_user_agent("x", [])) == NO_USER_AGENT


def test_hook_locate() -> None:
    async def locate(address: str) -> Place | None:
        await asyncio.sleep(0)
        return Place(country="DE") if address == "203.0.113.7" else None

    both = extensions({"a": plugin(locate=locate), "b": plugin(locate=lambda address: Place(country="FR"))})
    assert run(both.locate("203.0.113.7", [])) == Place(country="DE")
    assert run(both.locate("203.0.113.8", [])) == Place(country="FR")
    assert run(extensions({"a": plugin(locate=locate)}).locate("203.0.113.8", [])) == NOWHERE


@pytest.mark.parametrize(
    ("objection", "verdict"),
    [
        (None, None),
        (Refuse("no", "Not so."), Refusal(reason=Reason.REFUSED_BY_PLUGIN, code="no", detail="Not so.")),
        (Filter("noise"), Filtered("plugin:strict:noise")),
    ],
)
def test_hook_validate(objection: Refuse | Filter | None, verdict: Refusal | Filtered | None) -> None:
    """The first objection wins, and becomes the core's own word."""

    async def late(event: Event) -> Filter:
        return Filter("late")

    only = extensions({"lenient": plugin(validate=lambda event: None), "strict": plugin(validate=lambda: objection)})
    assert run(only.validate(sample_event(), [])) == verdict
    with_another = extensions({"strict": plugin(validate=lambda: objection), "z": plugin(validate=late)})
    assert run(with_another.validate(sample_event(), [])) == (verdict or Filtered("plugin:z:late"))


def test_hook_enrich() -> None:
    """Every plugin is asked; mappings become properties; nothing is left out of the list."""

    async def flag(event: Event) -> Enrichment:
        return Enrichment(is_bot=True, campaign=Campaign(source="mail"))

    four = extensions(
        {
            "a": plugin(enrich=lambda event: {"name": event.name}),
            "b": plugin(enrich=lambda: None),
            "c": plugin(enrich=flag),
            "d": plugin(enrich=lambda: {"deep": [{"x": None}, 1.5, True]}),
        }
    )
    warnings: list[EventWarning] = []
    assert run(four.enrich(sample_event(name="SignUp"), warnings)) == [
        Enrichment(properties={"name": "SignUp"}),
        Enrichment(is_bot=True, campaign=Campaign(source="mail")),
        Enrichment(properties={"deep": [{"x": None}, 1.5, True]}),
    ]
    assert warnings == []


def test_hook_bill() -> None:
    """The plugin that is named gets every usage, and no other plugin gets any."""
    got: list[Usage] = []
    refused: list[Usage] = []

    async def bill(usage: Usage) -> None:
        got.append(usage)

    two = extensions({"books": plugin(bill=bill), "other": plugin(bill=lambda usage: refused.append(usage))})
    usages = [sample_usage(), sample_usage(project="blog", project_id="p2")]
    assert run(two.bill("books", usages)) == 2
    assert got == usages
    assert refused == []


def test_hook_bill_of_an_unknown_backend_names_those_there_are() -> None:
    two = extensions({"books": plugin(bill=lambda usage: None), "other": plugin(enrich=lambda: None)})
    with pytest.raises(UnknownBackend, match="no plugin 'stripe' bills; there are: books"):
        run(two.bill("stripe", []))
    with pytest.raises(UnknownBackend, match="there are: none"):
        run(extensions({}).bill("other", []))


def test_hook_bill_that_fails_says_where_and_stops() -> None:
    def bill(usage: Usage) -> None:
        if usage.project == "blog":
            raise ConnectionError("no route\nto host")

    books = extensions({"books": plugin(bill=bill)})
    with pytest.raises(BillingFailed) as caught:
        run(books.bill("books", [sample_usage(), sample_usage(project="blog"), sample_usage()]))
    assert str(caught.value) == (
        "billing backend books failed at acme/blog, 2025-08, after 1 it took: ConnectionError: no route to host; "
        "push again, nothing is billed twice"
    )
    assert books.failures.counts == {("books", "catchment_bill"): 1}


def test_every_plugin_is_told_a_state_and_one_that_fails_is_told_again() -> None:
    seen: list[str] = []

    async def late(change: QuotaStateChange) -> None:
        seen.append("late")
        await asyncio.sleep(60)

    def broken(change: QuotaStateChange) -> None:
        seen.append("broken")
        raise SystemExit

    async def good(change: QuotaStateChange) -> None:
        seen.append(f"good {change.state}")

    plugins = {"a": plugin(quota_state=late), "b": plugin(quota_state=broken), "c": plugin(quota_state=good)}
    failures = Failures(time.monotonic)
    calls = calls_of(load_plugins(plugins, installed=False), "catchment_quota_state", trace=False)
    told = QuotaStateCalls(calls, failures, within=0.01)
    assert run(told.announce(sample_quota_state())) is False
    assert seen == ["late", "broken", "good soft"]
    assert failures.counts == {("a", "catchment_quota_state"): 1, ("b", "catchment_quota_state"): 1}
    alone = extensions({"c": plugin(quota_state=good)})
    assert run(alone.announce(sample_quota_state())) is True
    assert run(extensions({}).announce(sample_quota_state())) is True


def test_the_order_is_tryfirst_plain_trylast_and_then_by_name() -> None:
    def of(name: str, **marks: bool) -> Made:
        return plugin(enrich=hookimpl(**marks)(lambda event: {"by": name}))

    given = {
        "e": of("e", trylast=True),
        "d": of("d"),
        "b": of("b", tryfirst=True),
        "f": of("f", trylast=True),
        "a": of("a", tryfirst=True),
        "c": of("c"),
    }
    for plugins in (given, dict(reversed(given.items()))):
        found = run(extensions(plugins).enrich(sample_event(), []))
        assert [added.properties["by"] for added in found] == ["a", "b", "c", "d", "e", "f"]


def test_the_trace_names_plugin_and_hook_and_no_data(caplog: pytest.LogCaptureFixture) -> None:
    async def later(address: str) -> Place:
        return Place(country="DE")

    traced = extensions({"here": plugin(locate=later, enrich=lambda: {"secret": "word"})}, trace=True)
    with caplog.at_level(logging.INFO):
        assert run(traced.locate("203.0.113.7", [])) == Place(country="DE")
        assert run(traced.enrich(sample_event(), [])) == [Enrichment(properties={"secret": "word"})]
    assert [record.getMessage() for record in caplog.records] == [
        "plugin here, catchment_locate: called",
        "plugin here, catchment_enrich: called",
    ]


def test_the_trace_is_off_by_default(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="catchment.plugins"):
        run(extensions({"here": plugin(enrich=lambda: None)}).enrich(sample_event(), []))
    assert caplog.records == []


def test_a_plugin_without_the_hook_costs_nothing_and_says_nothing() -> None:
    none = extensions({})
    event = sample_event()
    assert run(none.parse_user_agent("x", [])) is NO_USER_AGENT
    assert run(none.locate("203.0.113.7", [])) is NOWHERE
    assert run(none.validate(event, [])) is None
    assert list(run(none.enrich(event, []))) == []


@pytest.mark.parametrize("code", ["", "Upper", "with-dash", "a" * 41, "a:b", 1])
@pytest.mark.parametrize("kind", [Refuse, Filter])
def test_a_code_is_a_plain_word(kind: Callable[[Any], object], code: object) -> None:
    with pytest.raises(ValueError, match="a code is"):
        kind(code)


def test_words_are_cut_and_must_be_text() -> None:
    assert len(Refuse("x", "w" * 1000).words) == 500
    with pytest.raises(ValueError, match="words are text"):
        Refuse("x", b"bytes")  # type: ignore[arg-type]


class _Odd(str):
    """A text of a library, whose methods are its own."""

    def __format__(self, spec: str) -> str:
        raise RuntimeError

    def __getitem__(self, place: Any) -> Any:
        return _Odd(str.__getitem__(self, place))

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("kind", [Refuse, Filter])
def test_code_and_words_are_plain_texts_whatever_class_a_plugin_uses(kind: Callable[[Any], Refuse | Filter]) -> None:
    made = kind(_Odd("code"))
    assert (type(made.code), made.code) == (str, "code")
    words = Refuse("x", _Odd("words")).words
    assert (type(words), words) == (str, "words")


def test_words_hold_only_what_an_answer_can_hold() -> None:
    assert Refuse("x", "half \ud800, NUL \x00").words == "half \ufffd, NUL \ufffd"


def test_an_event_can_not_be_changed_field_by_field() -> None:
    with pytest.raises(AttributeError):
        sample_event().name = "Other"  # type: ignore[misc]
    assert sample_event(name="Other").name == "Other"

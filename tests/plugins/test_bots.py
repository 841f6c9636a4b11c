"""The shipped plugin `bots`."""

from __future__ import annotations

import time

import crawleruseragents
import pytest

from catchment.plugins.bots import Bots
from catchment.plugins.hooks import Enrichment
from catchment.plugins.testkit import check_plugin, run_hook, sample_event

INSTANCES = [text for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA for text in entry["instances"]]
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
PEOPLE = [
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/126.0.0.0 Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 14; SM-S918B) {WEBKIT} Chrome/126.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (compatible; GOOGLEBOT/2.1)",  # case counts, for the library too
    "a" * 1_000,
]


@pytest.fixture(scope="module")
def bots() -> Bots:
    plugin = Bots()
    plugin.catchment_configure({})
    return plugin


def is_bot(bots: Bots, user_agent: str | None) -> bool:
    found = bots.catchment_enrich(sample_event(user_agent=user_agent))
    assert found in (None, Enrichment(is_bot=True))
    return found is not None


def test_it_is_a_plugin() -> None:
    assert check_plugin(Bots()) == ("catchment_configure", "catchment_enrich")


def test_it_flags_a_robot() -> None:
    googlebot = sample_event(user_agent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")
    run = run_hook(Bots(), "catchment_enrich", googlebot)
    assert (run.result, run.warnings) == ([Enrichment(is_bot=True)], ())


@pytest.mark.parametrize("user_agent", [None, "", *PEOPLE[:4]])
def test_it_says_nothing_of_people_and_of_no_user_agent(bots: Bots, user_agent: str | None) -> None:
    assert not is_bot(bots, user_agent)


def test_it_says_what_the_library_says(bots: Bots) -> None:
    """The expressions run in another matcher here: both must agree on every example the library has."""
    texts = [*INSTANCES, *PEOPLE, *(text.lower() for text in INSTANCES[::7])]
    assert len(INSTANCES) > 1_000
    assert [text for text in texts if is_bot(bots, text) != crawleruseragents.is_crawler(text[:1_024])] == []


def test_made_up_long_user_agents_do_not_hold_the_server_up(bots: Bots) -> None:
    """1,000 of them, a batch, in a fraction of a second; the library's own function takes one to three."""
    started = time.process_time()
    for number in range(1_000):
        is_bot(bots, f"{number} {'bot bo/ ' * 125}")
    assert time.process_time() - started < 0.5


def test_an_expression_that_the_matcher_does_not_know_is_left_to_the_library(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(crawleruseragents, "CRAWLER_USER_AGENTS_DATA", [{"pattern": "(?<!cu)bot"}])
    monkeypatch.setattr(crawleruseragents, "is_crawler", lambda text: text == "slow")
    plugin = Bots()
    plugin.catchment_configure({})
    assert is_bot(plugin, "slow")
    assert not is_bot(plugin, "bot")
    assert "matching is slow" in caplog.text

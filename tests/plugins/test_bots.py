"""The shipped plugin `bots`."""

from __future__ import annotations

import re
import time
from importlib.resources import files

import crawleruseragents
import pytest

from catchment.plugins.bots import CORRECTIONS, Bots
from catchment.plugins.hooks import Enrichment
from catchment.plugins.testkit import check_plugin, run_hook, sample_event

BROWSERS = (
    "camera car_browser console desktop feature_phone phablet portable_media_player smart_display smartphone tablet tv"
)
"""The kinds of device that a person looks at, by the names of device-detector's files."""
NO_BROWSERS = ("WhatsApp/", "Wget/")
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
    """The expressions run in another matcher here: both must agree on every example of what is not corrected."""
    taken_back = {pattern for pattern, said in CORRECTIONS.items() if said is None}
    listed = crawleruseragents.CRAWLER_USER_AGENTS_DATA
    instances = [text for entry in listed if entry["pattern"] not in taken_back for text in entry["instances"]]
    texts = [*instances, *PEOPLE, *(text.lower() for text in instances[::7])]
    assert len(instances) > 1_000
    assert {entry["pattern"] for entry in listed} >= CORRECTIONS.keys()  # else a correction has had its time
    assert [text for text in texts if is_bot(bots, text) != crawleruseragents.is_crawler(text[:1_024])] == []


def test_no_browser_of_tens_of_thousands_is_a_robot(bots: Bots) -> None:
    folder = files("device_detector") / "tests" / "fixtures" / "upstream"
    kinds = "|".join(BROWSERS.split())
    real = [
        text.strip().strip("'\"")
        for file in folder.iterdir()
        if re.fullmatch(rf"(?:{kinds})(?:-\d+)?\.yml", file.name)
        for text in re.findall(r"^ *(?:- )?user_agent: (.*)$", file.read_text("utf-8"), re.MULTILINE)
    ]
    assert len(real) > 30_000
    assert [text for text in real if is_bot(bots, text) and not text.startswith(NO_BROWSERS)] == []


@pytest.mark.parametrize(
    "app", ["Instagram 350.0.0", "WhatsApp/2.24", "Viber/24.1", "Feedly/90", "Bluesky/1.9", "Notion/3.0", "Line/14"]
)
def test_a_person_in_an_apps_own_browser_is_no_robot_and_its_previews_are(bots: Bots, app: str) -> None:
    phone = "(Linux; Android 15; CPH2557 Build/AP3A.240617.008; wv)"
    assert not is_bot(bots, f"Mozilla/5.0 {phone} {WEBKIT} Version/4.0 Chrome/141.0.0.0 Mobile Safari/537.36 {app}")
    assert is_bot(bots, app) == app.startswith(("WhatsApp", "Viber", "Feedly", "Bluesky", "Notion"))


@pytest.mark.parametrize(
    "made_up",
    ["bot bo/ " * 125, "Android;" * 125, " Android" * 125, f"{'Android' * 130})", f"Android; {' ' * 950}/x)"],
    ids=["robots", "devices", "androids", "androids in brackets", "blanks"],
)
def test_made_up_long_user_agents_do_not_hold_the_server_up(bots: Bots, made_up: str) -> None:
    """1,000 of them, a batch, in a fraction of a second; the library's own function takes one to three."""
    started = time.process_time()
    for number in range(1_000):
        is_bot(bots, f"Mozilla/5.0 (Linux; {number} {made_up}")
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

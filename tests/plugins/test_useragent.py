"""The shipped plugin `useragent`."""

from __future__ import annotations

import pytest

from catchment.plugins.hooks import UserAgent
from catchment.plugins.testkit import check_plugin, run_hook
from catchment.plugins.useragent import UserAgentPlugin

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
IOS = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"


def parse(user_agent: str) -> UserAgent:
    run = run_hook(UserAgentPlugin(), "catchment_parse_user_agent", user_agent)
    assert run.warnings == ()
    found: UserAgent = run.result
    return found


def test_it_is_a_plugin() -> None:
    assert check_plugin(UserAgentPlugin()) == ("catchment_configure", "catchment_parse_user_agent")


def test_it_takes_no_settings() -> None:
    [error] = run_hook(UserAgentPlugin(), "catchment_configure", {"database": "x"}).errors
    assert str(error) == "database is not one of its settings; it takes none"


def test_browser_and_system_with_their_versions() -> None:
    chrome = parse(f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/126.0.0.0 Safari/537.36")
    assert chrome == UserAgent(
        browser="Chrome", browser_version="126.0.0", os="Windows", os_version="10", device="desktop"
    )


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "desktop"),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.5 Safari/605.1.15",
            "desktop",
        ),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/126.0.0.0 Safari/537.36", "desktop"),
        ("Mozilla/5.0 (Windows NT 6.1; Tablet PC 2.0) Gecko/20100101 Firefox/52.0", "desktop"),
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {IOS}", "mobile"),
        (f"Mozilla/5.0 (Linux; Android 14; SM-S918B) {WEBKIT} Chrome/126.0.0.0 Mobile Safari/537.36", "mobile"),
        ("Mozilla/5.0 (Android 13; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0", "mobile"),
        (f"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) {IOS}", "tablet"),
        (f"Mozilla/5.0 (Linux; Android 13; SM-X700) {WEBKIT} Chrome/126.0.0.0 Safari/537.36", "tablet"),
        ("Mozilla/5.0 (Android 13; Tablet; rv:127.0) Gecko/127.0 Firefox/127.0", "tablet"),
        (f"Mozilla/5.0 (Linux; Android 9; AFTT) {WEBKIT} Chrome/120.0.0.0 Safari/537.36", "tv"),
        (f"Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) {WEBKIT} SamsungBrowser/4.0 TV Safari/537.36", "tv"),
        (f"Mozilla/5.0 (Linux; Tizen 2.4; Tizen) {WEBKIT} TVBrowser/1.0 Mobile Safari/537.36", "tv"),
        (f"Mozilla/5.0 (Linux; Android 12; BRAVIA 4K) {WEBKIT} Chrome/100.0.0.0 Safari/537.36", "tv"),
        ("Mozilla/5.0 (PlayStation; PlayStation 5/4.03) AppleWebKit/605.1.15 Version/13.0 Safari/605.1.15", "console"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) {WEBKIT} Edge/44.18363.8131", "console"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
        (f"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) {WEBKIT} Chrome/1 Mobile (compatible; Googlebot/2.1)", "bot"),
        ("curl/8.6.0", None),
        ("something else", None),
    ],
)
def test_the_kind_of_device(user_agent: str, device: str | None) -> None:
    assert parse(user_agent).device == device


@pytest.mark.parametrize("user_agent", ["x", "\0\ud800", "(" * 8000, "Mozilla/5.0 " * 700, "é" * 1024, "%s" * 400])
def test_what_nobody_expects_is_no_failure(user_agent: str) -> None:
    parse(user_agent)


def test_a_field_is_never_too_long() -> None:
    assert all(len(v) <= 200 for v in vars_of(parse("x" * 900 + "bot/1." + "1" * 500)) if v is not None)


def vars_of(agent: UserAgent) -> list[str | None]:
    return [agent.browser, agent.browser_version, agent.os, agent.os_version, agent.device]


def test_answers_are_remembered() -> None:
    plugin = UserAgentPlugin()
    plugin.catchment_configure({})
    assert plugin.catchment_parse_user_agent("curl/8") is plugin.catchment_parse_user_agent("curl/8")

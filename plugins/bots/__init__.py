"""The shipped plugin that recognises crawlers, by the expressions of crawler-user-agents.

The library's own `is_crawler` takes 175 µs for a browser's user agent, and up to 3 ms for a long one: a batch of 1,000
made-up ones would take seconds. So ua-parser's matcher, which is written in Rust, gets its 1,500 expressions: 2 µs, and
9 µs for a long one.

The list takes some people for robots. `CORRECTIONS` replaces those expressions, and the name of an Android device is
ignored (a ViewSonic is no "Sonic"). The tests try tens of thousands of real browsers.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..hooks import Enrichment, Event, check_settings, clean, hookimpl, remember_short

logger = logging.getLogger("catchment.plugins")

_REMEMBERED = 10_000
"""User agents whose answer each process caches. Long ones are not cached."""
_READ = 1_024
"""Characters of a user agent that are read."""
_A_BOT = Enrichment(is_bot=True)

CORRECTIONS: Mapping[str, str | None] = {
    r"AP3A\.240617\.008": None,  # a build of Android 15, of many phones
    "Fluid": None,  # a browser that makes an app of one site
    "Sogou": r"Sogou[-\w ]*[Ss]pider",  # not its browsers
    r"008\/": r"(?:^|[^0-9A-Za-z])008/",  # not phones such as TS1008
    # Messengers fetch previews under their name alone. After a browser's string it is a person in their app.
    "WhatsApp": "^WhatsApp",
    "Viber": "^Viber",
    r"Notion\/": r"^Notion\/",
    "Feedly": r"^\w*Feedly|compatible; *\w*Feedly",
    r"Bluesky\/": r"^Bluesky\/|compatible; Bluesky\/",
}
"""By expression of the list: the expression to use instead; None: none."""

_ANDROID = re.compile(
    r"(Mozilla/5\.0 \((?=[^()]*\))(?>(?:Linux|X11|U|Android|Mobile)[^()]*?Android)[^;()]*+)((?:;[^;()]*+)++)\)"
)
"""Looks for the closing bracket first, and only at the first `Android`: each one in a made-up text would start a
search."""
_DEVICE = re.compile(r";(?:[^;/]*|[^;]* build/[^;]*)(?=;|$)", re.IGNORECASE)
_ROBOTS_WORD = re.compile("bot|spider|crawl|compatible", re.IGNORECASE)


class Bots:
    """Sets the bot flag. It is called first, so any other plugin overrides it."""

    def __init__(self) -> None:
        self._is_crawler: Callable[[str], bool] | None = None

    @hookimpl
    def catchment_configure(self, settings: Mapping[str, Any]) -> None:
        check_settings(settings)
        self._is_crawler = remember_short(_matcher(), entries=_REMEMBERED)

    @hookimpl(tryfirst=True)
    def catchment_enrich(self, event: Event) -> Enrichment | None:
        if not event.user_agent:
            return None
        if self._is_crawler is None:
            self._is_crawler = remember_short(_matcher(), entries=_REMEMBERED)
        return _A_BOT if self._is_crawler(event.user_agent[:_READ]) else None


def _matcher() -> Callable[[str], bool]:
    # Imported here, because importing the plugin must not read the library's list.
    import crawleruseragents
    from ua_parser import Domain
    from ua_parser.matchers import UserAgentMatcher
    from ua_parser.regex import Resolver

    listed = [entry["pattern"] for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA]
    expressions = [said for pattern in listed if (said := CORRECTIONS.get(pattern, pattern)) is not None]
    try:
        resolve = Resolver(([UserAgentMatcher(expression, "bot") for expression in expressions], [], []))
    except ValueError:  # an expression that Rust does not know, such as a look-behind
        logger.warning("plugin bots: crawler-user-agents has an expression that only Python reads; matching is slow")
        is_crawler: Callable[[str], bool] = crawleruseragents.is_crawler
        return is_crawler
    return lambda user_agent: resolve(_without_device(clean(user_agent)), Domain.USER_AGENT).user_agent is not None


def _without_device(user_agent: str) -> str:
    """Return the user agent without the name of an Android device, which may be any word."""
    found = _ANDROID.match(user_agent)
    if found is None or _ROBOTS_WORD.search(found[2]):
        return user_agent
    return f"{found[1]}{_DEVICE.sub('', found[2])}){user_agent[found.end() :]}"


plugin = Bots()

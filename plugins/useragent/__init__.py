"""The shipped plugin that parses the user agent: browser, system, device.

The library is ua-parser, with its expressions in Rust (15 µs a text; 1 ms for a long and hostile one). The kind of
device is decided here; the first condition that holds counts:

=========== =============================================================================================
bot         ua-parser knows a spider
tv          the text names a television or a box beside one
console     the text names a games console
tablet      an iPad, a Kindle, a device that calls itself a tablet, or Android without ``Mobile``
mobile      ``Mobile`` or ``Mobi`` in the text, or a system that only telephones have
desktop     a system of desktop computers
(none)      none of these
=========== =============================================================================================

An iPad that asks for desktop pages says that it is a Mac, so it is `desktop` here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..hooks import UserAgent, check_settings, clean, hookimpl, remember_short

_REMEMBERED = 10_000
"""Texts whose answer each process caches. Long ones are not cached."""
_READ = 1_024
"""Characters of a text that are read."""
_KEPT = 200
"""Characters of a field."""

_TV = re.compile(r"\bTV\b|Smart-?TV|AppleTV|GoogleTV|HbbTV|NetCast|BRAVIA|\bAFT[A-Z]|\bCrKey\b|\bRoku\b", re.I)
_TIZEN = re.compile(r"\bTizen\b", re.I)
_TV_LATER = re.compile(r"\bTV", re.I)
_CONSOLE = re.compile(r"PlayStation|\bXbox\b|Nintendo")
_TABLET = re.compile(r"\biPad\b|\bTablet\b(?! PC)|\bKindle\b|\bSilk\b(?!.*Mobile)|\bPlayBook\b")
_MOBILE = re.compile(r"\bMobi|\biPhone\b|\biPod\b|Opera Mini")
_MOBILE_SYSTEMS = frozenset(
    ("iOS", "Windows Phone", "Windows Mobile", "BlackBerry OS", "KaiOS", "Firefox OS", "Symbian OS", "HarmonyOS")
)
_DESKTOP_SYSTEMS = re.compile(
    r"Windows|Mac OS X|Linux|Chrome OS|Chromium OS|BSD|Solaris|Ubuntu|Debian|Fedora|Red Hat|SUSE"
)


class UserAgentPlugin:
    """Reads user agents. It is called last, so any other plugin that knows a user agent overrides it."""

    def __init__(self) -> None:
        self._parse: Callable[[str], UserAgent] | None = None

    @hookimpl
    def catchment_configure(self, settings: Mapping[str, Any]) -> None:
        check_settings(settings)
        self._parse = _parser()

    @hookimpl(trylast=True)
    def catchment_parse_user_agent(self, user_agent: str) -> UserAgent | None:
        if self._parse is None:
            self._parse = _parser()
        return self._parse(user_agent[:_READ])


def _parser() -> Callable[[str], UserAgent]:
    # Imported here, because importing the plugin must not read thousands of expressions.
    from ua_parser import Domain, load_lazy_builtins
    from ua_parser.regex import Resolver

    resolve = Resolver(load_lazy_builtins())

    def parse(text: str) -> UserAgent:
        found = resolve(clean(text), Domain.ALL)
        browser, system, device = found.user_agent, found.os, found.device
        os = _cut(system.family) if system else None
        return UserAgent(
            browser=_cut(browser.family) if browser else None,
            browser_version=_version(browser.major, browser.minor, browser.patch) if browser else None,
            os=os,
            os_version=_version(system.major, system.minor, system.patch) if system else None,
            device=_device(text, os or "", device.family if device else ""),
        )

    return remember_short(parse, entries=_REMEMBERED)


def _cut(text: str | None) -> str | None:
    return text[:_KEPT].strip() or None if text else None


def _version(*parts: str | None) -> str | None:
    return _cut(".".join(part for part in parts if part))


def _device(text: str, os: str, family: str) -> str | None:
    if family == "Spider":
        return "bot"
    if _TV.search(text) or _is_tizen_tv(text):
        return "tv"
    if _CONSOLE.search(text):
        return "console"
    if _TABLET.search(text) or (os == "Android" and not _MOBILE.search(text)):
        return "tablet"
    if _MOBILE.search(text) or os in _MOBILE_SYSTEMS:
        return "mobile"
    return "desktop" if _DESKTOP_SYSTEMS.match(os) else None


def _is_tizen_tv(text: str) -> bool:
    """Return True if a word that begins with TV follows `Tizen`. One expression for both would try each `Tizen`."""
    found = _TIZEN.search(text)
    return found is not None and _TV_LATER.search(text, found.end()) is not None


plugin = UserAgentPlugin()

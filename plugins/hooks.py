"""The hooks: what a plugin may implement, and everything an author imports. The smallest plugin::

    from catchment.plugins.hooks import Event, hookimpl

    @hookimpl
    def catchment_enrich(event: Event) -> dict[str, str]:
        return {"greeting": "hello"}

A plugin is a module or an object whose functions are marked with `hookimpl`. Each may be a plain function or
an ``async def``, and may leave out the argument. A plain function runs in the event loop and must not wait for
anything; what waits is an ``async def``.

Order, of every hook: first those marked ``@hookimpl(tryfirst=True)``, then the unmarked, then ``trylast=True``;
among equals by the plugin's name. The shipped plugins that answer go last, and those that add go first, so that
an unmarked plugin has its way.

A plugin that raises, or returns what the hook does not allow, loses its part of that event and nothing else: the
event goes on, its receipt has the warning `plugin_failed`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pluggy

from catchment.core.collecting.check import clean
from catchment.core.errors import Invalid
from catchment.core.event import Campaign, Enrichment, Event, Place, UserAgent
from catchment.core.metering.usage import Usage
from catchment.core.privacy import canonical
from catchment.core.project import KeyKind
from catchment.core.remembering import remember_short
from catchment.core.times import period_text

from .errors import PluginSettingsError

__all__ = [
    "Campaign",
    "Enrichment",
    "Event",
    "Filter",
    "Invalid",
    "KeyKind",
    "Place",
    "PluginSettingsError",
    "Refuse",
    "Usage",
    "UserAgent",
    "canonical",
    "check_settings",
    "clean",
    "hookimpl",
    "period_text",
    "remember_short",
]

PROJECT = "catchment"
"""The name of the markers and of the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

_CODE = re.compile(r"[a-z0-9_]{1,40}")
_WORDS = 500


def _check_code(code: object) -> None:
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise ValueError("a code is 1 to 40 of a-z, 0-9 and _")


@dataclass(frozen=True, slots=True)
class Refuse:
    """The event is wrong: the sender gets 422 `refused_by_plugin` with this code and these words.

    Raises ValueError for a code that is not 1 to 40 of ``a-z 0-9 _``, and for words that are no text.
    """

    code: str
    """For programs, such as ``forbidden_name``. It stays the same, as a name does."""
    words: str = ""
    """For people: what is wrong and what to do; cut to 500 characters. Empty: the reason's own words."""

    def __post_init__(self) -> None:
        _check_code(self.code)
        if not isinstance(self.words, str):
            raise ValueError("words are text")
        object.__setattr__(self, "words", self.words[:_WORDS])


@dataclass(frozen=True, slots=True)
class Filter:
    """The event is left out: neither stored nor counted, and the sender did nothing wrong (200 `filtered`,
    reason ``plugin:NAME:CODE``). Raises ValueError as `Refuse` does."""

    code: str

    def __post_init__(self) -> None:
        _check_code(self.code)


def check_settings(settings: Mapping[str, Any], **known: type) -> None:
    """Raises `PluginSettingsError` where `settings` hold a key that is not `known`, or a value of another type::

    check_settings(settings, database=str)
    """
    for key, value in settings.items():
        if key not in known:
            takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
            raise PluginSettingsError(f"{key} is not one of its settings; {takes}")
        if not isinstance(value, known[key]) or (isinstance(value, bool) and known[key] is not bool):
            raise PluginSettingsError(f"{key}: expected {known[key].__name__}, not {type(value).__name__}")


@hookspec
def catchment_configure(settings: Mapping[str, Any]) -> None:
    """Read the settings, open files, build tables. Called once in each process, before any other hook.

    Arguments: `settings`, the plugin's own section of the settings, ``[plugins.NAME]``; empty if there is none.
    Returns: None. It raises `PluginSettingsError` with one clear line on a bad setting, which stops the start.
    Order: every plugin is called, and all their errors are shown at once.
    """


@hookspec
def catchment_close() -> None:
    """Close what `catchment_configure` opened. Called once in each process, when all that was taken is written.

    Arguments: none.
    Returns: None. An error is logged and stops nothing.
    Order: first the plain functions, one after another, then all ``async def`` at once. All together have two seconds.
    """


@hookspec(firstresult=True)
def catchment_parse_user_agent(user_agent: str) -> UserAgent | None:
    """Says what a user agent string says.

    Arguments: `user_agent`, as it was sent; never empty.
    Returns: a `UserAgent`, whose fields are None where it does not say, and at most 200 characters.
    Order: the first plugin that answers wins; those after it are not asked.
    None: this plugin does not know; the next is asked.
    """


@hookspec(firstresult=True)
def catchment_locate(address: str) -> Place | None:
    """Says where an address is. The only hook that ever sees the full address: it is not kept or logged here.

    Arguments: `address`, IPv4 or IPv6 in text, before it is anonymised.
    Returns: a `Place`, whose fields are None where it does not know, and at most 200 characters.
    Order: the first plugin that answers wins; those after it are not asked.
    None: this plugin does not know; the next is asked.
    """


@hookspec(firstresult=True)
def catchment_validate(event: Event) -> Refuse | Filter | None:
    """Objects to an event.

    Arguments: `event`, anonymised, with browser, system, device and place, not yet enriched.
    Returns: `Refuse` where the sender must mend it, `Filter` where it is to be left out.
    Order: the first objection wins; the plugins after it are not asked.
    None: no objection. Nor is there one where the plugin fails: the event goes on.
    """


@hookspec
def catchment_enrich(event: Event) -> Enrichment | Mapping[str, Any] | None:
    """Adds to an event.

    Arguments: `event`, which no plugin objected to. It is the same for all: none sees what another adds.
    Returns: an `Enrichment` (campaign, bot flag, properties), or a mapping, which is its properties: keys that are
    text, values that JSON holds, within the limits of `event_data`.
    Order: every plugin is called; where two add the same, the later one wins.
    None: nothing to add.
    """


@hookspec
def catchment_bill(usage: Usage) -> None:
    """Takes a usage for billing.

    Arguments: `usage`, the events stored of one project in one period. `usage.idempotency_key` names account,
    project and period: a usage whose key is there already replaces what was there, it never adds.
    `usage.closed`: the period is over and its number final.
    Returns: None, once the usage is safely kept. It raises where it is not: the command stops and says so.
    Order: only the plugin that ``catchment billing push --backend NAME`` names is called, once per usage.
    """

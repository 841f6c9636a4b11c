"""The hooks that a plugin may implement, and everything that an author imports. The smallest plugin::

    from catchment.plugins.hooks import Event, hookimpl

    @hookimpl
    def catchment_enrich(event: Event) -> dict[str, str]:
        return {"greeting": "hello"}

A plugin is a module or an object whose functions are marked with `hookimpl`. Each is a plain function or an
``async def``, and may leave out the argument. A plain function runs in the event loop and must not wait: use an
``async def`` for everything that waits.

The order of every hook: first the functions marked ``@hookimpl(tryfirst=True)``, then the unmarked ones, then
``trylast=True``; among equals by the plugin's name. The shipped plugins that answer go last, and those that add go
first, so an unmarked plugin overrides them.

If a plugin raises, or returns what the hook does not allow, only its own part is missing: the event goes on, and its
receipt has the warning `plugin_failed`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pluggy

from catchment.core.collecting.findings import clean
from catchment.core.errors import Invalid
from catchment.core.event import Campaign, Enrichment, Event, Place, UserAgent
from catchment.core.metering.ladder import QuotaStateChange
from catchment.core.metering.quota import Quota
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
    "Quota",
    "QuotaStateChange",
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


def _checked_code(code: object) -> str:
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise ValueError("a code is 1 to 40 of a-z, 0-9 and _")
    return _plain_str(code)


def _plain_str(text: str) -> str:
    """Return a text as a `str` and nothing more: the methods of a subclass could fail while an answer is written."""
    return str.__str__(text)


@dataclass(frozen=True, slots=True)
class Refuse:
    """The event is wrong: the sender gets 422 `refused_by_plugin` with this code and these words.

    Raises ValueError if the code is not 1 to 40 of ``a-z 0-9 _``, or if the words are no text.
    """

    code: str
    """For programs, such as ``forbidden_name``. Never change it: senders rely on it."""
    words: str = ""
    """For people: what is wrong and what to do. Cut to 500 characters. If empty, the reason's own words are used. NUL
    and half surrogate pairs become U+FFFD."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", _checked_code(self.code))
        if not isinstance(self.words, str):
            raise ValueError("words are text")
        object.__setattr__(self, "words", clean(_plain_str(self.words)[:_WORDS]))


@dataclass(frozen=True, slots=True)
class Filter:
    """The event is left out: neither stored nor counted, and the sender did nothing wrong (200 `filtered`,
    reason ``plugin:NAME:CODE``). Raises ValueError as `Refuse` does."""

    code: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", _checked_code(self.code))


def check_settings(settings: Mapping[str, Any], **known: type) -> None:
    """Raise `PluginSettingsError` if `settings` hold a key that is not `known`, or a value of another type::

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
    """Starts the plugin: reads its settings, opens files, builds tables. Called first, once in each process.

    Arguments: `settings`, the plugin's own section of the settings, ``[plugins.NAME]``; empty if there is none.
    Returns: None. If a setting is bad, it raises `PluginSettingsError` with one clear line; the server does not start.
    Order: every plugin is called, and all their errors are shown at once.
    """


@hookspec
def catchment_close() -> None:
    """Closes what `catchment_configure` opened. Called once in each process, after every event is written.

    Arguments: none.
    Returns: None. An error is logged and stops nothing.
    Order: first the plain functions, one after another, then all ``async def`` at once. All together have two seconds.
    """


@hookspec(firstresult=True)
def catchment_parse_user_agent(user_agent: str) -> UserAgent | None:
    """Reads a user agent string.

    Arguments: `user_agent`, as it was sent; never empty.
    Returns: a `UserAgent`. A field is None if the text does not tell it, and has at most 200 characters.
    Order: the first plugin that answers wins; those after it are not asked.
    None: this plugin does not know it; the next plugin is asked.
    """


@hookspec(firstresult=True)
def catchment_locate(address: str) -> Place | None:
    """Locates an address. The only hook that ever sees the full address: do not keep or log it.

    Arguments: `address`, IPv4 or IPv6 as text, before it is anonymized.
    Returns: a `Place`. A field is None if it is not known, and has at most 200 characters.
    Order: the first plugin that answers wins; those after it are not asked.
    None: this plugin does not know it; the next plugin is asked.
    """


@hookspec(firstresult=True)
def catchment_validate(event: Event) -> Refuse | Filter | None:
    """Objects to an event.

    Arguments: `event`, anonymized, with browser, system, device and place, not yet enriched.
    Returns: `Refuse` if the sender must fix the event, `Filter` if it should be left out.
    Order: the first objection wins; the plugins after it are not asked.
    None: no objection. A plugin that fails does not object either: the event goes on.
    """


@hookspec
def catchment_enrich(event: Event) -> Enrichment | Mapping[str, Any] | None:
    """Adds to an event.

    Arguments: `event`, to which no plugin objected. All plugins get the same event: none sees what another adds.
    Returns: an `Enrichment` (campaign, bot flag, properties), or a mapping of properties: keys are text, values are
    JSON values, within the limits of `event_data`.
    Order: every plugin is called; if two add the same, the later one wins.
    None: nothing to add.
    """


@hookspec
def catchment_bill(usage: Usage) -> None:
    """Takes a usage for billing.

    Arguments: `usage`, the number of stored events of one project in one period. `usage.idempotency_key` names account,
    project and period: a usage with a known key replaces the earlier one, and never adds to it.
    `usage.closed`: the period is over and its number final.
    Returns: None, after the usage is safely kept. If it can't be kept, it raises: the command stops and says so.
    Order: only the plugin that ``catchment billing push --backend NAME`` names is called, once for each usage.
    """


@hookspec
def catchment_quota_state(change: QuotaStateChange) -> None:
    """Learns that a quota entered a state: `warning` (80 %), `soft`, `grace` or `hard`. Each once a window.

    Arguments: `change`, with the quota, the state, what was used, and the names of account and project. `change.id` is
    the same if the change comes again: it comes at least once, and mostly within seconds.
    Returns: None, after the change is safely kept or sent. If it can't be, it raises: the change comes again, after a
    minute, then after longer pauses. An ``async def`` has ten seconds.
    Order: every plugin is called. If one of them fails, all get the change again. The states of a quota come in order.
    """

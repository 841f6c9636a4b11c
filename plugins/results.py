"""Checks the results of hooks before they are used: a bad result must not harm its event."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from catchment.core.collecting.findings import is_clean
from catchment.core.event import Campaign, Enrichment, JsonObject, Place, UserAgent

MAX_TEXT = 200
"""Characters of a text in a `UserAgent`, a `Place` or a `Campaign`."""
MAX_VALUES = 10_000
"""Values in the properties of one plugin for one event, on all levels. It also stops endless ones."""
MAX_BITS = 1024
"""Of an integer: some 300 digits. Python does not write more than 4,300."""
MAX_DEPTH = 64
"""Levels of properties. The core keeps fewer. It stops endless ones before Python does."""


class BadResult(Exception):
    """A hook returned something that it may not. The text says what is wrong, and holds no value."""


_KEPT_RESULTS = 4_000
_KEPT_LETTERS = 400


class _Good:
    """Results that were checked and good: plugins return the same frozen objects again and again. They are kept alive,
    so that no other object gets the same id. Long ones are not kept, because their contents come from senders."""

    def __init__(self) -> None:
        self._results: dict[int, object] = {}

    def __contains__(self, result: object) -> bool:
        return self._results.get(id(result)) is result

    def add(self, result: object, *texts: str | None) -> None:
        if sum(len(text) for text in texts if text) > _KEPT_LETTERS:
            return
        if len(self._results) >= _KEPT_RESULTS:
            self._results.clear()
        self._results[id(result)] = result


_good = _Good()


def _is_text(value: object) -> bool:
    return value is None or (type(value) is str and len(value) <= MAX_TEXT and is_clean(value))


def check_agent(result: object) -> UserAgent:
    """Return the result of `catchment_parse_user_agent` if it is good. Raise `BadResult` otherwise."""
    if type(result) is UserAgent and result in _good:
        return result
    if not isinstance(result, UserAgent):
        raise BadResult(_expected("UserAgent or None", result))
    if not (
        _is_text(result.browser)
        and _is_text(result.browser_version)
        and _is_text(result.os)
        and _is_text(result.os_version)
        and _is_text(result.device)
    ):
        raise BadResult(_BAD_TEXT)
    _good.add(result, result.browser, result.browser_version, result.os, result.os_version, result.device)
    return result


def check_place(result: object) -> Place:
    """Return the result of `catchment_locate` if it is good. Raise `BadResult` otherwise."""
    if type(result) is Place and result in _good:
        return result
    if not isinstance(result, Place):
        raise BadResult(_expected("Place or None", result))
    if not (_is_text(result.country) and _is_text(result.region) and _is_text(result.city)):
        raise BadResult(_BAD_TEXT)
    _good.add(result, result.country, result.region, result.city)
    return result


def check_enrichment(result: object) -> Enrichment:
    """Return the result of `catchment_enrich` if it is good, with a copy of its properties. Raise `BadResult`
    otherwise."""
    if type(result) is Enrichment and result in _good and not result.properties:
        return result
    if not isinstance(result, Enrichment):
        if not isinstance(result, Mapping):
            raise BadResult(_expected("Enrichment, a mapping or None", result))
        return Enrichment(properties=_properties(result))
    if result.is_bot is not None and type(result.is_bot) is not bool:
        raise BadResult("is_bot is neither True, False nor None")
    if result.campaign is not None:
        _check_campaign(result.campaign)
    if type(result.properties) is dict and not result.properties:
        if result.campaign is None or result.campaign in _good:
            _good.add(result)
        return result
    return Enrichment(campaign=result.campaign, is_bot=result.is_bot, properties=_properties(result.properties))


def _check_campaign(campaign: object) -> None:
    if campaign in _good:
        return
    if not isinstance(campaign, Campaign):
        raise BadResult(_expected("Campaign or None as campaign", campaign))
    if not (
        _is_text(campaign.source)
        and _is_text(campaign.medium)
        and _is_text(campaign.campaign)
        and _is_text(campaign.term)
        and _is_text(campaign.content)
    ):
        raise BadResult(_BAD_TEXT)
    _good.add(campaign, campaign.source, campaign.medium, campaign.campaign, campaign.term, campaign.content)


def _properties(properties: object) -> JsonObject:
    """Return a copy: the plugin may keep its mapping and change it later."""
    if not isinstance(properties, Mapping):
        raise BadResult(_expected("a mapping as properties", properties))
    copied: JsonObject = _Copier().copy(dict(properties))
    return copied


class _Copier:
    """Copies JSON values, and counts them."""

    def __init__(self) -> None:
        self.left = MAX_VALUES

    def copy(self, value: Any, depth: int = 0) -> Any:
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            raise BadResult(f"properties: over {MAX_VALUES} values or {MAX_DEPTH} levels, or one that holds itself")
        kind = type(value)
        if kind is str or kind is bool or value is None:
            return value
        if kind is int:
            if value.bit_length() > MAX_BITS:
                raise BadResult(f"properties: an integer of more than {MAX_BITS} bits")
            return value
        if kind is float:
            if not isfinite(value):
                raise BadResult("properties: a number that is not finite")
            return value
        if kind is list:
            return [self.copy(item, depth + 1) for item in value]
        if kind is dict:
            if not all(type(key) is str for key in value):
                raise BadResult("properties: a key that is not text")
            return {key: self.copy(item, depth + 1) for key, item in value.items()}
        raise BadResult(f"properties: {kind.__name__} is nothing that JSON holds")


def copy_json(value: JsonObject) -> JsonObject:
    """Return a deep copy of decoded JSON. It checks nothing, because it runs for every event."""
    copied = value.copy()
    for key, item in copied.items():
        kind = type(item)
        if kind is dict:
            copied[key] = copy_json(item)
        elif kind is list:
            copied[key] = _copy_list(item)
    return copied


def _copy_list(items: list[Any]) -> list[Any]:
    return [
        copy_json(item) if type(item) is dict else _copy_list(item) if type(item) is list else item for item in items
    ]


def _expected(what: str, result: object) -> str:
    return f"expected {what}, not {type(result).__name__}"


_BAD_TEXT = f"a field that is not text of at most {MAX_TEXT} characters, without NUL and half surrogate pairs"

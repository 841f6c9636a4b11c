"""Makes a sample of the payload of a refused or filtered event: bounded, JSON, and without personal data.

The payload comes from a stranger and may be anything: deep, large, of odd types. It is read only as far as the sample
has space. A sample that is scrubbed again does not change::

    scrub({"event_name": "SignUp", "url": "https://shop.example/join?mail=a@b.example", "userId": "7"})
    # {"event_name": "SignUp", "url": "https://shop.example/join?[query]", "userId": "[user]"}, Replay.REDUCED
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from math import isfinite
from typing import Any

from ..times import read_time, read_unix_time
from .personal_data import Found, Kind, Within, is_card, kind_of_name
from .scrub_text import ELLIPSIS, LONGEST_TEXT, scrub_address, scrub_text

SAMPLE_BYTES = 4_096
"""The most bytes of a sample, as JSON without blanks, in UTF-8."""
_WORK = 6_000
"""Characters that are scrubbed for one sample, about. The rest of a large payload is not looked at."""
_TEXT_WORK = 16
"""The work for a text beside its characters, in characters."""
_DEPTH = 6
"""Levels of arrays and objects in a sample."""
_ITEMS = 50
"""Items of an array or object in a sample."""
_LONGEST_KEY = 100
LONGEST_ID = 64
_LONGEST_ADDRESS = 1_024
LONGEST_AGENT = 256
_LARGEST_INTEGER = 2**63 - 1

Json = Any
"""A JSON value: None, a bool, int, float or str, a list or a dict with keys of str."""


_NOTHING: Any = object()
"""Stands for a value that the sample has no space for."""


class Replay(StrEnum):
    """The ability of a sample to be sent once more."""

    WHOLE = "whole"
    """Nothing was taken out: the event is sent as it was."""
    REDUCED = "reduced"
    """Personal data was taken out, and is missing in the event that is sent."""
    NO = "no"
    """The event would not be the same one any more: its name, its id, its time, its page or a part of its data is
    missing."""


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A payload without personal data."""

    payload: Json
    taken: Mapping[str, frozenset[Kind]]
    """The kinds that were taken out, by field of the payload. The field is empty for a payload that is no object, and
    for what was left out of the payload itself."""
    replay: Replay


_IDS = ("eventId", "sessionId")
_ADDRESSES = ("url", "referrer", "page_path")
_FIRST = ("event_name", "eventId", "timestamp", "url", "sessionId", "userAgent", "page_title", "referrer", "page_path")
"""Fields that get space in a sample before all others."""
_NEEDED = frozenset({"", "event_name", "eventId", "timestamp", "url"})
_HARMLESS = frozenset({Kind.QUERY, Kind.FRAGMENT})
"""Kinds that a url may lose and still be the page's."""
_NAMED = {"userId": Kind.USER, "projectKey": Kind.TOKEN, "ip": Kind.IP}


def scrub(payload: object) -> Scrubbed:
    """Return the sample of a payload. Raise nothing, whatever the payload is."""
    space = _Space()
    if type(payload) is not dict:
        found: set[Kind] = set()
        sample = _scrub_value(payload, found, space, 1)
        return Scrubbed(sample, {"": frozenset(found)} if found else {}, Replay.NO)
    taken: dict[str, frozenset[Kind]] = {}
    sample = _scrub_event(payload, taken, space)
    return Scrubbed(sample, taken, _replay(sample, taken))


def to_send(sample: Mapping[str, Json]) -> dict[str, Json]:
    """Return the payload that a replay sends: the sample without its placeholders, as far as they stand alone."""
    sent = _without_placeholders(sample)
    sent.pop("projectKey", None)
    for field in _ADDRESSES:
        if isinstance(sent.get(field), str):
            sent[field] = sent[field].removesuffix("?[query]").removesuffix("#[fragment]")
    return sent


def _replay(sample: Json, taken: Mapping[str, frozenset[Kind]]) -> Replay:
    if not isinstance(sample.get("event_name"), str):
        return Replay.NO
    lost = any(kinds - _HARMLESS if field == "url" else kinds for field, kinds in taken.items() if field in _NEEDED)
    if lost or Kind.CUT in taken.get("event_data", ()):
        return Replay.NO
    return Replay.REDUCED if any(field != "projectKey" for field in taken) else Replay.WHOLE


class _Space:
    """The bytes and the work that are left for a sample."""

    def __init__(self) -> None:
        self._bytes = SAMPLE_BYTES
        self._work = _WORK

    def take(self, size: int) -> bool:
        """Take so many bytes. Return False, and take nothing, if there are fewer."""
        if size > self._bytes:
            return False
        self._bytes -= size
        return True

    def text(self, text: str, found: Found, longest: int = LONGEST_TEXT, within: Within = Within.TEXT) -> Json:
        """Return the text scrubbed, or `_NOTHING` if there was too much work already."""
        return self._work_on(text, longest, lambda: scrub_text(text, found, longest=longest, within=within))

    def address(self, text: str, found: Found) -> Json:
        """Return the url or path scrubbed, as `text` does."""
        return self._work_on(text, _LONGEST_ADDRESS, lambda: scrub_address(text, found, longest=_LONGEST_ADDRESS))

    def _work_on(self, text: str, longest: int, scrub_it: Callable[[], str]) -> Json:
        if self._work <= 0:
            return _NOTHING
        scrubbed = scrub_it()
        # A longer result counts, so that it costs no more if it is scrubbed again.
        self._work -= _TEXT_WORK + max(min(len(text), longest), len(scrubbed))
        return scrubbed


_MARK = Kind.CUT.placeholder
_MARK_BYTES = len(f',"{ELLIPSIS}":"{_MARK}"'.encode())
_CONTAINER_BYTES = len("{}") + _MARK_BYTES
"""An array or object, with space for the mark that says that something was left out of it."""


def _json_bytes(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def _scrub_event(payload: dict[Any, Any], taken: dict[str, frozenset[Kind]], space: _Space) -> Json:
    space.take(_CONTAINER_BYTES)
    sample: dict[str, Json] = {}
    items = [(field, payload[field]) for field in _FIRST if field in payload]
    items += islice(((key, item) for key, item in payload.items() if key not in _FIRST), _ITEMS + 1)
    is_cut = len(items) > _ITEMS
    for key, item in items[:_ITEMS]:
        found: set[Kind] = set()
        name = _NOTHING if _is_mark(key, item) else _scrub_name(key, sample, found, space)
        if name is _NOTHING:
            is_cut = True
            continue
        value = _scrub_field(name, item, found, space)
        if value is _NOTHING:
            is_cut = True
            found.add(Kind.CUT)
        else:
            sample[name] = value
        if found:
            taken[name] = frozenset(found)
    if is_cut:
        sample[ELLIPSIS] = _MARK
        taken[""] = frozenset({Kind.CUT})
    return sample


def _scrub_field(name: str, value: object, found: Found, space: _Space) -> Json:
    """Return the value of a field of the payload, or `_NOTHING` if there is no space for it."""
    named = _NAMED.get(name) or (None if name in _FIRST else kind_of_name(name))
    if named is not None:
        return _placed(value, named, found, space)
    if name == "timestamp" and _is_time(value):
        return value if space.take(_json_bytes(value)) else _NOTHING
    if type(value) is not str:
        return _scrub_value(value, found, space, 2)
    if name in _IDS:
        text = space.text(value, found, LONGEST_ID, Within.ID)
    elif name in _ADDRESSES:
        text = space.address(value, found)
    elif name == "userAgent":
        text = space.text(value, found, LONGEST_AGENT, Within.AGENT)
    else:
        text = _scrub_loose_text(value, found, space)
    return text if text is not _NOTHING and space.take(_json_bytes(text)) else _NOTHING


def _is_time(value: object) -> bool:
    """Return True for a moment. A number may be a phone's as well, and is kept: it is in the place of a time."""
    if type(value) is str:
        return read_time(value) is not None or (read_unix_time(value) is not None and not is_card(value.split(".")[0]))
    is_number = type(value) is int or type(value) is float
    return is_number and read_unix_time(value) is not None and not is_card(str(int(value)))  # type: ignore[call-overload]


def _scrub_value(value: object, found: Found, space: _Space, depth: int) -> Json:
    """Return a value without personal data, or `_NOTHING` if there is no space for it."""
    kind = type(value)
    if kind is dict or kind is list:
        if depth > _DEPTH or not space.take(_CONTAINER_BYTES):
            return _NOTHING
        return _scrub_object(value, found, space, depth) if kind is dict else _scrub_list(value, found, space, depth)  # type: ignore[arg-type]
    plain = value
    if kind is str:
        plain = _scrub_loose_text(value, found, space)  # type: ignore[arg-type]
    elif kind is int or kind is float:
        plain = _scrub_number(value, found)  # type: ignore[arg-type]
    elif value is not None and kind is not bool:
        plain = Kind.OTHER.placeholder
        found.add(Kind.OTHER)
    return plain if plain is not _NOTHING and space.take(_json_bytes(plain)) else _NOTHING


def _scrub_loose_text(text: str, found: Found, space: _Space) -> Json:
    return text if read_time(text) is not None else space.text(text, found)


def _scrub_number(number: float, found: Found) -> Json:
    kind = None
    if not isfinite(number) if type(number) is float else abs(number) > _LARGEST_INTEGER:
        kind = Kind.NUMBER
    elif number == int(number) and is_card(str(abs(int(number)))):
        kind = Kind.CARD
    if kind is None:
        return number
    found.add(kind)
    return kind.placeholder


def _scrub_name(key: object, sample: dict[str, Json], found: Found, space: _Space) -> Any:
    """Return the name of a member without personal data; `_NOTHING` if it is no text, is there, or finds no space."""
    name = space.text(key, found, _LONGEST_KEY) if isinstance(key, str) else _NOTHING
    if name is _NOTHING or name in sample or not space.take(_json_bytes(name) + 2):
        return _NOTHING
    return name


def _scrub_object(value: dict[Any, Any], found: Found, space: _Space, depth: int) -> Json:
    sample: dict[str, Json] = {}
    items = list(islice(value.items(), _ITEMS + 1))
    is_cut = len(items) > _ITEMS
    for key, item in items[:_ITEMS]:
        name = _NOTHING if _is_mark(key, item) else _scrub_name(key, sample, found, space)
        if name is _NOTHING:
            is_cut = True
            continue
        named = kind_of_name(name)
        scrubbed = _scrub_value(item, found, space, depth + 1) if named is None else _placed(item, named, found, space)
        if scrubbed is _NOTHING:
            is_cut = True
        else:
            sample[name] = scrubbed
    if is_cut:
        found.add(Kind.CUT)
        sample[ELLIPSIS] = _MARK
    return sample


def _scrub_list(value: list[Any], found: Found, space: _Space, depth: int) -> Json:
    sample: list[Json] = []
    is_cut = len(value) > _ITEMS
    for item in value[:_ITEMS]:
        if item == _MARK:
            is_cut = True
            continue
        scrubbed = _scrub_value(item, found, space, depth + 1) if space.take(1) else _NOTHING
        if scrubbed is _NOTHING:
            is_cut = True
        else:
            sample.append(scrubbed)
    if is_cut:
        found.add(Kind.CUT)
        sample.append(_MARK)
    return sample


def _is_mark(key: object, item: object) -> bool:
    return key == ELLIPSIS and item == _MARK


def _placed(value: object, kind: Kind, found: Found, space: _Space) -> Json:
    """Return the placeholder of a kind. None, a bool and an empty text say nothing of a person, and stay."""
    if value is None or type(value) is bool or value == "":
        plain: Json = value
    else:
        plain = kind.placeholder
        if value != plain:
            found.add(kind)
    return plain if space.take(_json_bytes(plain)) else _NOTHING


_PLACEHOLDERS = frozenset(kind.placeholder for kind in Kind)


def _without_placeholders(value: Mapping[str, Json]) -> dict[str, Json]:
    return {
        key: _without_placeholders(item) if isinstance(item, dict) else item
        for key, item in value.items()
        if not (isinstance(item, str) and item in _PLACEHOLDERS)
    }

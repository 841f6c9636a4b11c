"""The check of `event_data`: an object within the limits. What is over a limit is cut or dropped, with a warning."""

from __future__ import annotations

from math import isfinite
from typing import Any

from ..event import JsonObject
from ..limits import Limits
from ..outcomes import WarningCode
from ..refusals import Reason, Refusal
from .findings import REPLACED, Findings, clean, is_clean


def check_object(value: JsonObject, path: str, limits: Limits, findings: Findings, depth: int = 1) -> JsonObject:
    """Return the object within the limits of `event_data`. What is over a limit is cut or dropped, with a warning."""
    keys = "".join(value)  # most objects have few and short keys, which are looked at all at once
    if len(value) > limits.data_keys or len(keys) > limits.data_key or not keys.isascii() or "\x00" in keys:
        kept = _check_keys(value, path, limits, findings)
    else:
        kept = value.copy()
    longest = limits.data_string
    dropped = False
    for key, item in kept.items():
        kind = type(item)
        if kind is str:
            if len(item) > longest or not item.isascii() or "\x00" in item:
                kept[key] = _check_text(item, f"{path}.{key}", limits, findings)
        elif kind is dict or kind is list or kind is float:
            kept[key] = item = _check_value(item, f"{path}.{key}", limits, findings, depth)
            dropped = dropped or item is _NOTHING
    return {key: item for key, item in kept.items() if item is not _NOTHING} if dropped else kept


def _check_keys(value: JsonObject, path: str, limits: Limits, findings: Findings) -> JsonObject:
    kept: JsonObject = {}
    for key, item in value.items():
        if len(kept) >= limits.data_keys:
            findings.warn(WarningCode.DROPPED, path, f"more than {limits.data_keys} keys; the rest is left out")
            break
        if len(key) > limits.data_key:
            findings.warn(WarningCode.DROPPED, f"{path}.{key}", f"a key longer than {limits.data_key} characters")
            continue
        if not is_clean(key):
            key = clean(key)
            findings.warn(WarningCode.CHARACTERS_REPLACED, f"{path}.{key}", REPLACED)
        kept[key] = item
    return kept


_NOTHING: Any = object()


def _check_value(value: Any, path: str, limits: Limits, findings: Findings, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        return _check_text(value, path, limits, findings)
    if kind is float:
        if not isfinite(value):
            findings.refuse(path, "a number out of range")
        return value
    if kind is not dict and kind is not list:
        return value
    if depth >= limits.data_depth:
        findings.warn(WarningCode.DROPPED, path, f"deeper than {limits.data_depth} levels")
        return _NOTHING
    if kind is dict:
        return check_object(value, path, limits, findings, depth + 1)
    if len(value) > limits.data_array:
        findings.warn(WarningCode.DROPPED, path, f"more than {limits.data_array} items; the rest is left out")
        value = value[: limits.data_array]
    checked = (_check_value(item, f"{path}[{i}]", limits, findings, depth + 1) for i, item in enumerate(value))
    return [item for item in checked if item is not _NOTHING]


def _check_text(text: str, path: str, limits: Limits, findings: Findings) -> str:
    if len(text) > limits.data_string:
        findings.warn(WarningCode.CUT, path, f"cut to {limits.data_string} characters")
        text = text[: limits.data_string]
    if not is_clean(text):
        findings.warn(WarningCode.CHARACTERS_REPLACED, path, REPLACED)
        text = clean(text)
    return text


def refuse_depth(value: object, limits: Limits) -> Refusal | None:
    """Return the refusal of an event that is nested too deep, else None."""
    if not too_deep(value, limits.json_depth):
        return None
    return Refusal(reason=Reason.INVALID_JSON, detail=f"nested deeper than {limits.json_depth} levels")


def too_deep(value: object, levels: int) -> bool:
    """Return True if arrays and objects are nested deeper than `levels`. Do not recurse."""
    containers = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        if not containers:
            return False
        containers = [
            item
            for container in containers
            for item in (container.values() if isinstance(container, dict) else container)
            if type(item) is dict or type(item) is list
        ]
    return bool(containers)

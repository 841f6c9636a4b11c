"""The check of an event's fields: a plain dict in, columns or a `Refusal` out.

The one place where a field is judged. What a sender must get right (the name, the url, its own event id, the type
of every field) refuses the event and says so by field; what can be mended (too long, an odd value beside good
ones) is mended, with a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import NamedTuple

from ..event import KNOWN_FIELDS, OTHER_FIELDS, TEXTS, Columns, JsonObject, blank_columns
from ..fields import Over
from ..limits import Limits, TextRule
from ..origins import Url, percent_encoded, read_url
from ..outcomes import WarningCode
from ..privacy import canonical, read_hop
from ..project import KeyKind
from ..refusals import Reason, Refusal
from ..times import UNIX_TIME, read_time, read_unix_time, within_window
from .check_data import check_object, refuse_depth
from .findings import REPLACED, SHOWN, Findings, clean, is_clean

_TOLD = 5
"""Errors that are put into words; all are in `errors`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """The facts of the sender of an event, beside its payload."""

    kind: KeyKind
    received_at: datetime
    clock_offset: timedelta
    """Added to a timestamp: the arrival less the sender's `sentAt`."""
    address: str | None
    """The connection's, with a browser key; None with a server key."""
    headers: Mapping[str, str]
    """With a browser key: texts from the request's headers, by the attribute that falls back to them."""


class Checked(NamedTuple):
    """An event whose fields are good, and that is untrusted still."""

    columns: Columns
    url: Url | None
    """The event's url, read."""


def check_event(
    payload: object, sender: Sender, limits: Limits, new_id: Callable[[], str], event_id: str, findings: Findings
) -> Checked | Refusal:
    """Check a payload's fields against the table of limits, and read its url. `findings` holds the warnings and errors.

    `event_id` is the event's id if the payload names none.
    """
    checked = _checked(payload, sender, limits, new_id, event_id, findings)
    # Deep nesting has already set `odd`; otherwise skip this check.
    return (refuse_depth(payload, limits) if findings.odd else None) or checked


def _checked(
    payload: object, sender: Sender, limits: Limits, new_id: Callable[[], str], event_id: str, findings: Findings
) -> Checked | Refusal:
    if not isinstance(payload, dict):
        findings.refuse("event", f"expected an object, not {_type_name(payload)}")
        return _refusal(findings)
    columns = _texts(payload, limits, findings)
    _put_data(columns, payload.get("event_data"), limits, findings)
    url = _url(columns, sender, limits, findings)
    _name(columns["name"], payload, findings)
    columns["event_id"] = _event_id(columns["event_id"], findings) or event_id
    columns["occurred_at"] = _occurred_at(payload.get("timestamp"), sender, limits, findings)
    if findings.errors:
        return _refusal(findings)
    if not columns["session_id"]:
        columns["session_id"] = new_id()
    if not columns["page_path"]:
        columns["page_path"] = url.path or "/" if url else None
    for attribute, text in sender.headers.items():
        if columns[attribute] is None:
            rule = limits.rules[TEXTS[attribute].wire]
            columns[attribute] = (
                text if len(text) <= rule.longest else _too_long(text, TEXTS[attribute].wire, rule, findings)
            )
    columns["ip"] = _address(payload.get("ip"), sender, findings)
    return _refusal(findings) if findings.errors else Checked(columns, url)


def _name(name: str | None, payload: dict[str, object], findings: Findings) -> None:
    if name is None or not name.strip():
        meant = next((wire for wire in ("name", "event", "eventName") if wire in payload), None)
        findings.refuse("event_name", f"required: a text that is not blank{f' (not {meant})' if meant else ''}")


def _refusal(findings: Findings) -> Refusal:
    told = [f"{path}: {', '.join(what)}" for path, what in findings.errors.items()]
    more = [f"and {len(told) - _TOLD} more"] if len(told) > _TOLD else []
    detail = "; ".join(told[:_TOLD] + more)
    return Refusal(reason=Reason.INVALID_EVENT, detail=detail, errors=findings.errors)


def _texts(payload: JsonObject, limits: Limits, findings: Findings) -> Columns:
    """Return the columns with the payload's texts, checked. Warn of fields that no event has."""
    columns = blank_columns()
    rules = limits.rules
    for wire, value in payload.items():
        rule = rules.get(wire)
        if rule is None:
            if wire not in OTHER_FIELDS:
                findings.warn(WarningCode.UNKNOWN_FIELD, wire, _unknown(wire))
            continue
        if type(value) is not str:
            if type(value) is int and wire in _NUMBERED:
                findings.warn(WarningCode.WRONG_TYPE, wire, "a number; taken as text")
                value = str(value)
            else:
                if value is not None:
                    findings.refuse(wire, f"expected text, not {_type_name(value)}")
                continue
        attribute = rule.attribute
        if (not value.isascii() or "\x00" in value) and not is_clean(value) and attribute != "event_id":
            findings.warn(WarningCode.CHARACTERS_REPLACED, wire, REPLACED)
            value = clean(value)
        if len(value) > rule.longest:
            value = _too_long(value, wire, rule, findings)
        if value or attribute == "event_id":  # an empty text is a missing one
            columns[attribute] = value
    return columns


_NUMBERED = frozenset({"userId", "sessionId"})
"""Texts that databases keep as numbers. An event's own id is none of them: 7 and 7.0 would be two."""


def _unknown(wire: str) -> str:
    meant = _SPELLINGS.get(spelling(wire))
    return f"did you mean {meant}?" if meant else "not a field of an event; put it into event_data"


def spelling(wire: str) -> str:
    """Return what all spellings of a field's name have in common."""
    return wire[:SHOWN].replace("_", "").replace("-", "").lower()


_SPELLINGS = {spelling(wire): wire for wire in KNOWN_FIELDS} | {
    "name": "event_name",
    "event": "event_name",
    "data": "event_data",
    "properties": "event_data",
    "title": "page_title",
    "path": "page_path",
    "referer": "referrer",
    "time": "timestamp",
    "key": "projectKey",
}
"""The field that a sender means, by a spelling used elsewhere."""


def _too_long(value: str, path: str, rule: TextRule, findings: Findings) -> str | None:
    if rule.over is Over.REFUSE:
        findings.refuse(path, f"longer than {rule.longest} characters")
        return value[: rule.longest]
    if rule.over is Over.CUT:
        findings.warn(WarningCode.CUT, path, f"cut to {rule.longest} characters")
        return value[: rule.longest]
    findings.warn(WarningCode.DROPPED, path, f"longer than {rule.longest} characters")
    return None


def _event_id(text: str | None, findings: Findings) -> str | None:
    if text is None:
        return None
    if not text:
        findings.warn(WarningCode.DROPPED, "eventId", "empty; sent again it would be another event")
    elif not text.strip() or not is_clean(text):
        findings.refuse("eventId", "blank, or with characters that can't be stored; an id is never changed")
    return text


def _url(columns: Columns, sender: Sender, limits: Limits, findings: Findings) -> Url | None:
    text = columns["url"]
    if not text:
        if sender.kind is KeyKind.BROWSER and "url" not in findings.errors:
            findings.refuse("url", "required with a browser key: the address of the page")
        return None
    url = read_url(text)
    if url is None:
        mended = percent_encoded(text)
        url = read_url(mended) if mended is not None and len(mended) <= limits.texts["url"] else None
        if url is not None:
            columns["url"] = mended
            findings.warn(WarningCode.CHARACTERS_REPLACED, "url", "blanks or letters beyond ASCII, percent-encoded now")
    if url is None:
        findings.refuse(
            "url",
            "expected a page's absolute address, such as https://shop.example/; its host in ASCII (xn--…)",
        )
    elif url.origin is None and sender.kind is KeyKind.SERVER:
        findings.refuse("url", "its host is not a plain one: no user, no %, no backslash, ASCII only")
    return url


def _address(value: object, sender: Sender, findings: Findings) -> str | None:
    if value is None or value == "":
        return sender.address
    if sender.kind is KeyKind.BROWSER:
        findings.warn(WarningCode.NOT_ALLOWED, "ip", "a browser key may not set it; the connection's is used")
        return sender.address
    address = canonical(value) if isinstance(value, str) else None
    if address is None and isinstance(value, str) and (hop := read_hop(value)) is not None:
        findings.warn(WarningCode.CHARACTERS_REPLACED, "ip", "with a port, or in brackets: the address is kept")
        return str(hop)
    if address is None:
        findings.refuse("ip", "expected an IPv4 or IPv6 address, as text")
    return address


def _occurred_at(value: object, sender: Sender, limits: Limits, findings: Findings) -> datetime:
    if value is None or value == "":
        return sender.received_at
    moment = read_time(value)
    if moment is None:
        moment = read_unix_time(value)
        if moment is not None:
            findings.warn(WarningCode.WRONG_TYPE, "timestamp", UNIX_TIME)
    if moment is None:
        findings.refuse("timestamp", "expected an ISO 8601 time, such as 2026-11-02T14:19:12.000Z")
        return sender.received_at
    try:
        moment += sender.clock_offset
    except OverflowError:
        moment = None
    if moment is None or not within_window(moment, sender.received_at, sender.kind, limits):
        findings.warn(
            WarningCode.TIMESTAMP_REPLACED,
            "timestamp",
            "too old or too far ahead for this kind of key; the arrival is used",
        )
        return sender.received_at
    return moment


def _put_data(columns: Columns, value: object, limits: Limits, findings: Findings) -> None:
    """Fill the columns that come from `event_data`."""
    data: JsonObject = {}
    category = label = number = None
    if type(value) is dict:
        data = check_object(value, "event_data", limits, findings)
        category = _taken_text(data, "category", findings)
        label = _taken_text(data, "label", findings)
        number = _taken_number(data, findings)
    elif value == []:  # how PHP writes an object without values
        findings.warn(WarningCode.WRONG_TYPE, "event_data", "an empty array; taken as an empty object")
    elif value is not None:
        findings.refuse("event_data", f"expected an object, not {_type_name(value)}")
    columns["data"], columns["category"], columns["label"], columns["value"] = data, category, label, number


def _taken_text(data: JsonObject, name: str, findings: Findings) -> str | None:
    text = data.get(name)
    if type(text) is str:
        del data[name]
        return text
    if text is not None:
        findings.warn(
            WarningCode.WRONG_TYPE, f"event_data.{name}", f"{_type_name(text)}, not text; it stays in the data"
        )
    return None


def _taken_number(data: JsonObject, findings: Findings) -> float | None:
    number = data.get("value")
    if number is None:
        return None
    if _is_double(number):
        del data["value"]
        return float(number)
    what = "a number that a double does not hold exactly"
    if type(number) not in (int, float):
        what = f"{_type_name(number)}, not a number"
    findings.warn(WarningCode.WRONG_TYPE, "event_data.value", f"{what}; it stays in the data")
    return None


def _is_double(number: object) -> bool:
    if type(number) is float:
        return isfinite(number)
    if type(number) is not int:
        return False
    try:
        return float(number) == number
    except OverflowError:
        return False


_TYPE_NAMES = {dict: "an object", list: "an array", str: "text", bool: "true or false", type(None): "null"}


def _type_name(value: object) -> str:
    return _TYPE_NAMES.get(type(value), "a number")

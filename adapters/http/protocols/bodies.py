"""The three shapes of a native body: one event, a batch, lines of events."""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Sequence
from itertools import islice
from typing import Any

from catchment.core.collecting.check import spelling
from catchment.core.collecting.check_data import refuse_depth
from catchment.core.collecting.findings import Findings
from catchment.core.collecting.submission import Unreadable
from catchment.core.limits import Limits
from catchment.core.outcomes import EventWarning, WarningCode
from catchment.core.refusals import Reason, Refusal

from .decode import decode, sizes_of
from .not_readable import NotReadable, TooLarge
from .wire_protocol import Sent

_PEEKED = 512
_ENVELOPE = ("projectKey", "sentAt", "events", "losses")
_KEY_NAMES = frozenset(("project_key", "ProjectKey", "projectkey", "project-key", "key", "apiKey", "api_key"))
_ENVELOPE_SPELLINGS = {spelling(name): name for name in _ENVELOPE} | {"key": "projectKey", "batch": "events"}
_NO_FIELD = "not a field of a batch; it was left out"
_LINE = re.compile(rb"^[^\S\n]*\S[^\n]*", re.MULTILINE)
"""A line that is not blank."""
_SERVER_KEY = re.compile(rb'"projectKey"\s*:\s*"(sk_[0-9A-Za-z]{1,77})"')


def read_event(body: bytes, limits: Limits) -> Sent:
    """Read one event. Raise `NotReadable`."""
    value = decode(body)
    deep = refuse_depth(value, limits)
    if deep is not None:
        raise NotReadable(deep.detail)
    if not isinstance(value, dict):
        raise NotReadable("expected one event, an object; /v1/batch takes several")
    return Sent([value], _named_key(value), misnamed_key=_misnamed_key(value))


def read_batch(body: bytes, limits: Limits) -> Sent:
    """Read a batch: an array of events, or an object with `events`. Raise `NotReadable` and `TooLarge`."""
    value = decode(body)
    envelope: dict[str, Any] = value if isinstance(value, dict) else {"events": value}
    events = envelope.get("events")
    if not isinstance(events, list):
        raise NotReadable("expected an array of events, or an object with the array `events`")
    _check_count(len(events), limits)
    key = _named_key(envelope) or _first_key(events)
    if len(body) > limits.body_bytes:
        for number, size in enumerate(sizes_of(body, events)):
            if size > limits.body_bytes:
                events[number] = Unreadable(_one_too_large(limits))
    return Sent(
        events,
        key,
        envelope.get("sentAt"),
        envelope.get("losses"),
        warnings=_unknown_fields(envelope, limits),
        misnamed_key=_misnamed_key(envelope) or _misnamed_key(events[0] if events else None),
    )


def _unknown_fields(envelope: dict[str, Any], limits: Limits) -> list[EventWarning]:
    """Return a warning for each field that no envelope has."""
    findings = Findings(limits)
    for name in envelope:
        if name not in _ENVELOPE and len(findings.warnings) < limits.warnings:
            meant = _ENVELOPE_SPELLINGS.get(spelling(name))
            findings.warn(WarningCode.UNKNOWN_FIELD, name, f"did you mean {meant}?" if meant else _NO_FIELD)
    return findings.warnings


def _misnamed_key(value: object) -> str | None:
    """Return the field of an event or an envelope that its sender took for `projectKey`; None if there is none."""
    return min(_KEY_NAMES.intersection(value), default=None) if isinstance(value, dict) else None


def read_lines(body: bytes, limits: Limits) -> Sent:
    """Read NDJSON: one event a line, without blank lines. A bad line refuses its own event alone. Raise `TooLarge`."""
    # Found one by one: two kilobytes of gzip unpack to a million lines.
    lines = [found[0] for found in islice(_LINE.finditer(body), limits.batch_events + 1)]
    if len(lines) > limits.batch_events:
        raise TooLarge(f"more than {limits.batch_events} events; a batch takes no more")
    events = [_read_line(line, limits) for line in lines]
    return Sent(events, _first_key(events), misnamed_key=_misnamed_key(events[0] if events else None))


def _read_line(line: bytes, limits: Limits) -> object:
    if len(line) > limits.body_bytes:
        return Unreadable(_one_too_large(limits))
    try:
        return decode(line)
    except NotReadable as error:
        return Unreadable(error.refusal)


def server_key_in(body: bytes) -> str | None:
    """Return the server key in the first bytes of a body, packed or not; None if there is none."""
    start = body[:_PEEKED]
    if start[:2] == b"\x1f\x8b":
        with contextlib.suppress(zlib.error):
            start = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(start, _PEEKED)
    found = _SERVER_KEY.search(start)
    return found[1].decode() if found else None


def _one_too_large(limits: Limits) -> Refusal:
    return Refusal(reason=Reason.TOO_LARGE, detail=f"an event larger than {limits.body_bytes} bytes")


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.batch_events:
        raise TooLarge(f"{count} events; a batch takes up to {limits.batch_events}")


def _first_key(events: Sequence[object]) -> str | None:
    return next((_named_key(event) for event in events if isinstance(event, dict)), None)


def _named_key(value: dict[str, Any]) -> str | None:
    key = value.get("projectKey")
    return key if isinstance(key, str) else None

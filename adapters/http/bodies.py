"""The three shapes of a body: one event, a batch, lines of events. Bytes to payloads and the key they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from catchment.core.check import too_deep
from catchment.core.limits import Limits
from catchment.core.outcomes import Reason, Refusal
from catchment.core.submission import Unreadable

from .decode import NotReadable, TooLarge, decode, parse, sizes_of, words_of_depth


@dataclass(frozen=True, slots=True)
class Body:
    """What a body says."""

    payloads: list[object]
    key: str | None
    """The key it names: the envelope's, else the first event's."""
    sent_at: object = None
    losses: object = None
    """The envelope's, as they came."""


def read_event(body: bytes, limits: Limits) -> Body:
    """One event. Raises `NotReadable`."""
    value = decode(body, limits.json_depth)
    if not isinstance(value, dict):
        raise NotReadable("expected one event, an object; /v1/batch takes several")
    return Body([value], _named_key(value))


def read_batch(body: bytes, limits: Limits) -> Body:
    """A batch: an array of events, or an object with `events`. Raises `NotReadable` and `TooLarge`."""
    value = parse(body)
    envelope: dict[str, Any] = value if isinstance(value, dict) else {"events": value}
    events = envelope.get("events")
    if not isinstance(events, list):
        raise NotReadable("expected an array of events, or an object with the array `events`")
    _check_count(len(events), limits)
    key = _named_key(envelope) or _first_key(events)
    sizes = sizes_of(body, events) if len(body) > limits.body_bytes else [0] * len(events)
    deep = too_deep(events, limits.json_depth + 1)  # one look at all of them: it is rarely so
    for number, event in enumerate(events):
        if sizes[number] > limits.body_bytes:
            events[number] = Unreadable(_one_too_large(limits))
        elif deep and too_deep(event, limits.json_depth):
            detail = words_of_depth(limits.json_depth)
            events[number] = Unreadable(Refusal(reason=Reason.INVALID_JSON, detail=detail))
    return Body(events, key, envelope.get("sentAt"), envelope.get("losses"))


def read_lines(body: bytes, limits: Limits) -> Body:
    """A batch of NDJSON: an event a line, blank lines left out. A bad line costs itself alone. Raises `TooLarge`."""
    lines = [line for line in body.split(b"\n") if line.strip()]
    _check_count(len(lines), limits)
    events = [_read_line(line, limits) for line in lines]
    return Body(events, _first_key(events))


def _read_line(line: bytes, limits: Limits) -> object:
    if len(line) > limits.body_bytes:
        return Unreadable(_one_too_large(limits))
    try:
        return decode(line, limits.json_depth)
    except NotReadable as error:
        return Unreadable(Refusal(reason=Reason.INVALID_JSON, detail=str(error)))


def _one_too_large(limits: Limits) -> Refusal:
    return Refusal(reason=Reason.TOO_LARGE, detail=f"an event larger than {limits.body_bytes} bytes")


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.batch_events:
        raise TooLarge(f"{count} events; a batch takes up to {limits.batch_events}")


def _first_key(events: Sequence[object]) -> str | None:
    return _named_key(events[0]) if events and isinstance(events[0], dict) else None


def _named_key(value: dict[str, Any]) -> str | None:
    key = value.get("projectKey")
    return key if isinstance(key, str) else None

"""Rows of the tables of bad input, and what every answer to one has to be."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from ..support.answers import Answer
from .serving import CANARY, EXPOSED, ORIGIN, PAGE, AuditedCollector
from .wire import Header, Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One bad body, and the refusal that it has to get."""

    name: str
    body: bytes
    code: str = "invalid_json"
    status: int = 400
    path: str = "/v1/events"
    headers: tuple[Header, ...] = ()
    """In the place of those that a page's script sends; None leaves one out."""
    fields: frozenset[str] | None = None
    """The fields that the answer must name; None: those are not asked for."""
    server: bool = False
    """Sent with the server key."""


def event(**changes: Any) -> bytes:
    """A good event's body but for these changes; the values are JSON texts where they are bytes."""
    fields: dict[str, Any] = {"event_name": CANARY, "url": f"{PAGE}?q={CANARY}", **changes}
    members = [
        json.dumps(name).encode() + b": " + (value if isinstance(value, bytes) else json.dumps(value).encode())
        for name, value in fields.items()
    ]
    return b"{" + b", ".join(members) + b"}"


def table(rows: Iterable[Row]) -> pytest.MarkDecorator:
    """A test for each row, by its name."""
    kept = list(rows)
    names = [row.name for row in kept]
    assert len(names) == len(set(names)), "two rows of one name"
    return pytest.mark.parametrize("row", kept, ids=names)


def check_refused(site: AuditedCollector, row: Row) -> None:
    """The row is refused as it says, and nothing else happens."""
    key = site.server_key if row.server else site.browser_key
    with site.wire() as wire:
        answer = site.ask(wire, row.body, *row.headers, path=row.path, key=key)
        problem = check_problem(answer, row.status, row.code, origin_of(row.headers))
        if row.fields is not None:
            assert set(problem["errors"]) == row.fields
        site.check_after(wire)


def origin_of(headers: Iterable[Header]) -> str | None:
    """The Origin that a row is sent with."""
    origin: str | bytes | None = ORIGIN
    for name, value in headers:
        if name.lower() == "origin":
            origin = value
    return origin.decode("latin-1") if isinstance(origin, bytes) else origin


def check_common(answer: Answer | None, origin: str | None = ORIGIN) -> Answer:
    """What every answer has: an id, no cache, and CORS headers that let the page's script read why. An Origin that no
    browser sends (beyond ASCII, or with a control character) is not handed back."""
    assert answer is not None, "closed without an answer"
    headers = answer.headers
    assert headers["x-request-id"]
    assert headers["cache-control"] == "no-store"
    assert headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in headers
    if origin is not None and origin.isascii() and origin.isprintable():
        assert headers["access-control-allow-origin"] == origin
        assert headers["access-control-expose-headers"] == EXPOSED
    else:
        assert "access-control-allow-origin" not in headers
    return answer


def check_problem(answer: Answer | None, status: int, code: str, origin: str | None = ORIGIN) -> Any:
    """The problem document of an answer."""
    answer = check_common(answer, origin)
    assert (answer.status, answer.json["code"]) == (status, code), answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-catchment-outcome"] == "refused"
    assert answer.headers["x-catchment-reason"] == code
    problem = answer.json
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    return problem


def check_stored(answer: Answer | None, *warnings: str) -> str:
    """The id of an event that was stored, with warnings of these codes and no others."""
    answer = check_common(answer)
    assert answer.status == 200, answer.body
    receipt = answer.json
    assert receipt["outcome"] == answer.headers["x-catchment-outcome"] == "stored"
    assert {warning["code"] for warning in receipt["warnings"]} == set(warnings), receipt["warnings"]
    return str(receipt["event_id"])


def store(site: AuditedCollector, body: bytes, *warnings: str, server: bool = False) -> dict[str, Any]:
    """Posts an event that is odd, and is stored with these warnings; its row."""
    with site.wire() as wire:
        event_id = store_on(site, wire, body, *warnings, server=server)
        site.check_after(wire)
    return site.row_as_json(event_id)


def store_on(site: AuditedCollector, wire: Wire, body: bytes, *warnings: str, server: bool = False) -> str:
    key = site.server_key if server else site.browser_key
    return check_stored(site.ask(wire, body, key=key), *warnings)

"""Servers that answer what Catchment never would, values that raise errors when they are read, callbacks that fork."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, tzinfo
from itertools import count
from typing import Any

import pytest

from catchment_client import Client, InvalidEvent, Refused
from catchment_client._logs import KINDS
from catchment_client.testing import RecordingClient

from .stub import Asked, Says, Stub

MakeClient = Callable[..., Client]
EVIL = "bad\n\x1b[2J\u202efake"


class Lazy(Mapping[str, Any]):
    """A mapping of a database whose session has ended."""

    def __getitem__(self, name: str) -> Any:
        raise LookupError("secret")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("secret")

    def __len__(self) -> int:
        return 1


class Nowhere(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise ArithmeticError("secret")


WRONG: list[dict[str, Any]] = [
    {"data": Lazy()},
    {"data": {"inside": Lazy()}},
    {"data": {"at": datetime(2026, 11, 2, tzinfo=Nowhere())}},
    {"timestamp": datetime(2026, 11, 2, tzinfo=Nowhere())},
    {"user_id": 10**5000},
]


@pytest.mark.parametrize("arguments", WRONG, ids=lambda given: next(iter(given)))
def test_a_value_that_can_t_be_read_is_an_invalid_event(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent) as raised:
        RecordingClient().track("Ping", **arguments)
    assert "secret" not in str(raised.value)
    client = RecordingClient(strict=False)
    client.track("Ping", **arguments)
    assert client.losses == {"invalid": 1}


def refuses(asked: Asked, **more: object) -> Says:
    results = [{"index": n, "outcome": "refused", **more} for n in range(len(asked.ids))]
    return Says(200, {"results": results} if "events" in asked.body else results[0])


def test_texts_of_an_answer_do_not_control_a_terminal(
    stub: Stub, make_client: MakeClient, log: pytest.LogCaptureFixture
) -> None:
    warnings = [{"code": EVIL, "field": "userId", "detail": EVIL * 1000}]
    answers = iter(
        [
            Says(503, {"type": "urn:catchment:problem:x", "code": EVIL}),
            Says(200, {"results": [{"index": 0, "outcome": "stored", "warnings": warnings}]}),
        ]
    )
    stub.answer = lambda asked: next(answers, None) or refuses(asked, reason=EVIL, detail=EVIL, errors={EVIL: [EVIL]})
    client = make_client(stub.endpoint)
    for _ in range(2):
        client.track("Ping")
        assert client.flush(30)
    with pytest.raises(Refused) as raised:
        client.send("Ping")
    said = [*log.messages, str(raised.value), *client.refused, *raised.value.receipt.errors]
    assert len(said) > 4
    assert all(line.isprintable() and len(line) < 2500 for line in said), said


def test_made_up_codes_take_bounded_memory(stub: Stub, make_client: MakeClient) -> None:
    numbers = count()
    stub.answer = lambda asked: Says(
        200,
        {"results": [{"index": n, "outcome": "refused", "reason": f"r{next(numbers)}"} for n in range(len(asked.ids))]},
    )
    client = make_client(stub.endpoint)
    for _ in range(3 * KINDS):
        client.track("Ping")
    assert client.flush(30)
    assert len(client.refused) == KINDS + 1
    assert sum(client.refused.values()) == 3 * KINDS


def test_an_answer_is_bounded_by_the_number_of_its_events(
    stub: Stub, make_client: MakeClient, quick_retries: None
) -> None:
    """Decoded, this one would take hundreds of megabytes."""
    answers = iter([Says(200, b'{"results":[' + b"{}," * 3_000_000 + b"{}]}")])
    stub.answer = lambda asked: next(answers, None) or refuses(asked, reason="invalid_event")
    client = make_client(stub.endpoint)
    client.track("Ping")
    assert client.flush(30)
    assert client.refused == {"invalid_event": 1}
    assert len(stub.asked) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_the_child_of_a_callback_that_forks_ends(stub: Stub, make_client: MakeClient) -> None:
    parent = os.getpid()
    children: list[int] = []

    def fork(receipt: object) -> None:
        if os.getpid() == parent:
            child = os.fork()
            if child:
                children.append(child)

    client = make_client(stub.endpoint, on_receipt=fork)
    client.track("Ping")
    assert client.flush(30)
    _, status = os.waitpid(children[0], 0)
    assert status == 0
    client.track("Ping")
    assert client.flush(30)
    os.waitpid(children[1], 0)

"""What holds for any bytes at all: they become an answer, and what is stored can be stored. Raises `AssertionError`,
or whatever the code under test raises, where it does not.

It runs in this process, on the memory adapter, so that a fuzzer can try thousands of bodies a second::

    with Oracle() as oracle:
        oracle.judge(b'{"event_name": …')
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import math
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from tornado.httputil import HTTPHeaders

from catchment.adapters.http.answers import STATUS_OF
from catchment.adapters.http.engine.addresses import Client
from catchment.adapters.http.engine.memory import MemoryBudget, Reservation
from catchment.adapters.http.engine.message import Request, Response
from catchment.adapters.http.operations.metrics import Metrics
from catchment.adapters.http.protocol_runner import ProtocolRunner
from catchment.adapters.http.protocols import decode
from catchment.adapters.http.protocols.native import Batch, Events
from catchment.adapters.http.protocols.not_readable import NotReadable
from catchment.adapters.http.protocols.pixel import Pixel
from catchment.adapters.postgres.rows import batch_of, rows_of
from catchment.core.collecting.findings import is_clean
from catchment.core.collecting.ports import Stored
from catchment.core.event import Event, row_of
from catchment.core.limits import Limits
from catchment.core.outcomes import Outcome, StoreOutcome, WarningCode
from catchment.core.refusals import Reason

from ..support.house import PAGE, build_house

LIMITS = Limits()
EVENTS, BATCH, PIXEL = Events(LIMITS), Batch(LIMITS), Pixel(LIMITS)
_STATUSES = {200, *STATUS_OF.values()}
_BY_THE_SENDER = {reason for reason, status in STATUS_OF.items() if status < 500}
_MEDIA = ("application/json", "text/plain", "application/x-ndjson")
_INDEX_ROW = 2_700
"""Bytes; PostgreSQL's B-tree takes no larger entry (54000)."""


class StrictSink:
    """`catchment.core.collecting.ports.EventSink` that keeps nothing, and judges events as PostgreSQL would."""

    async def store(self, batch: Sequence[Event], *, deadline: float, share: str | None = None) -> Stored:
        for event in batch:
            check_storable(event)
        return Stored([StoreOutcome.STORED] * len(batch))


def check_storable(event: Event) -> None:
    """Every field is within its limit, and all of it is text and numbers that `jsonb` holds."""
    check_jsonb(json.loads(batch_of([rows_of([event])]).encoded, parse_constant=_no_constant))
    assert 0 < len(event.event_id) <= LIMITS.texts["event_id"]
    assert 0 < len(event.name) <= LIMITS.texts["event_name"]
    assert event.name.strip()
    assert len(event.name.encode()) < _INDEX_ROW
    for column, limit in (
        ("session_id", max(LIMITS.texts["session_id"], 36)),
        ("user_id", LIMITS.texts["user_id"]),
        ("url", LIMITS.texts["url"]),
        ("page_title", LIMITS.texts["page_title"]),
        ("page_path", LIMITS.texts["page_path"]),
        ("referrer", LIMITS.texts["referrer"]),
        ("user_agent", LIMITS.texts["user_agent"]),
        ("language", LIMITS.texts["language"]),
        ("category", LIMITS.data_string),
        ("label", LIMITS.data_string),
    ):
        value = getattr(event, column)
        assert value is None or (isinstance(value, str) and len(value) <= limit), column
    assert event.value is None or (type(event.value) is float and math.isfinite(event.value))
    assert event.occurred_at.utcoffset() == timedelta()
    assert 1970 <= event.occurred_at.year <= event.received_at.year
    check_within(event.data, 1)
    json.dumps(row_of(event), allow_nan=False).encode()


def check_within(value: Any, depth: int) -> None:
    """The limits of `event_data`."""
    if isinstance(value, dict):
        assert depth <= LIMITS.data_depth
        assert len(value) <= LIMITS.data_keys
        assert all(len(key) <= LIMITS.data_key for key in value)
    elif isinstance(value, list):
        assert depth <= LIMITS.data_depth
        assert len(value) <= LIMITS.data_array
    elif isinstance(value, str):
        assert len(value) <= LIMITS.data_string
    for item in _inside(value):
        check_within(item, depth + 1)


def check_jsonb(value: Any) -> None:
    """No NUL, no half of a surrogate pair, no number that is none or that `numeric` does not hold."""
    if isinstance(value, dict):
        assert all(map(is_clean, value))
    elif isinstance(value, str):
        assert is_clean(value)
    elif isinstance(value, float):
        assert math.isfinite(value)
    for item in _inside(value):
        check_jsonb(item)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} in a row")


def check_decoders(body: bytes) -> None:
    """Whenever the fast decoder succeeds, the strict one gives the same; and ours gives what that gives."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        assert _ours(body) is None
        return
    try:
        exact = [decode.decode_exact(text)]
    except NotReadable:
        exact = None
    try:
        fast = [msgspec.json.decode(text)]
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        fast = None
    if fast is not None and exact is not None:
        assert same(fast, exact), "the decoders differ"
    elif fast is not None:
        # the standard library's recurses; what only that refuses for its depth is too deep anyway
        assert _ours(body) is None, "the strict decoder refuses what the fast one takes"
    ours = _ours(body)
    if ours is not None:
        assert exact is not None
        assert same(ours, exact)


def _ours(body: bytes) -> list[Any] | None:
    try:
        return [decode.decode(body)]
    except NotReadable:
        return None


def same(one: Any, other: Any) -> bool:
    """Equal, of the same types, with keys in the same order, and zeros of the same sign. Does not recurse."""
    pairs = [(one, other)]
    while pairs:
        one, other = pairs.pop()
        if type(one) is not type(other):
            return False
        if isinstance(one, dict):
            if list(one) != list(other):
                return False
            pairs += zip(one.values(), other.values(), strict=True)
        elif isinstance(one, list):
            if len(one) != len(other):
                return False
            pairs += zip(one, other, strict=True)
        elif one != other or (isinstance(one, float) and math.copysign(1, one) != math.copysign(1, other)):
            return False
    return True


class Oracle:
    """The collecting path in this process: every door, with each kind of key."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._numbers = itertools.count()

    def __enter__(self) -> Oracle:
        self._house = self._runner.run(build_house())
        self._house.collect.sink = StrictSink()
        self._protocol_runner = ProtocolRunner(self._house.collect, limits=LIMITS, deadline=5.0, metrics=Metrics())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.close()

    def judge(self, body: bytes) -> None:
        """Sends these bytes through every door."""
        check_decoders(body)
        self._runner.run(self._judge(body))

    async def _judge(self, body: bytes) -> None:
        for key, media in itertools.product((self._house.browser_key, self._house.server_key), _MEDIA):
            if media != "application/x-ndjson":
                self._check(await self._protocol_runner.answer(EVENTS, self._request(body, key, media)), batch=False)
            self._check(await self._protocol_runner.answer(BATCH, self._request(body, key, media)), batch=True)
        for packed in (body, gzip.compress(body, 1, mtime=0)):
            request = self._request(packed, self._house.browser_key, "application/json", gzip=True)
            self._check(await self._protocol_runner.answer(EVENTS, request), batch=False)
        dry = self._request(body, self._house.server_key, "application/json", query="dry_run=1")
        self._check(await self._protocol_runner.answer(EVENTS, dry), batch=False)
        self._check_picture(await self._protocol_runner.answer(PIXEL, self._asked(body)))
        alone = self._request(body, None, "text/plain")
        self._check(await self._protocol_runner.answer(EVENTS, alone), batch=False)

    def _request(self, body: bytes, key: str | None, media: str, *, gzip: bool = False, query: str = "") -> Request:
        headers = HTTPHeaders({"Content-Type": media})
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        if gzip:
            headers["Content-Encoding"] = "gzip"
        clock = self._house.clock
        return Request(
            id=f"fuzz-{next(self._numbers)}",
            method="POST",
            path="/",
            query=query,
            headers=headers,
            client=Client("127.0.0.1", "127.0.0.1"),
            memory=Reservation(MemoryBudget(2**30)),
            body=body,
            received_at=clock.now(),
            monotonic=clock.monotonic(),
        )

    def _asked(self, body: bytes) -> Request:
        """The bytes as a query string, behind a good key."""
        request = self._request(b"", None, "", query=f"k={self._house.browser_key}&{body.decode('latin-1')}")
        request.method = "GET"
        return request

    def _check_picture(self, response: Response) -> None:
        headers = dict(response.headers)
        assert (response.status, response.content_type) == (200, "image/gif")
        outcome = Outcome(headers["X-Catchment-Outcome"])
        assert (outcome is Outcome.REFUSED) == ("X-Catchment-Reason" in headers)

    def _check(self, response: Response, *, batch: bool) -> None:
        """An answer is one of those that are described."""
        assert response.status in _STATUSES
        assert response.status < 500
        said = json.loads(response.body.decode("utf-8"))
        headers = dict(response.headers)
        if response.status != 200:
            assert Reason(said["code"]) in _BY_THE_SENDER
            assert STATUS_OF[Reason(said["code"])] == said["status"] == response.status
            assert headers["X-Catchment-Outcome"] == "refused"
            return
        results = said["results"] if batch else [said]
        assert headers["X-Catchment-Outcome"] == ("batch" if batch else said["outcome"])
        for index, result in enumerate(results):
            assert result.get("index", 0) == index
            outcome = Outcome(result["outcome"])
            if outcome is Outcome.REFUSED:
                assert Reason(result["reason"]) in _BY_THE_SENDER
            elif outcome is Outcome.STORED:
                assert result["event_id"]
                assert result["session_id"]
            assert len(result["warnings"]) <= LIMITS.warnings
            for warning in result["warnings"]:
                assert WarningCode(warning["code"])


def good_event() -> dict[str, Any]:
    """An event that is stored: what fuzzers start from."""
    return {
        "event_name": "SignUp",
        "url": PAGE,
        "event_data": {"category": "CTA", "value": 1.5, "list": [1, {"a": "b"}]},
    }

"""Whatever bytes come in, an outcome goes out; and whichever parser reads them, it reads the same."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from catchment.adapters.http.answers import STATUS_OF
from catchment.adapters.http.engine.addresses import Client
from catchment.adapters.http.engine.memory import MemoryBudget, Reservation
from catchment.adapters.http.engine.message import Request, Response
from catchment.adapters.http.protocols import decode as decoding
from catchment.adapters.http.protocols.bodies import read_batch, read_event, read_lines
from catchment.adapters.http.protocols.decode import decode, decode_exact, sizes_of, unpack
from catchment.adapters.http.protocols.native import Batch, Events
from catchment.adapters.http.protocols.not_readable import NotReadable, TooLarge
from catchment.adapters.http.protocols.wire_protocol import Sent
from catchment.core.collecting.submission import Unreadable
from catchment.core.event import KNOWN_FIELDS
from catchment.core.limits import Limits
from catchment.core.refusals import Reason

from .serving import ORIGIN, PAGE, Site

# JSON, and what is nearly that

numbers = st.one_of(
    st.integers(),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([2**63, 2**64, -(2**63), 2**53 + 1, 1e308, 5e-324, -0.0]),
)
texts = st.one_of(st.text(max_size=20), st.text(st.characters(), max_size=5))
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
punctuation = ["[", "]", "{", "}", ",", ":", '"', "\\", " ", "\n", "-", ".", "+", "e", "E", "0", "1"]
words = ["true", "null", "NaN", '"a"', r"\u0000", r"\ud800", r"\udc00", "1e999", "7" * 30]
odd_letters = ["\ufeff", "\x00", "\x7f", "\xa0", "é", "\U0001f4a7"]
pieces = st.sampled_from([*punctuation, *words, *odd_letters])
nearly_json = st.lists(pieces, max_size=12).map("".join)

CLIENT = Client("127.0.0.1", "127.0.0.1")


@st.composite
def written(draw: st.DrawFn) -> str:
    """A value's JSON, written one way or another, and perhaps with a character changed."""
    value = draw(values)
    text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    if text and draw(st.booleans()):
        at = draw(st.integers(0, len(text) - 1))
        text = text[:at] + draw(pieces | st.just("")) + text[at + draw(st.integers(0, 2)) :]
    return text


json_texts = st.one_of(written(), nearly_json)


def same(one: object, other: object) -> bool:
    """Whether two values are the same, their types and the order of their keys too."""
    return repr(one) == repr(other)


@given(json_texts)
@example("123456789012345678901234567890")
@example('{"a": 1, "b": 2, "a": 3}')
@example("-0")
@example("-0.0")
@example("1E5")
@example("9007199254740993.0")
@example('"\\ud83d\\ude00"')
@example("[1] ")
def test_whenever_the_fast_parser_reads_a_text_the_exact_one_reads_the_same(text: str) -> None:
    try:
        fast = decoding._decode_fast(text)
    except Exception:
        return
    assert same(fast, decode_exact(text))


def why_not(read: Callable[..., object], *arguments: object) -> str | None:
    """Why something can't be read; None where it can."""
    try:
        read(*arguments)
    except NotReadable as error:
        return str(error)
    return None


@given(json_texts)
@example("[NaN]")
@example("1e999")
@example("-1e999")
@example('"\\ud800"')
@example("[" * 10_000)
@example("[" * 70 + "]" * 70)
@example("7" * 5000)
def test_a_text_is_read_or_it_is_said_why_not(text: str) -> None:
    why = why_not(decode, text.encode(errors="surrogatepass"))
    assert why is None or 0 < len(why) < 200


@given(st.binary(max_size=64))
@example(b"\xed\xa0\x80")
@example(b"\xff\xfe[\x00]\x00")
def test_bytes_are_read_or_it_is_said_why_not(body: bytes) -> None:
    assert why_not(decode, body) != ""


@given(values)
def test_what_was_written_is_what_is_read(value: object) -> None:
    text = json.dumps(value)
    assert same(decode(text.encode()), json.loads(text))


@given(st.binary(max_size=200), st.integers(0, 300))
def test_what_was_packed_is_unpacked_within_the_limit(body: bytes, limit: int) -> None:
    packed = gzip.compress(body)
    if len(body) <= limit:
        assert unpack(packed, limit) == body
    else:
        with pytest.raises(TooLarge):
            unpack(packed, limit)


@given(st.binary(max_size=100), st.data())
def test_broken_gzip_is_never_taken_for_something_else(body: bytes, data: st.DataObject) -> None:
    packed = bytearray(gzip.compress(body))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(NotReadable):
        assert unpack(bytes(packed), 1000) == body


@given(st.lists(values, max_size=5), st.booleans(), st.sampled_from(["", " ", "\n\t"]))
def test_the_sizes_of_a_batch_s_events_are_those_of_their_bytes(events: list[Any], envelope: bool, blank: str) -> None:
    written_events = [json.dumps(event) for event in events]
    array = f"[{blank}" + f"{blank},{blank}".join(written_events) + f"{blank}]"
    text = f'{{"sentAt": [1], "events":{blank}{array}, "more": "events"}}' if envelope else array
    sizes = sizes_of(text.encode(), events)
    assert len(sizes) == len(events)
    if not re.search("[\ud800-\udfff]", json.dumps(events, ensure_ascii=False)):  # a lone one: sizes are estimates
        assert sizes == [len(event) for event in written_events]


@pytest.mark.parametrize("reader", [read_event, read_batch, read_lines])
@given(body=st.one_of(st.binary(max_size=64), json_texts.map(lambda text: text.encode(errors="surrogatepass"))))
def test_a_body_is_read_or_it_is_said_why_not(reader: Callable[[bytes, Limits], Sent], body: bytes) -> None:
    limits = Limits(body_bytes=20)
    why = why_not(reader, body, limits)
    assert why != ""
    if why is None:
        found = reader(body, limits)
        assert found.key is None or isinstance(found.key, str)
        refusals = [payload.refusal.reason for payload in found.payloads if isinstance(payload, Unreadable)]
        assert set(refusals) <= {Reason.INVALID_JSON, Reason.TOO_LARGE}


# through the use case


class Setting:
    """A site without a socket."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.site = Site()
        loop.run_until_complete(self.site.set_up())

    def post(self, path: str, body: bytes, **headers: str) -> Response:
        named = HTTPHeaders({name.replace("_", "-"): value for name, value in headers.items()})
        request = Request(
            "r-1",
            "POST",
            path,
            "",
            named,
            CLIENT,
            Reservation(MemoryBudget(10**9)),
            body,
            received_at=self.site.clock.now(),
        )
        request.monotonic = self.site.clock.monotonic()
        protocol = Events(self.site.limits) if path == "/v1/events" else Batch(self.site.limits)
        return self.loop.run_until_complete(self.site.protocol_runner.answer(protocol, request))


def check(setting: Setting, response: Response, stored_before: int) -> None:
    """What holds of every answer, and of what was stored."""
    headers = dict(response.headers)
    body = json.loads(response.body)
    stored = len(setting.site.storage.events) - stored_before
    assert headers["X-Catchment-Outcome"]
    if response.status != 200:
        assert response.content_type == "application/problem+json"
        assert STATUS_OF[Reason(body["code"])] == response.status
        assert response.status != 503
        assert stored == 0
    elif "results" in body:
        assert [result["index"] for result in body["results"]] == list(range(len(body["results"])))
        for name in ("stored", "duplicate", "filtered", "refused"):
            assert body[name] == sum(1 for result in body["results"] if result["outcome"] == name)
        assert stored == body["stored"]
    else:
        assert stored == (body["outcome"] == "stored")


medias = st.sampled_from(["application/json", "text/plain", "application/x-ndjson", "text/html", ""])
encodings = st.sampled_from(["identity", "identity", "identity", "gzip", "br"])
bodies = st.one_of(st.binary(max_size=64), json_texts.map(lambda text: text.encode(errors="surrogatepass")))


@pytest.fixture(scope="module")
def setting() -> Iterator[Setting]:
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        yield Setting(loop)


@given(st.sampled_from(["/v1/events", "/v1/batch"]), bodies, medias, encodings, st.booleans(), st.booleans())
def test_whatever_comes_in_an_outcome_goes_out(
    setting: Setting, path: str, body: bytes, media: str, encoding: str, packed: bool, authorized: bool
) -> None:
    before = len(setting.site.storage.events)
    headers = {"Content_Type": media, "Content_Encoding": encoding, "Origin": ORIGIN}
    if authorized:
        headers["Authorization"] = f"Bearer {setting.site.browser_key}"
    response = setting.post(path, gzip.compress(body) if packed else body, **headers)
    check(setting, response, before)


field_names = st.sampled_from(sorted(KNOWN_FIELDS - {"projectKey"})) | texts
odd_events = st.dictionaries(field_names, values, max_size=6)


@given(st.lists(odd_events, max_size=4), st.booleans(), st.booleans(), values)
def test_whatever_the_fields_hold_every_event_has_its_outcome(
    setting: Setting, odd: list[dict[str, object]], server: bool, whole: bool, sent_at: object
) -> None:
    site = setting.site
    key = site.server_key if server else site.browser_key
    events = [{**({"event_name": "A", "url": PAGE} if whole else {}), **event} for event in odd]
    body = json.dumps({"projectKey": key, "sentAt": sent_at, "events": events}).encode()
    before = len(site.storage.events)
    response = setting.post("/v1/batch", body, Content_Type="application/json")
    assert response.status == 200
    assert len(json.loads(response.body)["results"]) == len(events)
    check(setting, response, before)
    for event in site.storage.events[before:]:
        kept = [event.data, event.name, event.event_id, event.session_id, event.url, event.page_title, event.user_id]
        text = json.dumps(kept, ensure_ascii=False).encode()  # fails where half a surrogate pair is left
        assert b"\\u0000" not in text


def test_a_million_lines_take_no_memory_before_they_are_refused() -> None:
    body = b"11\n" * 700_000
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match="more than 1000 events"):
            read_lines(body, Limits())
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()

"""Bodies: their media types, encodings, sizes, and everything that is no JSON."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
import zlib
from datetime import timedelta
from typing import Any

import pytest

from catchment.adapters.http.protocols import native
from catchment.adapters.http.protocols.not_readable import NotReadable
from catchment.adapters.http.protocols.wire_protocol import Sent
from catchment.core.limits import Limits

from ..support.waiting import eventually
from .serving import Answer, MakeSite, Site, check_batch, check_problem, check_receipt, request

pytestmark = pytest.mark.gen_test
KIB = 1024


@pytest.mark.parametrize(
    "media",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        "application/json; charset=UTF-8",
        'application/json; charset="UTF8"',
        "application/json; charset=us-ascii",
        "text/plain",
        "text/plain;charset=UTF-8",
        "text/plain; format=flowed",
    ],
)
async def test_json_and_text_are_read_in_utf_8(site: Site, media: str) -> None:
    event = site.event(page_title="Kaffee für Zoë \U0001f4a7")
    body = json.dumps(event, ensure_ascii=False).encode()
    check_receipt(await site.post(body, Content_Type=media), "stored")
    assert site.storage.events[0].page_title == "Kaffee für Zoë \U0001f4a7"


@pytest.mark.parametrize(
    "media",
    [
        "",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/html",
        "application/jsonp",
        "application/json; charset=iso-8859-1",
        "text/plain; charset=utf-16",
        "*/*",
    ],
)
async def test_other_media_types_and_charsets_are_not_read(site: Site, media: str) -> None:
    check_problem(await site.post(site.event(), Content_Type=media), 415, "unsupported_media_type")
    assert site.storage.events == []


async def test_a_body_without_a_media_type_is_not_read(site: Site) -> None:
    check_problem(await site.ask("POST", "/v1/events", b"{}"), 415, "unsupported_media_type")


async def test_what_is_no_json_is_said_before_the_key_is_looked_up(site: Site) -> None:
    check_problem(await site.post(json.dumps(site.event()).encode() + b"}"), 400, "invalid_json")
    assert site.projects.asked == 0


BAD_SYNTAX = {
    "empty": b"",
    "blank": b" \r\n\t ",
    "cut": b'{"event_name": "A"',
    "trailing": b'{"event_name": "A"} 1',
    "single quotes": b"{'event_name': 'A'}",
    "comment": b'{"event_name": "A" /* why */}',
    "trailing comma": b'{"event_name": "A",}',
    "leading zero": b'{"event_data": {"v": 01}}',
    "plus": b'{"event_data": {"v": +1}}',
    "bare decimal": b'{"event_data": {"v": .5}}',
    "control character": b'{"event_name": "A\x01"}',
    "newline in a text": b'{"event_name": "A\nB"}',
    "NUL byte": b'{"event_name": "A"}\x00',
    "BOM": b'\xef\xbb\xbf{"event_name": "A"}',
    "UTF-16": '{"event_name": "A"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"event_name": "A"}'.encode("utf-16-le"),
    "UTF-32": '{"event_name": "A"}'.encode("utf-32"),
    "invalid UTF-8": b'{"event_name": "\xff"}',
    "overlong UTF-8": b'{"event_name": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"event_name": "\xed\xa0\x80"}',
    "NaN": b'{"event_data": {"v": NaN}}',
    "Infinity": b'{"event_data": {"v": -Infinity}}',
    "null": b"null",
    "a text": b'"event"',
    "a number": b"7",
    "an array": b"[{}]",
    "deep": b'{"event_data": ' + b"[" * 65 + b"]" * 65 + b"}",
    "very deep": b"[" * 30_000,
    "very deep, closed": b"[" * 30_000 + b"]" * 30_000,
    "bad escape": rb'{"event_name": "\x41"}',
    "form feed": b'\x0c{"event_name": "A"}',
}


@pytest.mark.parametrize("body", BAD_SYNTAX.values(), ids=BAD_SYNTAX.keys())
async def test_bad_syntax_is_invalid_json_and_the_next_good_event_is_stored(site: Site, body: bytes) -> None:
    check_problem(await site.post(body), 400, "invalid_json")
    check_receipt(await site.post(site.event()), "stored")


async def test_sixty_four_levels_are_read(site: Site) -> None:
    event = json.dumps(site.event(event_data={"v": 0})).replace('"v": 0', '"v": ' + "[" * 62 + "]" * 62)
    check_receipt(await site.post(event.encode()), "stored")


async def test_a_megabyte_of_arrays_is_answered(site: Site) -> None:
    body = b"[" + b"[]," * 349_000 + b"[]]"
    check_problem(await site.batch(body), 400, "invalid_json")


async def test_a_body_of_too_many_values_is_refused_before_they_are_made(site: Site) -> None:
    """Two kilobytes on the wire. Half a surrogate pair would have sent all of it through the slower parser, twice."""
    body = b'{"events": [{"a": [' + b"[]," * 600_000 + rb'"\ud800"]}]}'
    answer = await site.batch(gzip.compress(body), Content_Encoding="gzip")
    problem = check_problem(answer, 400, "invalid_json")
    assert "values" in problem["detail"]
    check_receipt(await site.post(site.event()), "stored")


BAD_NUMBERS = {
    "1e400": "1e400",
    "-1e400": "-1e400",
    "1e131071": "1e131071",
    "5000 digits": "7" * 5000,
}


@pytest.mark.parametrize("number", BAD_NUMBERS.values(), ids=BAD_NUMBERS.keys())
async def test_a_number_out_of_range_is_said_at_its_field(site: Site, number: str) -> None:
    body = json.dumps(site.event(event_data={"a": {"b": [0]}})).replace("[0]", f"[{number}]").encode()
    problem = check_problem(await site.post(body), 400, "invalid_event", "errors")
    assert set(problem["errors"]) == {"event_data.a.b[0]"}


async def test_a_key_twice_counts_as_its_last(site: Site) -> None:
    body = json.dumps(site.event(event_name="B")).replace("{", '{"event_name": "A", ', 1).encode()
    check_receipt(await site.post(body), "stored")
    assert site.storage.events[0].name == "B"


@pytest.mark.parametrize("bad", [r"\u0000", r"\ud800", r"\udc00\ud800", r"\udfff"])
async def test_what_breaks_jsonb_is_replaced_and_said(site: Site, bad: str) -> None:
    body = json.dumps(site.event(event_data={"key": ["value"]})).replace("key", f"k{bad}").replace("value", f"v{bad}")
    receipt = check_receipt(await site.post(body.encode()), "stored")
    assert {warning["code"] for warning in receipt["warnings"]} == {"characters_replaced"}
    halves = bad.count("\\")
    assert site.storage.events[0].data == {"k" + "\ufffd" * halves: ["v" + "\ufffd" * halves]}


async def test_a_pair_of_surrogates_is_one_character(site: Site) -> None:
    body = json.dumps(site.event(page_title="\U0001f4a7")).encode()
    assert b"\\ud83d\\udca7" in body
    assert check_receipt(await site.post(body), "stored")["warnings"] == []
    assert site.storage.events[0].page_title == "\U0001f4a7"


# gzip


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", " gzip "])
async def test_gzip_is_unpacked(site: Site, encoding: str) -> None:
    body = gzip.compress(json.dumps(site.event()).encode())
    check_receipt(await site.post(body, Content_Encoding=encoding), "stored")


@pytest.mark.parametrize("encoding", ["identity", ""])
async def test_identity_is_plain(site: Site, encoding: str) -> None:
    check_receipt(await site.post(site.event(), Content_Encoding=encoding), "stored")


@pytest.mark.parametrize(("path", "limit"), [("/v1/events", 64 * KIB), ("/v1/batch", 2 * KIB * KIB)])
async def test_a_gzip_bomb_is_too_large(site: Site, path: str, limit: int) -> None:
    bomb = gzip.compress(b" " * (40 * KIB * KIB))
    assert len(bomb) < 64 * KIB
    check_problem(await site.post(bomb, path, Content_Encoding="gzip"), 413, "too_large")
    edge = gzip.compress(b" " * limit)
    check_problem(await site.post(edge, path, Content_Encoding="gzip"), 400, "invalid_json")


BROKEN = gzip.compress(b'{"event_name": "A"}')
BAD_GZIP = {
    "plain": b'{"event_name": "A"}',
    "empty": b"",
    "cut": BROKEN[:-6],
    "cut in its header": BROKEN[:5],
    "checksum": BROKEN[:-8] + b"\x00\x00\x00\x00" + BROKEN[-4:],
    "trailing": BROKEN + b"more",
    "two members": BROKEN + BROKEN,
    "zlib": zlib.compress(b'{"event_name": "A"}'),
}


@pytest.mark.parametrize("body", BAD_GZIP.values(), ids=BAD_GZIP.keys())
async def test_broken_gzip_is_invalid_json(site: Site, body: bytes) -> None:
    check_problem(await site.post(body, Content_Encoding="gzip"), 400, "invalid_json")
    check_receipt(await site.post(site.event()), "stored")


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "x"])
async def test_other_encodings_are_not_read(site: Site, encoding: str) -> None:
    problem = check_problem(await site.post(b"x", Content_Encoding=encoding), 415, "unsupported_media_type")
    assert "gzip" in problem["detail"]


# sizes


def padded(site: Site, size: int) -> bytes:
    body = json.dumps(site.event()).encode()
    return body + b" " * (size - len(body))


async def test_64_kib_are_the_limit_of_one_event(site: Site) -> None:
    check_receipt(await site.post(padded(site, 64 * KIB)), "stored")
    check_problem(await site.post(padded(site, 64 * KIB + 1)), 413, "too_large")


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in [*pieces, b""])


@pytest.mark.parametrize("size", [1, 7, 1000, 64 * KIB])
async def test_a_body_may_come_in_chunks(site: Site, size: int) -> None:
    body = json.dumps(site.event()).encode()
    answer = await site.post(chunked(body, size), Transfer_Encoding="chunked")
    check_receipt(answer, "stored")


@pytest.mark.parametrize("size", [64 * KIB + 1, 3 * KIB * KIB])
@pytest.mark.parametrize("how", ["length", "chunks"])
async def test_too_large_can_be_read_by_a_client_that_sends_it_all(site: Site, how: str, size: int) -> None:
    """The answer comes after the last byte: a connection that is closed on unread data is reset."""
    wire = await site.connect()
    body = padded(site, size)
    headers = [("Content-Type", "application/json"), ("Origin", "https://shop.example")]
    if how == "chunks":
        headers.append(("Transfer-Encoding", "chunked"))
        body = chunked(body, 16 * KIB)
    await wire.send(request("POST", "/v1/events", body, headers))
    check_problem(await wire.answer(), 413, "too_large")
    await wire.send(request("POST", "/v1/events", json.dumps(site.event()).encode(), headers[:2]))
    check_receipt(await wire.answer(), "stored")
    wire.close()


async def test_a_body_that_is_said_to_be_huge_is_answered_at_once(site: Site) -> None:
    wire = await site.connect()
    length = str(1024 * KIB * KIB)
    headers = [("Content-Type", "application/json"), ("Origin", "https://shop.example"), ("Content-Length", length)]
    await wire.send(request("POST", "/v1/events", b"", headers))
    check_problem(await wire.answer(), 413, "too_large")
    assert await wire.ended()


async def test_chunks_without_an_end_are_answered_before_they_fill_the_memory(site: Site) -> None:
    wire = await site.connect()
    headers = [("Content-Type", "application/json"), ("Origin", "https://shop.example")]
    await wire.send(request("POST", "/v1/events", b"", [*headers, ("Transfer-Encoding", "chunked")]))
    piece = chunked(b"x" * (256 * KIB), 256 * KIB)[:-5]
    for _ in range(65):
        await wire.send(piece)
    check_problem(await wire.answer(), 413, "too_large")
    wire.close()


async def test_a_body_on_an_address_where_nothing_is_gets_its_404(site: Site) -> None:
    check_problem(await site.post(b"x" * (300 * KIB), "/nowhere"), 404, "not_found")


# what is held while it comes in


def check_not_read(answer: Answer) -> None:
    """Too much at once: nothing of it was read, so no ids are named, and it is sent again as it is."""
    problem = check_problem(answer, 503, "unavailable")
    assert problem["detail"].startswith("The body was not read, and nothing of it was stored: ")


async def test_bodies_that_come_in_together_are_bounded(make_site: MakeSite) -> None:
    """Half-sent bodies fill the room; what comes then is told to come again, and the next one finds room again."""
    site = await make_site(receive_bytes=100 * KIB)
    headers = [("Content-Type", "application/json"), ("Origin", "https://shop.example")]
    half = request("POST", "/v1/events", padded(site, 60 * KIB), headers)[:-1]
    first = await site.connect()
    await first.send(half)
    await eventually(lambda: site.application.memory.held > 59 * KIB, "the first body is held")
    check_not_read(await site.post(padded(site, 60 * KIB)))
    check_receipt(await site.post(site.event()), "stored")
    await first.send(b" ")
    check_receipt(await first.answer(), "stored")
    check_receipt(await site.post(padded(site, 60 * KIB)), "stored")


async def test_no_body_is_held_after_its_end_whatever_that_was(make_site: MakeSite) -> None:
    site = await make_site(receive_bytes=100 * KIB)
    gone = await site.connect()
    headers = [("Content-Type", "application/json"), ("Origin", "https://shop.example")]
    await gone.send(request("POST", "/v1/events", padded(site, 60 * KIB), headers)[:-1])
    await eventually(lambda: site.application.memory.held > 59 * KIB, "the body is held")
    gone.close()
    for body in (padded(site, 64 * KIB + 1), padded(site, 200 * KIB), b"", b"{}", b"x" * (60 * KIB)):
        await site.post(body)
        await site.post(chunked(body, 1000), Transfer_Encoding="chunked")
        await site.batch(body)
        await site.post(body, "/nowhere")
    await eventually(lambda: not site.application.memory.held, "nothing is held")


# what is held until it is checked


async def test_what_a_body_is_in_memory_is_held_until_it_is_checked(make_site: MakeSite) -> None:
    """A look-up that takes its time holds a body's values, and a thousand such bodies would be the server's end."""
    site = await make_site(receive_bytes=100 * KIB)
    found = asyncio.Event()
    look_up = site.projects.find

    async def slow(fingerprint: bytes) -> Any:
        await found.wait()
        return await look_up(fingerprint)

    site.projects.find = slow  # type: ignore[method-assign]
    many = json.dumps(site.event(event_data={"empty": [{}] * 300})).encode()
    first = asyncio.ensure_future(site.post(many))
    await eventually(lambda: site.application.memory.held > 50_000, "the first one's values are held")
    check_not_read(await site.post(many))
    site.sink.gate.clear()
    found.set()
    await eventually(lambda: site.sink.waiting, "the first one waits to be stored")
    assert site.application.memory.held == 0
    site.sink.gate.set()
    check_receipt(await first, "stored")


async def test_large_bodies_leave_room_for_small_ones(make_site: MakeSite) -> None:
    site = await make_site(receive_bytes=2 * 1024 * KIB)
    headers = [("Content-Type", "application/json"), ("Origin", "https://shop.example")]
    for _ in range(3):
        half_sent = await site.connect()
        await half_sent.send(request("POST", "/v1/batch", padded(site, 900 * KIB), headers)[:-1])
    await eventually(lambda: site.application.memory.held > 800 * KIB, "one of them found room")
    check_not_read(await site.batch(padded(site, 900 * KIB)))
    assert site.application.memory.held < 1024 * KIB
    check_receipt(await site.post(padded(site, 60 * KIB)), "stored")


async def test_a_batch_that_waits_for_three_quarters_of_its_time_is_not_even_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of many that came together would be late after all its work."""
    read = native.read_batch

    def slowly(body: bytes, limits: Limits) -> Sent:
        site.clock.advance(timedelta(seconds=site.protocol_runner._deadline * 0.3))
        return read(body, limits)

    monkeypatch.setattr(native, "read_batch", slowly)
    wires = [await site.connect() for _ in range(6)]
    async with contextlib.AsyncExitStack() as slots:
        for _ in range(64):
            job = site.protocol_runner._collect.scheduler.job(arrived=0, deadline=60)
            await slots.enter_async_context(site.protocol_runner._collect.slots.acquire(job))
        for wire in wires:
            await wire.send(batch_request(site))
        await eventually(lambda: site.application.in_flight == len(wires), "all of them came")
        check_receipt(await site.post(site.event()), "stored")
    answers = [await wire.answer() for wire in wires]
    for answer in answers[:3]:
        check_batch(answer, ("stored", None))
    for answer in answers[3:]:
        check_not_read(answer)
    assert site.application.memory.held == 0


@pytest.mark.parametrize("good", [True, False])
async def test_many_batches_that_come_together_leave_others_their_turn(
    site: Site, good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches that take long to read are not read one straight after the other: what comes meanwhile is answered."""
    read = native.read_batch
    done: list[str] = []

    def slowly(body: bytes, limits: Limits) -> Sent:
        done.append("batch")
        time.sleep(0.02)
        site.clock.advance(timedelta(seconds=0.02))
        if good:
            return read(body, limits)
        raise NotReadable("it is none")

    async def alone() -> None:
        await eventually(lambda: "batch" in done, "the batches are being read")
        check_receipt(await site.post(site.event()), "stored")
        done.append("alone")

    monkeypatch.setattr(native, "read_batch", slowly)
    wires = [await site.connect() for _ in range(40)]
    posted = asyncio.ensure_future(alone())
    for wire in wires:
        await wire.send(batch_request(site))
    await posted
    assert done.index("alone") < len(wires) // 2, done
    for wire in wires:
        assert (await wire.answer()).status == (200 if good else 400)


def batch_request(site: Site) -> bytes:
    headers = [("Content-Type", "application/json"), ("Origin", "https://shop.example")]
    return request("POST", "/v1/batch", json.dumps([site.event()]).encode(), headers)

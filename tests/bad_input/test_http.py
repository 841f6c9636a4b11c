"""Bad requests around good events: sizes, encodings, media types, headers, and whose address it is."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import pytest

from ..support.database import Server
from .rows import Row, check_common, check_problem, check_refused, check_stored, event, table
from .serving import CANARY, AuditedCollector, collector
from .wire import Header, chunked, request

KIB = 1024
GZIP = ("Content-Encoding", "gzip")
CHUNKED = ("Transfer-Encoding", "chunked")


def padded(size: int) -> bytes:
    return event() + b" " * (size - len(event()))


# Too large


@pytest.mark.parametrize("path", ["/v1/events", "/v1/batch"])
@pytest.mark.parametrize("over", [1, 1 * KIB * KIB, 8 * KIB * KIB])
@pytest.mark.parametrize("how", ["length", "chunked"])
def test_what_is_too_large_is_told_so_and_the_connection_goes_on(
    site: AuditedCollector, path: str, over: int, how: str
) -> None:
    body = padded((64 * KIB if path == "/v1/events" else 2 * KIB * KIB) + over)
    changes: list[Header] = []
    if how == "chunked":
        changes, body = [CHUNKED], chunked(body, 16 * KIB)
    check_refused(site, Row(name=how, body=body, path=path, headers=tuple(changes), code="too_large", status=413))


@pytest.mark.parametrize("length", ["17000000", "1000000000000", "9223372036854775808", "9" * 100])
def test_what_is_said_to_be_huge_is_told_so_before_it_is_sent(site: AuditedCollector, length: str) -> None:
    with site.wire() as wire:
        wire.send(request("/v1/events", b'{"event_name"', site.headers(("Content-Length", length))))
        check_problem(wire.answer(), 413, "too_large")
        site.check_after(wire)


def test_chunks_without_an_end_are_told_so_before_they_fill_the_memory(site: AuditedCollector) -> None:
    before = site.most_memory()
    with site.wire() as wire:
        wire.send(request("/v1/events", b"", site.headers(CHUNKED)))
        piece = chunked(b"x" * (256 * KIB), 256 * KIB).removesuffix(b"0\r\n\r\n")
        for _ in range(70):
            wire.send(piece)
        check_problem(wire.answer(), 413, "too_large")
        site.check_after(wire)
    assert site.most_memory() - before < 8 * KIB * KIB


def test_the_largest_event_there_may_be_is_stored(site: AuditedCollector) -> None:
    with site.wire() as wire:
        check_stored(site.ask(wire, padded(64 * KIB)))
        check_stored(site.ask(wire, chunked(padded(64 * KIB), 1000), CHUNKED))
        site.check_after(wire)


def test_an_event_of_a_batch_that_is_too_large_costs_itself_alone(site: AuditedCollector) -> None:
    large = event(event_data={"v": [CANARY * 10] * 700})
    assert len(large) > 64 * KIB
    lines = ("Content-Type", "application/x-ndjson")
    with site.wire() as wire:
        for body, changes in ((b"[%s,%s,%s]", ()), (b"%s\n%s\n%s", (lines,))):
            answer = check_common(site.ask(wire, body % (event(), large, event()), *changes, path="/v1/batch"))
            told = [(result["outcome"], result.get("reason")) for result in answer.json["results"]]
            assert told == [("stored", None), ("refused", "too_large"), ("stored", None)]
        site.check_after(wire)


# Encodings

PACKED = gzip.compress(event(), mtime=0)
BAD_GZIP = {
    "not packed": event(),
    "empty": b"",
    "cut off": PACKED[:-9],
    "without its checksum": PACKED[:-8],
    "cut off in its header": PACKED[:5],
    "a wrong checksum": PACKED[:-8] + b"\x00" * 4 + PACKED[-4:],
    "a wrong size": PACKED[:-4] + b"\xff" * 4,
    "a broken middle": PACKED[:30] + b"\xff" * 10 + PACKED[40:],
    "something after it": PACKED + b"more",
    "two members": PACKED + PACKED,
    "packed twice": gzip.compress(PACKED),
    "zlib": zlib.compress(event()),
    "raw deflate": zlib.compress(event())[2:-4],
    "not JSON inside": gzip.compress(b"{" + CANARY.encode()),
    "a reserved flag": PACKED[:3] + b"\xe0" + PACKED[4:],
}


@table(Row(name=name, body=body, headers=(GZIP,)) for name, body in BAD_GZIP.items())
def test_broken_gzip_is_refused(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


@pytest.mark.parametrize(("path", "megabytes"), [("/v1/events", 50), ("/v1/batch", 100)])
def test_a_bomb_is_too_large(site: AuditedCollector, path: str, megabytes: int) -> None:
    bomb = gzip.compress(b" " * (megabytes * KIB * KIB))
    assert len(bomb) < megabytes * 2 * KIB
    before = site.most_memory()
    check_refused(site, Row(name="bomb", body=bomb, path=path, headers=(GZIP,), code="too_large", status=413))
    assert site.most_memory() - before < megabytes * KIB * KIB / 2, "it was unpacked before it was refused"


@table(
    Row(
        name=encoding,
        body=event(),
        headers=(("Content-Encoding", encoding),),
        code="unsupported_media_type",
        status=415,
    )
    for encoding in ("br", "deflate", "zstd", "compress", "gzip, gzip", "br, gzip", CANARY, "gzip;q=1")
)
def test_other_encodings_are_not_read(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


FORM = "application/x-www-form-urlencoded"
MEDIA = {
    "a form": FORM,
    "a form with a charset": f"{FORM}; charset=utf-8",
    "a form of many parts": "multipart/form-data; boundary=x",
    "a form of many parts without a boundary": "multipart/form-data",
    "HTML": "text/html",
    "JSON with a suffix": "application/vnd.api+json",
    "lines, for one event": "application/x-ndjson",
    "another charset": "application/json; charset=iso-8859-1",
    "UTF-16": "text/plain; charset=utf-16",
    "bytes": "application/octet-stream",
    "anything": "*/*",
    "two": "application/json, text/html",
    "a word": CANARY,
    "nothing": "",
}


@table(
    Row(name=name, body=event(), headers=(("Content-Type", media),), code="unsupported_media_type", status=415)
    for name, media in MEDIA.items()
)
def test_other_media_types_are_not_read(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


PART = b'--x\r\nContent-Disposition: form-data; name="event"; filename="a"\r\n\r\n'


@table(
    Row(name=name, body=body, headers=(("Content-Type", media),), code="unsupported_media_type", status=415)
    for name, media, body in (
        ("URL-encoded", FORM, b"event_name=" + CANARY.encode()),
        ("30,000 fields", FORM, b"a=1&" * 15_000),
        ("a part", "multipart/form-data; boundary=x", PART + event() + b"\r\n--x--\r\n"),
        ("a part that never ends", "multipart/form-data; boundary=x", PART + event()),
        ("a boundary of 4 KB", "multipart/form-data; boundary=" + "x" * 4096, event()),
    )
)
def test_forms_are_not_parsed(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


def test_without_a_media_type_nothing_is_read(site: AuditedCollector) -> None:
    check_refused(
        site,
        Row(name="x", body=event(), headers=(("Content-Type", None),), code="unsupported_media_type", status=415),
    )


# HTTP that is malformed: here Tornado answers, with a bare 400 or by closing; nothing after it is taken for a request.

POST = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nOrigin: https://good.com\r\n"
MALFORMED = {
    "both lengths": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other way round": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}    ",
    "two lengths in one": POST + b"Content-Length: 5, 6\r\n\r\n{}    ",
    "a length below zero": POST + b"Content-Length: -1\r\n\r\n{}",
    "a length with a sign": POST + b"Content-Length: +2\r\n\r\n{}",
    "a length in hexadecimal": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "a length with an underscore": POST + b"Content-Length: 1_0\r\n\r\n{}        ",
    "a length that is a word": POST + b"Content-Length: " + CANARY.encode() + b"\r\n\r\n{}",
    "a length in superscript": POST + b"Content-Length: \xb2\r\n\r\n{}",
    "a length of 5,000 digits": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
    "5,000 digits and chunks": POST + b"Content-Length: " + b"9" * 5000 + b"\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a huge length and chunks": POST + b"Content-Length: 99999999\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another transfer encoding": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "two transfer encodings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an odd chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a chunk's size that is none": POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
    "a chunk's size below zero": POST + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a chunk's size of 60 digits": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 60 + b"\r\n{}",
    "a chunk's size of 5,000 digits": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 5000 + b"\r\n{}",
    "a chunk longer than its size": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "a header without a colon": POST + CANARY.encode() + b"\r\n\r\n",
    "a header with a blank before its colon": POST + b"Content-Length : 2\r\n\r\n{}",
    "a header with an odd name": POST + b"X (" + CANARY.encode() + b"): 1\r\n\r\n",
    "a header with NUL": POST + b"User-Agent: a\x00" + CANARY.encode() + b"\r\n\r\n",
    "a header with ESC": POST + b"User-Agent: \x1b[31m" + CANARY.encode() + b"\r\n\r\n",
    "an Origin with NUL": POST.replace(b"good.com", b"good.com\x00") + b"\r\n",
    "headers of 20 KB": POST + b"X-Padding: " + b"x" * 20_000 + b"\r\n\r\n",
    "headers without an end": POST + b"X-Padding: x\r\n" * 2000,
    "another version": POST.replace(b"HTTP/1.1", b"HTTP/3.7") + b"\r\n",
    "no version": POST.replace(b" HTTP/1.1", b"") + b"\r\n",
    "an odd method": POST.replace(b"POST", b"P@ST\x01") + b"\r\n",
    "a blank in the path": POST.replace(b"/v1/events", b"/v1/ events") + b"\r\n",
    "a control character in the path": POST.replace(b"/v1/events", b"/v1/\x01events") + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + CANARY.encode() * 50 + b"\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "JSON": event() + b"\r\n\r\n",
    "a blank line": b"\r\n\r\n",
    "HTTP/1.0 with chunks": POST.replace(b"HTTP/1.1", b"HTTP/1.0")
    + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two hosts": POST + b"Host: localhost\r\nContent-Length: 2\r\n\r\n{}",
    "two other hosts": POST + b"HOST: elsewhere\r\nContent-Length: 2\r\n\r\n{}",
    "two hosts of an old client": POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Host: elsewhere\r\n\r\n",
    "two hosts in one": POST.replace(b"localhost", b"localhost, elsewhere") + b"Content-Length: 2\r\n\r\n{}",
    "a path in the host": POST.replace(b"localhost", b"localhost/x") + b"Content-Length: 2\r\n\r\n{}",
    "no host": POST.replace(b"Host: localhost\r\n", b"") + b"Content-Length: 2\r\n\r\n{}",
    "a header whose line ends with LF": POST + b"X: a\nContent-Length: 2\r\n\r\n{}",
    "a length after LF": POST + b"Content-Length: 2\r\nX: a\nContent-Length: 200\r\n\r\n{}",
    "a start line that ends with LF": POST.replace(b"\r\n", b"\n", 1) + b"Content-Length: 2\r\n\r\n{}",
    "a start line that ends with CR CR LF": POST.replace(b"\r\n", b"\r\r\n", 1) + b"Content-Length: 2\r\n\r\n{}",
    "headers that end with LF LF": POST + b"X: \r\n\r\n".replace(b"\r\n\r\n", b"a\r\n\n") + b"\r\n\r\n",
    "CR in a header": POST + b"X: a\rContent-Length: 2\r\n\r\n{}",
    "CR at the end of a header": POST + b"X: a\r\r\nContent-Length: 2\r\n\r\n{}",
    "a folded header": POST + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
    "a folded length": POST + b"Content-Length:\r\n 2\r\n\r\n{}",
    "a header with a tab before its colon": POST + b"Content-Length\t: 2\r\n\r\n{}",
    "a header without a name": POST + b": 2\r\n\r\n{}",
    "a chunk with an extension": POST + b"Transfer-Encoding: chunked\r\n\r\n2;x=1\r\n{}\r\n0\r\n\r\n",
    "a chunk's size that ends with LF": POST + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
    "a chunk that ends with LF": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\n0\r\n\r\n",
    "trailers": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: 1\r\n\r\n",
}


HUGE = {"a length of 5,000 digits", "5,000 digits and chunks", "a huge length and chunks"}
"""The length alone may have been answered before Tornado saw the rest: with a 413 that a page can read."""
UNFINISHED = {"headers of 20 KB", "headers without an end", "a chunk's size of 60 digits"}
"""The server still waits for more: nothing may follow these but the end."""


@pytest.mark.parametrize(("name", "sent"), MALFORMED.items(), ids=list(MALFORMED))
def test_malformed_http_gets_a_bare_400_or_is_closed(site: AuditedCollector, name: str, sent: bytes) -> None:
    """Tornado answers here, without a body and without CORS headers; what follows is never taken for a request."""
    smuggled = request("/v1/events", event(eventId="smuggled"), site.headers())
    with site.wire() as wire:
        wire.send(sent.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer %s\r\n\r\n" % site.browser_key.encode(), 1))
        if name in UNFINISHED:
            wire.end()
        else:
            wire.send(smuggled)
        answer = wire.answer()
        if answer is not None and name in HUGE and answer.status == 413:
            check_problem(answer, 413, "too_large")
        elif answer is not None:
            assert (answer.status, answer.headers, answer.body) == (400, {}, b"")
        assert wire.answer() is None
        assert wire.closed
        site.check_after(wire)
    assert site.database.one("SELECT count(*) FROM catchment.event WHERE event_id = 'smuggled'") == 0


@pytest.mark.parametrize("path", ["/nowhere", "/v1/events/", "//v1/events", "/v1/../v1/events", f"/v1/events/{CANARY}"])
def test_a_body_where_nothing_is_gets_a_404_that_a_page_can_read(site: AuditedCollector, path: str) -> None:
    check_refused(site, Row(name=path, body=padded(200 * KIB), path=path, code="not_found", status=404))


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_another_method_gets_a_405_that_a_page_can_read(site: AuditedCollector, method: str) -> None:
    with site.wire() as wire:
        wire.send(request("/v1/events", event(), site.headers(), method))
        check_problem(wire.answer(), 405, "method_not_allowed")
        site.check_after(wire)


def test_a_query_string_is_no_place_for_a_key_and_stands_in_no_log(site: AuditedCollector) -> None:
    with site.wire() as wire:
        path = f"/v1/events?projectKey={site.browser_key}&q={CANARY}"
        check_problem(site.ask(wire, event(), ("Authorization", None), path=path), 401, "missing_key")
        site.check_after(wire)


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "Basic cGs6", "bearer\tx", f"Bearer {CANARY} {CANARY}", "Bearer pk_\xff", "x" * 8000]
)
def test_an_authorization_that_is_none(site: AuditedCollector, value: str) -> None:
    with site.wire() as wire:
        answer = site.ask(wire, event(), ("Authorization", value.encode("latin-1")))
        assert check_common(answer).json["code"] in ("missing_key", "unknown_key")
        site.check_after(wire)


# The user agent


def test_a_user_agent_of_8_kb_is_cut_and_said(site: AuditedCollector) -> None:
    long = f"{CANARY} " * 740
    with site.wire() as wire:
        answer = check_common(site.ask(wire, event(), ("User-Agent", long)))
        assert answer.status == 200
        assert [(w["code"], w["field"]) for w in answer.json["warnings"]] == [("cut", "userAgent")]
        site.check_after(wire)
    assert site.row_as_json(answer.json["event_id"])["user_agent"] == long[:1024]


def test_a_user_agent_in_the_payload_of_8_kb_is_cut_and_said(site: AuditedCollector) -> None:
    with site.wire() as wire:
        event_id = check_stored(site.ask(wire, event(userAgent="x" * 8192), ("User-Agent", "short")), "cut")
        site.check_after(wire)
    assert site.row_as_json(event_id)["user_agent"] == "x" * 1024


def test_a_user_agent_beyond_ascii_is_stored(site: AuditedCollector) -> None:
    with site.wire() as wire:
        event_id = check_stored(site.ask(wire, event(), ("User-Agent", b"K\xe4fer \x80\x9f")))
        site.check_after(wire)
    assert site.row_as_json(event_id)["user_agent"] == "K\xe4fer \x80\x9f"


# Whose address it is. The peer is 127.0.0.1, which this server trusts as a proxy.

FORWARDED = {
    "one": ("81.2.69.142", "81.2.69.142"),
    "forged before the real one": ("1.1.1.1, 81.2.69.142", "81.2.69.142"),
    "many forged": ("8.8.8.8, 1.1.1.1, 9.9.9.9, 81.2.69.142", "81.2.69.142"),
    "a trusted one at the end": ("1.1.1.1, 81.2.69.142, 127.0.0.1", "81.2.69.142"),
    "only trusted ones": ("127.0.0.1, 127.0.0.1", "127.0.0.1"),
    "a private one, which is not trusted": ("81.2.69.142, 10.0.0.1", "10.0.0.1"),
    "with a port": ("81.2.69.142:4711", "81.2.69.142"),
    "IPv6": ("2001:db8::7", "2001:db8::7"),
    "IPv6 in brackets with a port": ("[2001:db8::7]:4711", "2001:db8::7"),
    "IPv4 within IPv6": ("::ffff:81.2.69.142", "81.2.69.142"),
    "a word before the real one": ("unknown, 81.2.69.142", "81.2.69.142"),
    "IPv4 within IPv6, in another spelling": ("0:0:0:0:0:FFFF:5102:458e", "81.2.69.142"),
    "a word": (CANARY, None),
    "a word at the end": (f"81.2.69.142, {CANARY}", None),
    "markup": ("<script>alert(1)</script>", None),
    "nothing": ("", None),
    "commas": (",,,", None),
    "no address": ("999.1.1.1", None),
    "8 KB": ("1.1.1.1, " * 900 + "81.2.69.142", "81.2.69.142"),
}
IGNORED: list[Header] = [
    ("X-Real-Ip", "6.6.6.6"),
    ("Forwarded", "for=6.6.6.6"),
    ("X-Client-Ip", "6.6.6.6"),
    ("True-Client-Ip", "6.6.6.6"),
    ("CF-Connecting-IP", "6.6.6.6"),
]


@pytest.mark.parametrize(("forwarded", "address"), FORWARDED.values(), ids=list(FORWARDED))
def test_behind_a_trusted_proxy_the_rightmost_untrusted_address_counts(
    site: AuditedCollector, forwarded: str, address: str | None
) -> None:
    with site.wire() as wire:
        event_id = check_stored(site.ask(wire, event(), *IGNORED, ("X-Forwarded-For", forwarded)))
        site.check_after(wire)
    assert site.row_as_json(event_id)["ip"] == address


def test_forwarded_for_in_two_headers_is_one_list(site: AuditedCollector) -> None:
    with site.wire() as wire:
        sent = request("/v1/events", event(), site.headers(("X-Forwarded-For", "1.1.1.1")))
        wire.send(
            sent.replace(b"X-Forwarded-For: 1.1.1.1", b"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 81.2.69.142")
        )
        event_id = check_stored(site.remember(wire.answer()))
        site.check_after(wire)
    assert site.row_as_json(event_id)["ip"] == "81.2.69.142"


def test_with_a_server_key_no_address_is_taken_from_the_connection(site: AuditedCollector) -> None:
    with site.wire() as wire:
        answer = site.ask(wire, event(), *IGNORED, ("X-Forwarded-For", "81.2.69.142"), key=site.server_key)
        event_id = check_stored(answer)
    assert site.row_as_json(event_id)["ip"] is None


@pytest.fixture(scope="module")
def alone(embedded_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedCollector]:
    """A server that trusts no proxy."""
    folder = tmp_path_factory.mktemp("alone")
    with embedded_server.copy() as database, collector(database, folder, HTTP__TRUSTED_PROXIES="") as alone:
        yield alone
        alone.check_books()


@pytest.mark.parametrize("forwarded", ["81.2.69.142", "1.1.1.1, 127.0.0.1", CANARY])
def test_without_a_trusted_proxy_what_is_forwarded_counts_for_nothing(alone: AuditedCollector, forwarded: str) -> None:
    with alone.wire() as wire:
        event_id = check_stored(alone.ask(wire, event(), *IGNORED, ("X-Forwarded-For", forwarded)))
        alone.check_after(wire)
    assert alone.row_as_json(event_id)["ip"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("127.0.0.1", 200),
        ("10.1.2.3", 200),
        ("::FFFF:a01:203", 200),
        ("81.2.69.142", 404),
        ("10.1.2.3, 81.2.69.142", 404),
        ("81.2.69.142, 10.1.2.3", 404),
        ("unknown", 404),
        ("10.1.2.3,", 404),
        ("", 404),
    ],
)
def test_an_operator_is_judged_by_the_address_behind_the_proxy(
    site: AuditedCollector, forwarded: str, status: int
) -> None:
    with site.wire() as wire:
        wire.send(request("/metrics", b"", [("X-Forwarded-For", forwarded), ("X-Real-Ip", "127.0.0.1")], "GET"))
        answer = check_common(wire.answer(), None)
        assert answer.status == status

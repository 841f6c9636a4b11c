"""What is no JSON, no number, or no event: refused as a whole, alone in a line, and with its whole batch."""

from __future__ import annotations

import json

from .rows import Row, check_common, check_refused, event, store, table
from .serving import CANARY, AuditedCollector

NAMED = f'"event_name": "{CANARY}"'.encode()
GOOD = event()


def value(text: bytes) -> bytes:
    """An event with this JSON text, or what is none, as a value of the data."""
    return event(event_data=b'{"v": ' + text + b"}")


def in_name(text: bytes) -> bytes:
    """An event with these bytes in its name."""
    return event(event_name=b'"' + CANARY.encode() + text + b'"')


DEEP = {
    "65 levels": value(b"[" * 63 + b"]" * 63),
    "65 levels of objects": value(b'{"a":' * 63 + b"1" + b"}" * 63),
    "65 levels in a key that is thrown away": event(unknown=b"[" * 64 + b"]" * 64),
}
SYNTAX = {
    "empty": b"",
    "blank": b" \r\n\t ",
    "cut off in a text": GOOD[:-20],
    "cut off before the end": GOOD[:-1],
    "trailing value": GOOD + b" 1",
    "trailing object": GOOD + GOOD,
    "trailing bracket": GOOD + b"}",
    "trailing comma in an object": GOOD[:-1] + b",}",
    "trailing comma in an array": value(b"[1,]"),
    "lone comma": value(b"[,]"),
    "missing comma": b"{" + NAMED + b' "url": ""}',
    "missing colon": b"{" + NAMED + b', "url" ""}',
    "single quotes": GOOD.replace(b'"', b"'"),
    "no quotes": b"{event_name: " + CANARY.encode() + b"}",
    "block comment": GOOD[:-1] + b" /* why */}",
    "line comment": GOOD + b" // why",
    "hash comment": b"# why\n" + GOOD,
    "leading zero": value(b"01"),
    "leading zeros": value(b"-007"),
    "leading plus": value(b"+1"),
    "bare fraction": value(b".5"),
    "bare point": value(b"5."),
    "bare exponent": value(b"1e"),
    "bare minus": value(b"-"),
    "hexadecimal": value(b"0x1F"),
    "underscores": value(b"1_000"),
    "full-width digit": value("\uff11".encode()),
    "NaN": value(b"NaN"),
    "nan": value(b"nan"),
    "Infinity": value(b"Infinity"),
    "-Infinity": value(b"-Infinity"),
    "NaN in a key that is thrown away": event(unknown=b"NaN"),
    "undefined": value(b"undefined"),
    "True": value(b"True"),
    "None": value(b"None"),
    "tab in a text": in_name(b"\t"),
    "newline in a text": in_name(b"\n"),
    "ESC in a text": in_name(b"\x1b[31m"),
    "U+0001 in a text": in_name(b"\x01"),
    "U+001F in a key": event(event_data=b'{"a\x1f": 1}'),
    "NUL in a text": in_name(b"\x00"),
    "NUL after the end": GOOD + b"\x00",
    "NUL before the start": b"\x00" + GOOD,
    "form feed before the start": b"\x0c" + GOOD,
    "no-break space before the start": "\u00a0".encode() + GOOD,
    "BOM": b"\xef\xbb\xbf" + GOOD,
    "two BOMs": b"\xef\xbb\xbf" * 2 + GOOD,
    "UTF-16 with a BOM": GOOD.decode().encode("utf-16"),
    "UTF-16LE": GOOD.decode().encode("utf-16-le"),
    "UTF-16BE": GOOD.decode().encode("utf-16-be"),
    "UTF-32": GOOD.decode().encode("utf-32"),
    "Latin-1": in_name(b"\xe9"),
    "a byte that UTF-8 has not": in_name(b"\xff"),
    "a lone continuation byte": in_name(b"\x80"),
    "a cut-off sequence": in_name(b"\xe2\x82"),
    "overlong solidus": in_name(b"\xc0\xaf"),
    "overlong NUL": in_name(b"\xc0\x80"),
    "overlong in three bytes": in_name(b"\xe0\x80\xaf"),
    "a surrogate in UTF-8 (ED A0 80)": in_name(b"\xed\xa0\x80"),
    "a surrogate pair in UTF-8 (CESU-8)": in_name(b"\xed\xa0\xbd\xed\xb2\xa7"),
    "beyond U+10FFFF": in_name(b"\xf4\x90\x80\x80"),
    "unknown escape": in_name(rb"\x41"),
    "short escape": in_name(rb"\u12"),
    "escape that is not hexadecimal": in_name(rb"\u00zz"),
    "backslash at the end": b"{" + NAMED[:-1] + b"\\",
    "a text without its end": b"{" + NAMED[:-1],
    "URL-encoded": b"event_name=" + CANARY.encode(),
    "XML": b"<event>" + CANARY.encode() + b"</event>",
    "pickle": b"\x80\x04\x95" + CANARY.encode(),
    **DEEP,
    "30,000 levels": b"[" * 30_000 + b"]" * 30_000,
    "30,000 levels that never end": value(b"[" * 30_000),
    "10,000 levels of objects": value(b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
}


@table(Row(name=name, body=body) for name, body in SYNTAX.items())
def test_what_is_no_json_is_refused(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


@table(Row(name=name, body=body, path="/v1/batch") for name, body in SYNTAX.items() if name not in DEEP)
def test_what_is_no_json_refuses_its_batch(site: AuditedCollector, row: Row) -> None:
    check_refused(site, Row(name=row.name, body=b"[" + GOOD + b", " + row.body + b"]", path=row.path))


LINES = {name: body for name, body in SYNTAX.items() if body.strip() and b"\n" not in body}


@table(Row(name=name, body=body, path="/v1/batch") for name, body in LINES.items())
def test_a_line_that_is_no_json_costs_itself_alone(site: AuditedCollector, row: Row) -> None:
    body = b"\n".join((GOOD, row.body, GOOD))
    with site.wire() as wire:
        answer = check_common(site.ask(wire, body, ("Content-Type", "application/x-ndjson"), path=row.path))
        assert answer.status == 200
        told = [(result["index"], result["outcome"], result.get("reason")) for result in answer.json["results"]]
        assert told == [(0, "stored", None), (1, "refused", "invalid_json"), (2, "stored", None)]
        site.check_after(wire)


SHAPES = {
    "null": b"null",
    "true": b"true",
    "a text": json.dumps(CANARY).encode(),
    "a number": b"7",
    "a float": b"7.5",
    "an empty array": b"[]",
    "an array of an event": b"[" + GOOD + b"]",
    "64 KiB of arrays": b"[" + b"[]," * 21_800 + b"[]]",
}


@table(Row(name=name, body=body) for name, body in SHAPES.items())
def test_what_is_no_object_is_no_event(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


BATCH_SHAPES = {
    "null": b"null",
    "true": b"true",
    "a text": json.dumps(CANARY).encode(),
    "a number": b"7",
    "an object without events": GOOD,
    "events that are null": b'{"events": null}',
    "events that are an object": b'{"events": ' + GOOD + b"}",
    "events that are a text": b'{"events": "' + CANARY.encode() + b'"}',
    "a megabyte of `[],`": b"[]," * 349_525,
    "a megabyte of `[`": b"[" * 1_048_576,
    "a megabyte of brackets": b"[" * 524_288 + b"]" * 524_288,
    "a megabyte of arrays where events belong": b'{"event": [' + b"[]," * 349_000 + b"[]]}",
}


@table(Row(name=name, body=body, path="/v1/batch") for name, body in BATCH_SHAPES.items())
def test_what_is_no_array_is_no_batch(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


@table(
    [
        Row(
            name="a megabyte of empty arrays are too many values",
            body=b"[" + b"[]," * 349_000 + b"[]]",
            path="/v1/batch",
        ),
        Row(
            name="a megabyte of `[],` is too large for one event",
            body=b"[]," * 349_525,
            code="too_large",
            status=413,
        ),
        Row(
            name="a thousand and one events",
            body=b"[" + b"{}," * 1000 + b"{}]",
            code="too_large",
            status=413,
            path="/v1/batch",
        ),
    ]
)
def test_what_is_json_and_too_much(site: AuditedCollector, row: Row) -> None:
    check_refused(site, row)


def test_an_event_of_a_batch_that_is_no_object_costs_itself_alone(site: AuditedCollector) -> None:
    shapes = [b"null", b"7", b'"text"', b"[]", b"true", b"{}"]
    with site.wire() as wire:
        body = b"[" + b", ".join([GOOD, *shapes, GOOD]) + b"]"
        answer = check_common(site.ask(wire, body, path="/v1/batch"))
        assert answer.status == 200
        told = [(result["outcome"], result.get("reason")) for result in answer.json["results"]]
        assert told == [("stored", None), *[("refused", "invalid_event")] * len(shapes), ("stored", None)]
        site.check_after(wire)


def test_sixty_four_levels_are_read(site: AuditedCollector) -> None:
    """Deeper than `event_data` may be, so what is too deep is left out, with a warning; but it is JSON."""
    row = store(site, value(b"[" * 62 + b"]" * 62), "dropped")
    assert row["data"] == {"v": [[[]]]}


def test_of_a_key_that_comes_twice_the_last_counts(site: AuditedCollector) -> None:
    body = event(event_data=b'{"a": 1, "b": {"c": 1, "c": 2}, "a": 3}')
    row = store(site, b'{"event_name": "First", "url": "https://evil.com/", ' + body[1:])
    assert row["name"] == CANARY
    assert row["data"] == {"a": 3, "b": {"c": 2}}

"""Decodes JSON and gzip into plain values. The core judges what they mean.

An untyped `msgspec` decode is tried first. If it fails, the standard library's parser decides, strictly: bad syntax
refuses the request. An impossible value (a lone surrogate, a number out of range) is handed on, and the core refuses or
corrects its own event alone.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

from .not_readable import NotReadable, TooLarge

_decode_fast = msgspec.json.Decoder().decode
MOST_PACKED = 1032
"""The most bytes that one byte of gzip unpacks to."""
OUT_OF_RANGE = float("inf")
"""Stands for a number that no float and no integer of sensible length holds."""


def count_values(body: bytes, most: int) -> int:
    """Return about how many values a JSON text has, without parsing it. Raise `NotReadable` over `most`."""
    values = len(body) - len(body.translate(None, b",[{"))  # one pass; three counts take four times as long
    if values > most:
        raise NotReadable(f"more than {most} values")
    return values


def decode(body: bytes) -> Any:
    """Return the value of a JSON text in UTF-8, however deep it is nested. Raise `NotReadable`."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotReadable(f"not UTF-8, from byte {error.start} on") from None
    try:
        return _decode_fast(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return decode_exact(text)


def decode_exact(text: str) -> Any:
    """Return the value by the standard library's parser, strictly. Raise `NotReadable`."""
    if text.startswith("\ufeff"):
        raise NotReadable("not JSON: it begins with a byte order mark; send UTF-8 without one")
    if not text.strip():
        raise NotReadable("the body is empty")
    try:
        return _exact.decode(text)
    except json.JSONDecodeError as error:
        raise NotReadable(f"not JSON: {error.msg.lower()}, at character {error.pos}") from None
    except RecursionError:
        raise NotReadable("nested too deep") from None


def _no_constant(name: str) -> NoReturn:
    raise NotReadable(f"not JSON: {name} is no JSON number")


def _integer(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # more digits than Python converts
        return OUT_OF_RANGE


_exact = json.JSONDecoder(parse_constant=_no_constant, parse_int=_integer)


def sizes_of(text: bytes, events: Sequence[object]) -> list[int]:
    """Return the size of each event in the body of a batch: an array, or an object with `events`. `events` are its
    decoded events. With a lone surrogate in the body, the sizes are estimates."""
    try:
        if text.lstrip()[:1] == b"{":
            text = bytes(msgspec.json.decode(text, type=dict[str, msgspec.Raw])["events"])
        return [len(bytes(raw)) for raw in msgspec.json.decode(text, type=list[msgspec.Raw])]
    except (msgspec.MsgspecError, KeyError):
        return [len(json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass")) for event in events]


def said_size(body: bytes) -> int:
    """Return the unpacked size that a gzip body claims in its last four bytes. `unpack` finds out if it lies."""
    return int.from_bytes(body[-4:], "little")


def unpack(body: bytes, limit: int) -> bytes:
    """Return a gzip body unpacked. Raise `TooLarge` at the limit, without unpacking more, and `NotReadable`."""
    packed = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        unpacked = packed.decompress(body, limit + 1)
    except zlib.error:
        raise NotReadable("the body is said to be gzip, and is not") from None
    if len(unpacked) > limit:
        raise TooLarge(f"larger than {limit} bytes after unpacking")
    if not packed.eof:
        raise NotReadable("the gzip body is cut off")
    if packed.unused_data:
        raise NotReadable("something follows the gzip body")
    return unpacked

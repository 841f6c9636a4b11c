"""Bytes to plain values, and nothing more: what they mean is judged by the core.

An untyped `msgspec` decode is tried first. Where that fails, the standard library's parser decides, strictly: bad
syntax refuses the request; a value that can't be (a lone surrogate, a number out of range) is handed on as it is, and
marks its own event in the core.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

_decode_fast = msgspec.json.Decoder().decode
MOST_PACKED = 1032
"""Bytes that a byte of gzip unpacks to at most."""
OUT_OF_RANGE = float("inf")
"""Stands for a number that no float and no integer of sensible length holds."""


class NotReadable(Exception):
    """The body can't be read. Its text says why, and never what was in it."""


class TooLarge(NotReadable):
    """The body is larger than the limit, once unpacked."""


def count_values(body: bytes, most: int) -> int:
    """How many values a body has, about, before anything is made of them. Raises `NotReadable` over `most`."""
    values = len(body) - len(body.translate(None, b",[{"))  # one pass; three counts take four times as long
    if values > most:
        raise NotReadable(f"more than {most} values")
    return values


def decode(body: bytes) -> Any:
    """The value of a JSON text in UTF-8, however deep it is nested. Raises `NotReadable`."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotReadable(f"not UTF-8, from byte {error.start} on") from None
    try:
        return _decode_fast(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return decode_exact(text)


def decode_exact(text: str) -> Any:
    """The same by the standard library's parser, strictly. Raises `NotReadable`."""
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
    """The bytes of each event in a batch's body, an array or an object with `events`; these are what was read of it."""
    try:
        if text.lstrip()[:1] == b"{":
            text = bytes(msgspec.json.decode(text, type=dict[str, msgspec.Raw])["events"])
        return [len(bytes(raw)) for raw in msgspec.json.decode(text, type=list[msgspec.Raw])]
    except (msgspec.MsgspecError, KeyError):
        return [len(json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass")) for event in events]


def said_size(body: bytes) -> int:
    """The size that a gzip body says it unpacks to, in its last four bytes. Who lies about it is found out later."""
    return int.from_bytes(body[-4:], "little")


def unpack(body: bytes, limit: int) -> bytes:
    """A gzip body unpacked. Raises `TooLarge` beyond the limit, before it has unpacked more, and `NotReadable`."""
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

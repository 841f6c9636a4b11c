"""Project keys: `pk_…` for browsers, `sk_…` for servers, with a checksum.

A key is its kind, random letters, and a checksum of both, so that a mistyped one needs no look-up. Looking one
up, and storing it, happens by its SHA-256: the text of a server key is kept nowhere.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from hashlib import sha256

from .project import KeyKind

PREFIXES = {"pk_": KeyKind.BROWSER, "sk_": KeyKind.SERVER}
_PREFIX_OF = {kind: prefix for prefix, kind in PREFIXES.items()}
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM = 6
_RANDOM_BYTES = {KeyKind.BROWSER: 16, KeyKind.SERVER: 32}


def _base62(number: int, length: int) -> str:
    letters = []
    for _ in range(length):
        number, rest = divmod(number, 62)
        letters.append(_LETTERS[rest])
    return "".join(reversed(letters))


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECKSUM)


def random_bytes_needed(kind: KeyKind) -> int:
    return _RANDOM_BYTES[kind]


def make_key(kind: KeyKind, randomness: bytes) -> str:
    """A key of this kind out of `random_bytes_needed(kind)` random bytes."""
    needed = _RANDOM_BYTES[kind]
    if len(randomness) != needed:
        raise ValueError(f"a {kind} key takes {needed} random bytes, not {len(randomness)}")
    length = -(-needed * 8 * 1000 // 5954)  # log2(62) = 5.954
    text = _PREFIX_OF[kind] + _base62(int.from_bytes(randomness), length)
    return text + _checksum(text)


@lru_cache(maxsize=4096)
def kind_of(key: str) -> KeyKind | None:
    """The kind of a well-formed key; None for a text that can't be one."""
    kind = PREFIXES.get(key[:3])
    if kind is None or len(key) > 80 or not key.isascii():
        return None
    return kind if _checksum(key[:-_CHECKSUM]) == key[-_CHECKSUM:] else None


@lru_cache(maxsize=4096)
def fingerprint(key: str) -> bytes:
    """The SHA-256 under which a key is stored and looked up."""
    return sha256(key.encode()).digest()


def shortened(key: str) -> str:
    """The first characters of a key, for lists and logs."""
    return key[:9] + "…"

"""Project keys: `pk_…` for browsers, `sk_…` for servers, with a checksum.

A key is a prefix for its kind, random letters, and a checksum of both, so a mistyped key needs no look-up. Keys are
stored and looked up by their SHA-256. The text of a server key is stored nowhere.
"""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Iterable
from hashlib import sha256

from .project import KeyKind
from .remembering import remember_short

PREFIXES = {"pk_": KeyKind.BROWSER, "sk_": KeyKind.SERVER}
_PREFIX_OF = {kind: prefix for prefix, kind in PREFIXES.items()}
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM = 6
LONGEST = 80
"""In characters. A longer text is no key."""
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
    """Return a key of this kind, made from `random_bytes_needed(kind)` random bytes."""
    needed = _RANDOM_BYTES[kind]
    if len(randomness) != needed:
        raise ValueError(f"a {kind} key takes {needed} random bytes, not {len(randomness)}")
    length = -(-needed * 8 * 1000 // 5954)  # log2(62) = 5.954
    text = _PREFIX_OF[kind] + _base62(int.from_bytes(randomness), length)
    return text + _checksum(text)


def kind_of(key: str) -> KeyKind | None:
    """Return the kind of a well-formed key; None for any other text."""
    if len(key) > LONGEST or not key.isascii():  # checked before the text gets into a cache
        return None
    return _kind_of(key)


def _judge(key: str) -> KeyKind | None:
    kind = PREFIXES.get(key[:3])
    return kind if kind is not None and _checksum(key[:-_CHECKSUM]) == key[-_CHECKSUM:] else None


_kind_of = remember_short(_judge, entries=4096, letters=LONGEST)


def _digest(key: str) -> bytes:
    return sha256(key.encode()).digest()


_fingerprint = remember_short(_digest, entries=4096, letters=LONGEST)


def fingerprint(key: str) -> bytes:
    """Return the SHA-256 by which a key is stored and looked up."""
    return _fingerprint(key)


def sign_id(event_id: str, fingerprint: bytes) -> str:
    """Return the signature of an event id by a server key: the HMAC-SHA256 of the id in hexadecimal, with the key's
    fingerprint as its key. It can't be made with the project's browser key alone."""
    return hmac.digest(fingerprint, event_id.encode(), "sha256").hex()


def is_signed(event_id: str, signature: str, fingerprints: Iterable[bytes]) -> bool:
    """Return True if a server key with one of these fingerprints made this signature."""
    sent = signature.lower().encode("utf-8", "replace")  # it may hold half surrogate pairs
    return any([hmac.compare_digest(sign_id(event_id, one).encode(), sent) for one in fingerprints])


def shortened(key: str) -> str:
    """Return the first characters of a key, for lists and logs."""
    return key[:9] + "…"

"""The keys that exist, held in eight bytes each: whoever makes one up can be told from a customer without a query.

Anybody can make up keys that look right, as many as they like. Their look-ups have a lane of their own, and this set
says who belongs there.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable

_BYTES = 8
_MOST_ADDED = 4096


class KnownKeys:
    """A set of fingerprints, by their first bytes.

    It may be wrong in both directions, and then costs no more than a place in the wrong lane: a key that was made a
    moment ago is not in it yet, and one that was deleted stays until the set is loaded anew.
    """

    def __init__(self) -> None:
        self._sorted: array[int] = array("Q")
        self._added: set[int] = set()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._added)

    def __contains__(self, fingerprint: bytes) -> bool:
        number = _number(fingerprint)
        return number in self._added or self._has(number)

    def add(self, fingerprints: Iterable[bytes]) -> None:
        """Adds keys that were made since the set was loaded."""
        self._added.update(number for number in map(_number, fingerprints) if not self._has(number))
        if len(self._added) > _MOST_ADDED:
            self._sorted = array("Q", sorted({*self._sorted, *self._added}))
            self._added = set()

    def replace(self, loaded: array[int]) -> None:
        """Takes a set that was loaded whole, by `pack`."""
        self._sorted, self._added = loaded, set()

    def _has(self, number: int) -> bool:
        place = bisect_left(self._sorted, number)
        return place < len(self._sorted) and self._sorted[place] == number


def pack(into: array[int], fingerprints: Iterable[bytes]) -> None:
    """Appends fingerprints, which come in rising order."""
    into.extend(map(_number, fingerprints))


def _number(fingerprint: bytes) -> int:
    return int.from_bytes(bytes(fingerprint[:_BYTES]).ljust(_BYTES, b"\0"))

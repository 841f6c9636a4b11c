"""Memory for what clients send: all requests together hold no more than so many bytes, and one address a part of it."""

from __future__ import annotations

_SMALL = 256 * 1024
"""A request that holds more finds room in one half only: large bodies never take the place of small ones."""
_KEPT = 1024 * 1024
"""The last of it is for bodies that are whole: those that do not come to an end never take the place of the others."""
_LEAST = 8 * 1024 * 1024
"""An address may hold so much at least: a few of the largest batches."""
_VALUES = 16 * 1024 * 1024
"""Beside its bodies an address may hold so much for their values: those of one batch, whatever is in it. Else its
bodies would wait for room that they take themselves."""


class Room:
    """The bytes that all requests of a worker may hold together, and those of one address: an eighth."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.share = max(_LEAST, size // 8)
        self.for_unfinished = size - min(_KEPT, size // 8)
        self.held = 0
        self.held_by: dict[str | None, int] = {}
        """By address: those who hold something."""


class Hold:
    """What one request holds: the bytes of its body while they come in, then about what its values take, until they are
    checked."""

    __slots__ = ("_room", "_share", "_size")

    def __init__(self, room: Room, share: str | None = None) -> None:
        self._room = room
        self._share = share
        self._size = 0

    def more(self, size: int, *, whole: bool = True) -> bool:
        """Hold so many bytes more of a body if there is room for them. `whole`: it has come to its end."""
        return self._more(size, self._room.size if whole else self._room.for_unfinished, self._room.share)

    def more_values(self, size: int) -> bool:
        """Hold what the values of a body take if there is room for it."""
        return self._more(size, self._room.size, self._room.share + _VALUES)

    def _more(self, size: int, most: int, most_of_one: int) -> bool:
        room = self._room
        held, of_one = room.held + size, room.held_by.get(self._share, 0) + size
        if held > (most if self._size + size <= _SMALL else room.size // 2) or of_one > most_of_one:
            return False
        self._size += size
        room.held = held
        room.held_by[self._share] = of_one
        return True

    def let_go(self) -> None:
        if not self._size:
            return
        room = self._room
        room.held -= self._size
        left = room.held_by[self._share] - self._size
        if left:
            room.held_by[self._share] = left
        else:
            del room.held_by[self._share]
        self._size = 0

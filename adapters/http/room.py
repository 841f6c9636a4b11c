"""Memory for what clients send: all requests together hold no more than so many bytes."""

from __future__ import annotations

_SMALL = 256 * 1024
"""A request that holds more finds room in one half only: large bodies never take the place of small ones."""


class Room:
    """The bytes that all requests of a worker may hold together."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.held = 0


class Hold:
    """What one request holds: the bytes of its body while they come in, then about what its values take, until they are
    checked."""

    __slots__ = ("_room", "_size")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._size = 0

    def more(self, size: int) -> bool:
        """Holds so many bytes more, where there is room for them."""
        room = self._room
        self._size += size
        room.held += size
        if room.held <= (room.size if self._size <= _SMALL else room.size // 2):
            return True
        self._size -= size
        room.held -= size
        return False

    def let_go(self) -> None:
        self._room.held -= self._size
        self._size = 0

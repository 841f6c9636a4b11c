"""Low file descriptors for the database: aiopg waits with `select()`, which cannot name those from 1,024 on."""

from __future__ import annotations

import os

SELECT_LIMIT = 1024
"""Descriptors that `select()` can name are below this."""


class LowDescriptors:
    """Low file descriptors, kept open so that the database's sockets get them.

    `count` is the number of sessions that there may be. As many again are kept in reserve: if a session dies, aiopg
    closes its socket before the descriptor can be taken back, and a website that connects just then gets it. It is
    taken back as soon as it is free again.
    """

    def __init__(self, count: int) -> None:
        self._wanted = 2 * count
        self._lent = 0
        self._kept: list[int] = []
        self._refill()

    def lend(self) -> None:
        """Free one descriptor. The next socket that is opened gets it."""
        self._refill()
        self._lent += 1
        if self._kept:
            os.close(self._kept.pop())

    def take_back(self) -> None:
        """Note that a socket with a lent descriptor was closed, or never opened."""
        self._lent -= 1
        self._refill()

    def _refill(self) -> None:
        """Take the lowest free descriptors, as long as they are low enough."""
        while len(self._kept) < self._wanted - self._lent:
            try:
                descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:  # none is left at all
                return
            if descriptor >= SELECT_LIMIT:
                os.close(descriptor)
                return
            self._kept.append(descriptor)

    def close(self) -> None:
        self._wanted = 0
        while self._kept:
            os.close(self._kept.pop())

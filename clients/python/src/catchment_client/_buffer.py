"""The queue between `track` and the sender: bounded in events and in bytes, and cut into batches."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from ._events import Item

OVERHEAD = 250
"""Bytes that one event takes here beside its body, about: objects, id, links."""
ENVELOPE = 2048
"""Bytes of a batch that are kept free for all that is not events."""


class Pending(NamedTuple):
    """An event that waits for its answer."""

    item: Item
    added: float
    """When it was tracked, by the monotonic clock."""


class Buffer:
    """What waits to be sent, and what was sent and waits for its answer: both count until they are released.

    Not for several threads at once.
    """

    def __init__(self, *, most_events: int, most_bytes: int, batch_events: int, batch_bytes: int) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self.batch_events = batch_events
        self.batch_bytes = batch_bytes
        self._waiting: deque[Pending] = deque()
        self._waiting_bytes = 0
        self.events = 0
        """All that is not released yet."""
        self.bytes = 0

    def add(self, pending: Pending) -> bool:
        """Whether there was room for it."""
        size = len(pending.item.body)
        if self.events >= self._most_events or self.bytes + size + OVERHEAD > self._most_bytes:
            return False
        self._waiting.append(pending)
        self._waiting_bytes += size
        self.events += 1
        self.bytes += size + OVERHEAD
        return True

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest(self) -> float:
        """When the first that waits was tracked."""
        return self._waiting[0].added

    @property
    def has_full_batch(self) -> bool:
        return (
            len(self._waiting) >= self.batch_events
            or self._waiting_bytes + len(self._waiting) + ENVELOPE >= self.batch_bytes
        )

    def take(self) -> list[Pending]:
        """The next batch: the oldest, as many as fit, at least one."""
        batch: list[Pending] = []
        room = self.batch_bytes - ENVELOPE
        while self._waiting and len(batch) < self.batch_events:
            size = len(self._waiting[0].item.body)
            room -= size + 1
            if room < 0 and batch:
                break
            batch.append(self._waiting.popleft())
            self._waiting_bytes -= size
        return batch

    def release(self, done: Sequence[Pending]) -> None:
        """These have their answer, or will get none: their room is free."""
        self.events -= len(done)
        self.bytes -= sum(len(one.item.body) + OVERHEAD for one in done)

    def shrink(self, batch: Sequence[Pending]) -> None:
        """A batch like this one was too large for the server, or for a proxy before it: make smaller ones."""
        size = sum(len(one.item.body) + 1 for one in batch) + ENVELOPE
        self.batch_events = max(1, min(self.batch_events, len(batch) // 2))
        self.batch_bytes = max(2 * ENVELOPE, min(self.batch_bytes, size // 2))


def envelope(batch: Sequence[Pending], losses: dict[str, Any] | None) -> bytes:
    """The body of a batch."""
    events = b",".join(one.item.body for one in batch)
    tail = b"" if losses is None else b',"losses":' + json.dumps(losses, separators=(",", ":")).encode()
    return b'{"events":[' + events + b"]" + tail + b"}"

"""The queue between `track` and the sender: bounded in events and in bytes, and cut into batches."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from ._events import Item

OVERHEAD = 250
"""Bytes that one event takes here beside its body, estimated: objects, id, links."""
ENVELOPE = 2048
"""Bytes of a batch that are kept free for everything but events."""
MOST_PATIENCE = 64
"""The most full batches that must pass before larger ones are tried again."""


class Pending(NamedTuple):
    """An event that waits for its answer."""

    item: Item
    added: float
    """The time when it was tracked, by the monotonic clock."""
    number: int = 0
    """Its number in the order of the queue."""


class Buffer:
    """The events that wait to be sent, and those that wait for their answer. Both count until they are released.

    Batches are as large as the settings allow. If one is too large for the server or for a proxy, and not because of a
    single event, the next ones are as large as the largest part of it that passed. When full batches pass, the size
    doubles again. Each time that fails, twice as many must pass before the next try.

    Not thread-safe.
    """

    def __init__(self, *, most_events: int, most_bytes: int, batch_events: int, batch_bytes: int) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._most_batch = (batch_events, batch_bytes)
        self.batch_events = batch_events
        self.batch_bytes = batch_bytes
        self._last = 0
        """The number of events of the last batch, if it was full."""
        self._passed = 0
        """Full batches that passed since the last change of size."""
        self._patience = 1
        """Full batches that must pass before the size grows."""
        self._has_grown = False
        self._refused: list[tuple[int, int]] = []
        """The parts of the last batch that were too large: the first and the last number of each."""
        self._giants: list[int] = []
        """The numbers of the events that were too large alone."""
        self._largest_events = self._largest_bytes = 0
        """The size of the largest part of the last batch that passed."""
        self._waiting: deque[Pending] = deque()
        self._waiting_bytes = 0
        self.events = 0
        """All events that are not released."""
        self.bytes = 0

    def has_room(self, item: Item) -> bool:
        size = len(item.body)
        return self.events < self._most_events and self.bytes + size + OVERHEAD <= self._most_bytes

    def add(self, pending: Pending) -> None:
        """Add an event. Check `has_room` first."""
        size = len(pending.item.body)
        self._waiting.append(pending)
        self._waiting_bytes += size
        self.events += 1
        self.bytes += size + OVERHEAD

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest(self) -> Pending:
        """The first event that waits."""
        return self._waiting[0]

    @property
    def has_full_batch(self) -> bool:
        return (
            len(self._waiting) >= self.batch_events
            or self._waiting_bytes + len(self._waiting) + ENVELOPE >= self.batch_bytes
        )

    def take(self) -> list[Pending]:
        """Return the next batch: the oldest events, as many as fit, at least one."""
        self._resize()
        batch: list[Pending] = []
        room = self.batch_bytes - ENVELOPE
        while self._waiting and len(batch) < self.batch_events:
            size = len(self._waiting[0].item.body)
            room -= size + 1
            if room < 0 and batch:
                break
            batch.append(self._waiting.popleft())
            self._waiting_bytes -= size
        self._last = len(batch) if self._waiting or len(batch) >= self.batch_events else 0
        return batch

    def release(self, done: Sequence[Pending]) -> None:
        """Free the space of events that have their answer, or will get none."""
        self.events -= len(done)
        self.bytes -= sum(len(one.item.body) + OVERHEAD for one in done)

    def too_large(self, part: Sequence[Pending]) -> None:
        """Note that the last batch, or this part of it, was too large."""
        if len(part) == 1:
            self._giants.append(part[0].number)
        else:
            self._refused.append((part[0].number, part[-1].number))

    def passed(self, part: Sequence[Pending]) -> None:
        """Note that the last batch, or this part of it, passed."""
        self._largest_events = max(self._largest_events, len(part))
        self._largest_bytes = max(self._largest_bytes, sum(len(one.item.body) + 1 for one in part) + ENVELOPE)
        if len(part) == self._last:
            self._passed += 1

    def _resize(self) -> None:
        """Change the size of batches by the result of the last one."""
        most_events, most_bytes = self._most_batch
        spoiled = (any(first <= giant <= last for giant in self._giants) for first, last in self._refused)
        if not all(spoiled):
            self.batch_events = max(1, min(self._largest_events or self.batch_events // 2, self.batch_events))
            self.batch_bytes = max(2 * ENVELOPE, min(self._largest_bytes or self.batch_bytes // 2, self.batch_bytes))
            self._patience = min(MOST_PATIENCE, self._patience * (2 if self._has_grown else 1))
            self._has_grown = False
            self._passed = 0
        elif self._passed >= self._patience and (self.batch_events, self.batch_bytes) != self._most_batch:
            self.batch_events = min(most_events, 2 * self.batch_events)
            self.batch_bytes = min(most_bytes, 2 * self.batch_bytes)
            self._has_grown = True
            self._passed = 0
        self._refused.clear()
        self._giants.clear()
        self._largest_events = self._largest_bytes = 0


def envelope(batch: Sequence[Pending], losses: dict[str, Any] | None) -> bytes:
    """Return the body of a batch."""
    events = b",".join(one.item.body for one in batch)
    tail = b"" if losses is None else b',"losses":' + json.dumps(losses, separators=(",", ":")).encode()
    return b'{"events":[' + events + b"]" + tail + b"}"

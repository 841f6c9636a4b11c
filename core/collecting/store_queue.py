"""The queue of requests that wait for a commit: bounded in events, in bytes, and for each address."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import CommitUnknown, Unavailable
from .ports import Stored, WriteRequest

_LARGEST_SHARE = 1 / 8
"""An address that holds more of the queue than this is held back …"""
_SHARED = 1 / 2
"""… as soon as so much of the queue is taken."""
_NOTHING = 1e-9
"""Sums of shares are not exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimits:
    """Bounds of a group that is written at once (`group_…`), and of what may wait (`queue_…`)."""

    group_events: int = 500
    group_bytes: int = 1024 * 1024
    queue_events: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Waiting(WriteRequest):
    """A request that waits in the queue, or is being written."""

    deadline: float
    """By `Clock.monotonic`."""
    since: float
    answer: asyncio.Future[Stored]
    share: str | None = None
    """The sender's address, as it is charged; None for a trusted sender."""
    encodable: bool = True
    """False if one of the events can't be encoded, and so can't be stored."""

    def succeed(self, stored: Stored) -> None:
        """Answer the request, unless it has an answer or its sender is gone."""
        if not self.answer.done():
            self.answer.set_result(stored)

    def fail(self, error: Unavailable) -> None:
        """Answer the request with an error of its own, unless it has an answer or its sender is gone."""
        if not self.answer.done():
            kind = CommitUnknown if isinstance(error, CommitUnknown) else Unavailable
            self.answer.set_exception(kind(str(error), retry_after=error.retry_after))


class StoreQueue:
    """The requests that wait, first come, first served. Iterating goes from the oldest to the newest."""

    def __init__(self, limits: GroupLimits) -> None:
        self._limits = limits
        self._requests: deque[Waiting] = deque()
        self._shares: dict[str, float] = {}
        """The part of the queue that each address takes; only those that have requests in it."""
        self.events = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._requests)

    def put(self, waiting: Waiting) -> None:
        """Add a request. Raises `Unavailable` if the queue is full, or this address has its share of it."""
        events, size = self.events + len(waiting.events), self.bytes + len(waiting.encoded)
        if events > self._limits.queue_events or size > self._limits.queue_bytes:
            raise Unavailable("the queue is full", retry_after=2)
        if waiting.share is not None:
            self._take_share(waiting.share, waiting)
        self._requests.append(waiting)
        self.events, self.bytes = events, size

    def _take_share(self, share: str, waiting: Waiting) -> None:
        """Charge an address. One address may fill half of the queue. The other half is for those that hold less than
        an eighth."""
        held = self._shares.get(share, 0.0)
        part = self._part(len(waiting.events), len(waiting.encoded))
        if held and held + part > _LARGEST_SHARE and self._part(self.events, self.bytes) + part > _SHARED:
            raise Unavailable("this address has its share of the queue", retry_after=2)
        self._shares[share] = held + part

    def _part(self, events: int, size: int) -> float:
        return max(events / self._limits.queue_events, size / self._limits.queue_bytes)

    def pop(self) -> Waiting:
        """Remove and return the oldest request."""
        waiting = self._requests.popleft()
        self.events -= len(waiting.events)
        self.bytes -= len(waiting.encoded)
        if waiting.share is not None:
            left = self._shares[waiting.share] - self._part(len(waiting.events), len(waiting.encoded))
            if left > _NOTHING:
                self._shares[waiting.share] = left
            else:
                del self._shares[waiting.share]
        return waiting

    def pop_group(self) -> list[Waiting]:
        """Remove and return the requests to write next, in order. A request is never split, so that one that is larger
        than a group makes a group alone. Requests that have their answer already are left out."""
        group: list[Waiting] = []
        events = size = 0
        while self._requests:
            waiting = self._requests[0]
            if group and (
                events + len(waiting.events) > self._limits.group_events
                or size + len(waiting.encoded) > self._limits.group_bytes
            ):
                break
            self.pop()
            if waiting.answer.done():
                continue
            group.append(waiting)
            events += len(waiting.events)
            size += len(waiting.encoded)
        return group

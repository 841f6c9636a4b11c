"""The interface between `Client` and the ways to deliver: the real one, a disabled one, and the test double."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Protocol

from ._events import Item
from .receipts import Receipt


class Delivery(Protocol):
    """Takes events, and returns their results."""

    def add(self, item: Item) -> None:
        """Queue an event. Never blocks, never raises."""

    def send(self, item: Item, timeout: float, stop: threading.Event) -> Receipt:
        """Send an event now. Raise `Refused`, `Unavailable` or `ClientClosed`. End early if `stop` is set."""

    def check(self, item: Item, timeout: float, stop: threading.Event) -> Receipt:
        """Do the same as `send`, by a dry run."""

    def lose(self, event_id: str, reason: str, why: str) -> None:
        """Count and report an event that can't be sent."""

    def settled(self) -> Future[bool]:
        """Return a future that ends when all events added before are answered (True) or lost (False)."""

    def begin_close(self, timeout: float) -> Future[bool]:
        """Return a future as `settled` does. Take no more events, and hurry."""

    def finish_close(self, *, wait: bool) -> None:
        """Give up the events that are not settled. `wait`: wait for the end of the thread, unless it is this one."""

    @property
    def losses(self) -> Mapping[str, int]: ...

    @property
    def refused(self) -> Mapping[str, int]: ...

    @property
    def pending(self) -> int: ...


class Nowhere:
    """The delivery of a disabled client: it sends nothing."""

    losses: Mapping[str, int] = {}
    refused: Mapping[str, int] = {}
    pending = 0

    def add(self, item: Item) -> None:
        pass

    def lose(self, event_id: str, reason: str, why: str) -> None:
        pass

    def check(self, item: Item, timeout: float, stop: threading.Event) -> Receipt:
        return self.send(item, timeout, stop)

    def send(self, item: Item, timeout: float, stop: threading.Event) -> Receipt:
        return Receipt(outcome="disabled", event_id=item.event_id)

    def settled(self) -> Future[bool]:
        return done(True)

    def begin_close(self, timeout: float) -> Future[bool]:
        return done(True)

    def finish_close(self, *, wait: bool) -> None:
        pass


def done(result: bool) -> Future[bool]:
    """Return a future that has its result."""
    future: Future[bool] = Future()
    future.set_result(result)
    return future


def result_of(future: Future[bool], timeout: float | None) -> bool:
    """Return the future's result, or False if there is none in time."""
    try:
        return future.result(timeout)
    except (TimeoutError, concurrent.futures.TimeoutError):  # two before Python 3.11
        return False
    finally:
        future.cancel()

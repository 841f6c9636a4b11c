"""Where events go. `Client` knows no more of it than this: here a disabled client and the test double differ."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Protocol

from ._events import Item
from .receipts import Receipt


class Delivery(Protocol):
    """Takes events, and says what became of them."""

    def add(self, item: Item) -> None:
        """To be sent when there is time. Never blocks, never raises."""

    def send(self, item: Item, timeout: float, stop: threading.Event) -> Receipt:
        """Sends it now. Raises `Refused`, `Unavailable` and `ClientClosed`. Ends early where `stop` is set."""

    def check(self, item: Item, timeout: float, stop: threading.Event) -> Receipt:
        """As `send`, by a dry run."""

    def lose(self, event_id: str, reason: str, why: str) -> None:
        """Counts an event that can't be sent, and says so."""

    def settled(self) -> Future[bool]:
        """Done when all that was added before has been answered (True) or lost (False)."""

    def begin_close(self, timeout: float) -> Future[bool]:
        """As `settled`; takes nothing any more, and hurries."""

    def finish_close(self, *, wait: bool) -> None:
        """Gives up what is not settled. `wait`: until the thread has ended, if it is not this one."""

    @property
    def losses(self) -> Mapping[str, int]: ...

    @property
    def refused(self) -> Mapping[str, int]: ...

    @property
    def pending(self) -> int: ...


class Nowhere:
    """A client that is disabled."""

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
    """A future with its result."""
    future: Future[bool] = Future()
    future.set_result(result)
    return future


def result_of(future: Future[bool], timeout: float | None) -> bool:
    """The future's result, False where it has none in time."""
    try:
        return future.result(timeout)
    except (TimeoutError, concurrent.futures.TimeoutError):  # two before Python 3.11
        return False
    finally:
        future.cancel()

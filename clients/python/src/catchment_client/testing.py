"""Clients for your own tests: they record events and send nothing.

    from catchment_client.testing import RecordingClient

    def test_an_invoice_is_tracked():
        client = RecordingClient()
        bill(customer, client)
        (event,) = client.named("Invoice")
        assert event.data["value"] == 12.5

Arguments are checked as in a real client. With `refusals` and `is_unavailable`, `send` raises, and `on_error` is called
for tracked events, so you can test your handling of failures.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._delivery import Delivery, done
from ._events import Item
from .client import AsyncClient, Client, _Tracking
from .errors import Lost, Refused, Unavailable
from .receipts import Receipt

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._settings import Options

__all__ = ["AsyncRecordingClient", "RecordedEvent", "RecordingClient"]


@dataclass(frozen=True)
class RecordedEvent:
    """An event as it would have been sent."""

    name: str
    event_id: str
    data: Mapping[str, Any]
    """Encoded to JSON and decoded again."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The other fields, by their names in the request: ``userId``, ``timestamp``, …"""


class _Recorder:
    """A delivery that records events and sends nothing."""

    def __init__(self, owner: _Recording) -> None:
        self._owner = owner
        self.losses: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self.pending = 0

    def lose(self, event_id: str, reason: str, why: str) -> None:
        self.losses[reason] = self.losses.get(reason, 0) + 1
        on_error = self._owner._settings.on_error
        if on_error is not None:
            on_error(Lost(event_id, reason))

    def check(self, item: Item, timeout: float, stop: threading.Event) -> Receipt:
        if self._owner.is_unavailable:
            raise Unavailable(item.event_id, "unavailable")
        return Receipt("dry_run", item.event_id, would_be="stored")

    def add(self, item: Item) -> None:
        try:
            receipt = self.send(item, 0.0, threading.Event())
        except (Refused, Unavailable) as error:
            if isinstance(error, Refused):
                self.refused[str(error.reason)] = self.refused.get(str(error.reason), 0) + 1
            on_error = self._owner._settings.on_error
            if on_error is not None:
                on_error(error if isinstance(error, Refused) else Lost(error.event_id, "gave_up"))
        else:
            on_receipt = self._owner._settings.on_receipt
            if on_receipt is not None:
                on_receipt(receipt)

    def send(self, item: Item, timeout: float, stop: threading.Event) -> Receipt:
        return self._owner._record(item)

    def settled(self) -> Future[bool]:
        return done(not self._owner.is_unavailable)

    def begin_close(self, timeout: float) -> Future[bool]:
        return self.settled()

    def finish_close(self, *, wait: bool) -> None:
        pass


class _Recording(_Tracking):
    """The common part of both recording clients."""

    def __init__(self, endpoint: str = "https://events.example.com", key: str = "", **options: Unpack[Options]) -> None:
        self.events: list[RecordedEvent] = []
        """The events that would have been stored, in order."""
        self.refusals: dict[str, str] = {}
        """By the name of events to refuse: the reason, such as ``invalid_event``."""
        self.is_unavailable = False
        """True: act as if the server did not answer."""
        super().__init__(endpoint, key, **options)

    def _make_delivery(self, endpoint: str, key: str) -> Delivery:
        return _Recorder(self)

    def _record(self, item: Item) -> Receipt:
        said = json.loads(item.body)
        name = said.pop("event_name")
        if self.is_unavailable:
            raise Unavailable(item.event_id, "unavailable")
        if name in self.refusals:
            raise Refused(Receipt("refused", item.event_id, reason=self.refusals[name]))
        data = said.pop("event_data", {})
        event_id = said.pop("eventId")
        outcome = "duplicate" if any(event_id == one.event_id for one in self.events) else "stored"
        if outcome == "stored":
            self.events.append(RecordedEvent(name, event_id, data, said))
        return Receipt(outcome, event_id, session_id=said.get("sessionId", "recorded"))

    def named(self, name: str) -> list[RecordedEvent]:
        """Return the events of this name."""
        return [one for one in self.events if one.name == name]

    def clear(self) -> None:
        """Forget all events."""
        self.events.clear()


class RecordingClient(_Recording, Client):
    """A `Client` that records."""


class AsyncRecordingClient(_Recording, AsyncClient):
    """An `AsyncClient` that records."""

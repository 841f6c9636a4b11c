"""The exceptions.

CatchmentError
├── ConfigurationError   endpoint, key or an option is wrong: raised when the client is made
├── InvalidEvent         an argument of `track` or `send` is wrong: raised at once
├── Refused              the server does not accept this event, and gives the reason: do not send it again
├── Unavailable          no answer in time: stored or not; it is safe to send it again with the same event id
├── Lost                 an event of `track` that will not be sent; passed to `on_error`, never raised
└── ClientClosed         `send` after `close`
"""

from __future__ import annotations

from .receipts import Receipt


class CatchmentError(Exception):
    """The base of all exceptions of this library."""


class ConfigurationError(CatchmentError, ValueError):
    """The endpoint, the key or an option is wrong. The message never holds the key."""


class InvalidEvent(CatchmentError, ValueError):
    """An argument is wrong: `field` is its name."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"{field}: {what}")
        self.field = field


class Refused(CatchmentError):
    """The server does not store this event; `receipt` has the reason."""

    def __init__(self, receipt: Receipt) -> None:
        super().__init__(f"{receipt.reason}: {receipt.detail}" if receipt.detail else str(receipt.reason))
        self.receipt = receipt
        self.event_id = receipt.event_id
        self.reason = receipt.reason
        """A code of the server's closed list, such as ``invalid_event``."""


class Unavailable(CatchmentError):
    """There was no final answer in time. Send the event again with `event_id`: it is stored once, however often you
    do."""

    def __init__(self, event_id: str, reason: str, detail: str | None = None) -> None:
        why = f"{reason}: {detail}" if detail else reason
        super().__init__(f"no answer in time ({why}); send it again with the same event id")
        self.event_id = event_id
        self.detail = detail
        """The last attempt's reason in words, such as ``connection refused``. None if the reason says it all."""
        self.reason = reason
        """The reason of the last attempt: a code of the server (``unavailable``), ``http_502``, ``timeout``, ``tls``,
        ``network``, or ``not_understood`` if the answer was not Catchment's."""


class Lost(CatchmentError):
    """An event of `track` was dropped, and will not be sent."""

    def __init__(self, event_id: str, reason: str) -> None:
        super().__init__(reason)
        self.event_id = event_id
        self.reason = reason
        """``queue_full``, ``too_large``, ``expired``, ``gave_up``, ``closed``, or ``invalid`` from a client that is not
        strict."""


class ClientClosed(CatchmentError, RuntimeError):
    """The client was closed before."""

"""Sends events from back ends to a Catchment server.

    from catchment_client import Client

    client = Client("https://events.example.com", "sk_…")
    client.track("Invoice", {"value": 12.5, "currency": "EUR"}, user_id="42")

`track` returns at once. A thread sends the tracked events in batches, until the server has answered every event. An
event keeps its id over all attempts, so it is stored once. `send` waits for the receipt. `AsyncClient` is the same for
asyncio. `catchment_client.testing` has clients for your own tests.
"""

from ._events import Fields
from ._settings import Options
from ._signing import sign_event_id
from ._version import VERSION
from .client import AsyncClient, Client
from .errors import CatchmentError, ClientClosed, ConfigurationError, InvalidEvent, Lost, Refused, Unavailable
from .receipts import EventWarning, Receipt

__version__ = VERSION
__all__ = [
    "AsyncClient",
    "CatchmentError",
    "Client",
    "ClientClosed",
    "ConfigurationError",
    "EventWarning",
    "Fields",
    "InvalidEvent",
    "Lost",
    "Options",
    "Receipt",
    "Refused",
    "Unavailable",
    "sign_event_id",
]

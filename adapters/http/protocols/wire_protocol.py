"""The base class of a wire protocol: one way of sending events.

A wire protocol reads a request into a `Sent` and writes an answer. Everything between is the same for all of them:
charging the address, receiving and unpacking the body within bounds, scheduling, collecting, metrics
(`adapters/http/protocol_runner.py`). docs/protocols.md has a complete small example.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from catchment.core.collecting.submission import Answer
from catchment.core.limits import Limits
from catchment.core.outcomes import EventWarning
from catchment.core.refusals import Refusal

from ..engine.message import Cors, Request, Response
from .headers import bearer, check_media, is_gzip


@dataclass(frozen=True, slots=True)
class Sent:
    """The events of a request, as the core takes them."""

    payloads: list[object]
    """Events with the native fields; an `Unreadable` for each that cannot be read."""
    key: str | None = None
    """The key in the body. A key in the request's head goes before it."""
    sent_at: object = None
    """The sender's clock when it sent, as it came."""
    losses: object = None
    """The sender's report of lost events, as it came."""
    id_signature: str | None = None
    """The back end's signature of the event's id, as it came."""
    warnings: Sequence[EventWarning] = ()
    """About what was left out of the request itself, not of one of its events."""
    misnamed_key: str | None = None
    """If the body has no key: the field that its sender took for it, as far as one is known."""


class WireProtocol(ABC):
    """One way of sending events. One object serves all requests, and keeps nothing of any of them."""

    paths: tuple[str, ...]
    """The paths of its requests. A word in braces stands for any text without a slash or a dot."""
    methods: tuple[str, ...] = ("POST",)
    cors: Cors = Cors()
    """The answer to browsers about requests from scripts of other websites."""
    media_types: tuple[str, ...] = ()
    """The media types of bodies that it reads; empty: any."""
    scheduled: bool = False
    """True if a request may hold many events: batches wait for each other, and single events overtake them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.body_bytes = limits.body_bytes
        """The largest body, packed and unpacked; 0: it has none."""

    # the two that every protocol has

    @abstractmethod
    def read(self, request: Request, body: bytes) -> Sent:
        """Return the events of a request. `body` is unpacked and unwrapped. Raise `NotReadable`, or one of its kind.

        The work is paid for: the address was charged for the bytes. It holds up everybody else meanwhile, so it is
        linear in the size of the body.
        """

    @abstractmethod
    def write(self, request: Request, answer: Answer) -> Response:
        """Return the answer to a request: one refusal for all of it, or a receipt for each event."""

    # those with a default that suits most

    def refuse(self, request: Request, refusal: Refusal, status: int) -> Response:
        """Return the answer to a request that did not get here: its body came too slowly, or the server failed."""
        return self.write(request, Answer(refusal=refusal))

    def answer_at_once(self, request: Request) -> Response | None:
        """Return an answer that needs no events; None: go on and collect. `HEAD` never stores (RFC 9110, 9.2.1)."""
        return Response(204) if request.method == "HEAD" else None

    def key(self, request: Request) -> str | None:
        """Return the key in the request's head: in `Authorization`, the path, or the query."""
        return bearer(request.headers)

    def early_key(self, request: Request) -> str | None:
        """Return the key that can be known without reading the body: a good server key is never over an address's
        rate. The body may be packed."""
        return self.key(request)

    def dry_run(self, request: Request) -> bool:
        """Return True if nothing is to be stored."""
        return False

    def estimate_events(self, request: Request) -> int:
        """Return about how many events an unread body has. It decides how long a sender over its rate waits."""
        return 1

    def check_headers(self, request: Request) -> None:
        """Raise `NotSupported` if the headers say that the body is not one to be read."""
        check_media(request.headers, self.media_types)

    def is_gzip(self, request: Request) -> bool:
        """Return True if the body is gzip."""
        return is_gzip(request.headers)

    def unwrap(self, request: Request, body: bytes) -> bytes:
        """Return the JSON within an unpacked body, such as the field of a form. It is never larger than the body.
        The values of this JSON are counted before it is read, so that they find memory. Raise `NotReadable`."""
        return body

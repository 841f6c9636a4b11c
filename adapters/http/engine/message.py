"""A request, its answer, and the route between them: the values that the engine and its users share."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from tornado.httputil import HTTPHeaders

from catchment.core.refusals import Refusal

from .addresses import Client
from .memory import Reservation

_ABSOLUTE = re.compile(r"https?://[^/?#@]+(/[^?]*)?(?:\?(.*))?", re.IGNORECASE)
"""A target as a client with a proxy sends it: scheme, host, path, query (RFC 9112, 3.2.2)."""


@dataclass(slots=True)
class Request:
    """One request, whole."""

    id: str
    method: str
    path: str
    query: str
    headers: HTTPHeaders
    client: Client
    """The sender of the request."""
    memory: Reservation
    """The memory that the request holds."""
    body: bytes = b""
    size: int = 0
    """Bytes of the body that came, including those thrown away."""
    keeps_alive: bool = False
    """True for HTTP/1.1: the connection stays open unless a header says otherwise."""
    too_large: bool = False
    """True if the body was over the route's limit, and was thrown away."""
    no_memory: bool = False
    """True if the body was thrown away because too many others are being received."""
    received_at: datetime = datetime.min
    """The time of its last byte."""
    monotonic: float = 0.0
    route: Route | None = None
    """The route that answers it; None if there is none."""


@dataclass(slots=True)
class Response:
    """One answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    """Headers of this answer alone. Each replaces the common header of the same name."""


@dataclass(frozen=True, slots=True)
class Cors:
    """The headers that let scripts of other websites send requests and read answers.

    CORS is no gate here: a project's origins are. Each answer names the request's origin, so that scripts can read it.
    """

    methods: tuple[str, ...] = ("POST",)
    headers: tuple[str, ...] = ("content-type", "content-encoding", "authorization")
    """Request headers that a preflight always allows."""
    any_header: bool = True
    """Allow every other header that a preflight asks for: tools that trace a page's requests add their own."""
    exposed: str = "Retry-After, RateLimit-Policy, RateLimit, X-Catchment-Outcome, X-Catchment-Reason, X-Request-Id"
    """Response headers that the script may read."""
    max_age: int = 7200
    """Seconds that a browser may keep the answer to a preflight."""


@dataclass(frozen=True, slots=True)
class Route:
    """A handler, and the policy of its answers."""

    handler: Callable[[Request], Awaitable[Response]]
    body_bytes: int = 0
    """The largest body that is received."""
    label: str | None = None
    """The route's name in the metrics; None: its path."""
    cors: Cors = Cors()
    cache: str = ""
    """`Cache-Control` of good answers. They are the same for every website, and any origin may read them. Empty:
    nothing is stored by a cache. Refusals never are."""
    allowed: Callable[[Request], bool] | None = None
    """Return True if the sender may use the route. Everybody else gets the 404 of a path that does not exist. None:
    everybody may."""
    charges: bool = False
    """True if the handler charges the address itself. Any other request is charged by `RequestRates`."""
    free_for: Callable[[Request], bool] | None = None
    """Return True if the sender is not charged. None: everybody is."""
    refuse: Callable[[Request, Refusal, int], Response] | None = None
    """Write a refusal that the handler could not write itself, with this status (0: the usual one of its reason): the
    body came too slowly, or the handler failed. None: a problem document."""


Routes = Mapping[str, Mapping[str, Route]]
"""By path, by method. A word in braces in a path stands for any text without a slash or a dot."""


def split_target(target: str) -> tuple[str, str]:
    """Return the path and the query of a request's target. The scheme and host of an absolute one are left out."""
    if not target.startswith("/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is not None:
            return absolute[1] or "/", absolute[2] or ""
    path, _, query = target.partition("?")
    return path, query

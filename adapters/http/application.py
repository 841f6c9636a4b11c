"""The HTTP application: routes, and what every answer has in common."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

from tornado.httputil import HTTPConnection, HTTPServerConnectionDelegate

from catchment.core.outcomes import Reason, Refusal
from catchment.core.ports import Clock

from .answers import OUTCOME, REASON, problem
from .engine.addresses import Clients
from .engine.crowd import Crowd
from .engine.exchange import Exchange, Request, Response, Route, Routes
from .engine.faults import log_fault
from .engine.room import Room
from .engine.wire import be_strict
from .operations.metrics import Metrics

if TYPE_CHECKING:
    import asyncio

_EXPOSED = f"Retry-After, {OUTCOME}, {REASON}, X-Request-Id"
_ALLOWED = ("content-type", "content-encoding", "authorization")
_ASKED_LETTERS = 2_000
_SHOWN = 20
_TOO_SLOW = "The body did not come in time, and nothing of it was stored. Send it again; if the line is slow, in parts."
_TOKENS = re.compile(r"[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*(?:,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*)*")


class PlainHeaders(dict[str, str]):
    """The headers of an answer, each once, their names in form already: bringing them into form is most of what
    Tornado's own class costs."""

    def get_all(self) -> Iterable[tuple[str, str]]:
        return self.items()


class Application(HTTPServerConnectionDelegate):
    """Takes requests off connections and answers them by the routes."""

    def __init__(self, routes: Routes, *, clients: Clients, clock: Clock, metrics: Metrics, receive_bytes: int) -> None:
        self.room = Room(receive_bytes)
        self._routes = {path: methods for path, methods in routes.items() if "{" not in path}
        self._patterns = [(_pattern(path), methods) for path, methods in routes.items() if "{" in path]
        self._metrics = metrics
        self.clients = clients
        self.crowd = Crowd()
        self.clock = clock
        self.tasks: set[asyncio.Task[None]] = set()
        self.connections: dict[Any, Exchange] = {}
        """Open connections, Tornado's, and what goes on in each."""
        self._busy: set[Exchange] = set()
        self._ids = count(1)
        self._id_prefix = secrets.token_hex(6)

    # connections

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> Exchange:
        context: Any = getattr(request_conn, "context", None)
        be_strict(request_conn)
        if server_conn in self.connections:
            server_conn.context.served = True  # type: ignore[attr-defined]
        exchange = Exchange(self, request_conn, getattr(context, "address", None))
        self.connections[server_conn] = exchange
        return exchange

    def on_close(self, server_conn: object) -> None:
        self.crowd.leave(server_conn.context)  # type: ignore[attr-defined]
        exchange = self.connections.pop(server_conn, None)
        if exchange is not None:
            exchange.on_connection_close()

    def busy(self, exchange: Exchange) -> None:
        self._busy.add(exchange)

    def idle(self, exchange: Exchange) -> None:
        self._busy.discard(exchange)

    @property
    def in_flight(self) -> int:
        """Requests that have begun and have no answer yet."""
        return len(self._busy)

    # requests

    def new_request_id(self) -> str:
        return f"{self._id_prefix}-{next(self._ids):x}"

    def _methods(self, path: str) -> Mapping[str, Route] | None:
        methods = self._routes.get(path)
        if methods is None:
            methods = next((methods for pattern, methods in self._patterns if pattern.fullmatch(path)), None)
        return methods

    def route(self, method: str, path: str) -> Route | None:
        methods = self._methods(path)
        return None if methods is None else methods.get("GET" if method == "HEAD" else method)

    async def respond(self, request: Request, route: Route | None) -> Response:
        """The answer to a request. Never raises for a request's sake."""
        if request.method == "OPTIONS":
            return Response(204, headers=self._preflight(request))
        if route is None:
            return self._no_route(request)
        try:
            return await route.handler(request)
        except Exception as error:  # a fault of ours: the sender is told to send again, with the same ids
            log_fault(request, error)
            return problem(Refusal(reason=Reason.COMMIT_UNKNOWN, retry_after=5), request)

    def _preflight(self, request: Request) -> tuple[tuple[str, str], ...]:
        """Allow any header, also those that are not read here: tools that trace a page's requests add their own.
        CORS is not the gate, the project's origins are."""
        asked = request.headers.get("Access-Control-Request-Headers", "")
        allowed = dict.fromkeys(_ALLOWED)
        if len(asked) <= _ASKED_LETTERS and _TOKENS.fullmatch(asked):
            allowed |= dict.fromkeys(name.strip().lower() for name in asked.split(","))
        headers: tuple[tuple[str, str], ...] = (
            ("Access-Control-Allow-Methods", "POST"),
            ("Access-Control-Allow-Headers", ", ".join(allowed)),
            ("Access-Control-Max-Age", "7200"),
            ("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Private-Network"),
        )
        if request.headers.get("Access-Control-Request-Private-Network") == "true" and self.route("POST", request.path):
            headers += (("Access-Control-Allow-Private-Network", "true"),)
        return headers

    def too_slow(self, request: Request) -> Response:
        """The answer to a request whose body did not come in time. It is to be sent again, which trackers do for an
        answer with `Retry-After` alone."""
        return problem(Refusal(reason=Reason.UNAVAILABLE, detail=_TOO_SLOW, retry_after=5), request, status=408)

    def _no_route(self, request: Request) -> Response:
        methods = self._methods(request.path)
        if methods is None:
            return problem(Refusal(reason=Reason.NOT_FOUND), request)
        allowed = ", ".join(sorted({*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])}))
        words = f"{request.path} takes {allowed}, not {request.method[:_SHOWN]}."
        if "POST" in methods:
            words += " It is for events, which trackers and programs post; there is nothing to look at."
        refusal = Refusal(reason=Reason.METHOD_NOT_ALLOWED, detail=words)
        return problem(refusal, request, headers=(("Allow", allowed),))

    def headers(self, request: Request, response: Response) -> PlainHeaders:
        """The headers of an answer. The page's script may read every one of them, refusals included."""
        headers = PlainHeaders()
        headers["Date"] = _http_date(int(request.received_at.timestamp()))
        if response.status not in (204, 304):
            headers["Content-Type"] = response.content_type
            headers["Content-Length"] = str(len(response.body))
        headers["X-Request-Id"] = request.id
        headers["Cache-Control"] = "no-store"
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Vary"] = "Origin"
        origin = request.headers.get("Origin")
        if origin is not None and origin.isascii() and origin.isprintable():
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = _EXPOSED
        for name, value in response.headers:
            headers[name] = value
        return headers

    def measured(self, request: Request, route: Route | None, response: Response) -> None:
        path = (route.label or request.path) if route is not None else "other"
        self._metrics.response(path, response.status, self.clock.monotonic() - request.monotonic)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^/.]+", re.escape(path)))


@lru_cache(maxsize=4)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)

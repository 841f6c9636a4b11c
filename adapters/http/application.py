"""The HTTP application: finds a request's route, and gives every answer its headers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from functools import lru_cache

from catchment.core.collecting.admission import rate_limited
from catchment.core.errors import Fault
from catchment.core.ports import Clock
from catchment.core.refusals import Reason, Refusal

from .answers import problem
from .engine.addresses import Clients
from .engine.exchange import Engine
from .engine.logs import log_fault
from .engine.message import Cors, Request, Response, Route, Routes
from .operations.metrics import Metrics
from .request_rates import RequestRates

_CORS = Cors()
"""For paths that do not exist: their answers are readable too."""
_ASKED_LETTERS = 2_000
_SHOWN = 20
_TOO_SLOW = "The body did not come in time, and nothing of it was stored. Send it again; if the line is slow, in parts."
_TOKENS = re.compile(r"[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*(?:,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*)*")


class PlainHeaders(dict[str, str]):
    """The headers of an answer, each once, with their names in canonical form. Tornado's own class spends most of its
    time on that form."""

    def get_all(self) -> Iterable[tuple[str, str]]:
        return self.items()


class Application(Engine):
    """Answers requests by a table of routes."""

    def __init__(
        self,
        routes: Routes,
        *,
        clients: Clients,
        clock: Clock,
        metrics: Metrics,
        rates: RequestRates,
        receive_bytes: int,
    ) -> None:
        super().__init__(clients=clients, clock=clock, receive_bytes=receive_bytes)
        self._rates = rates
        self._routes = {path: methods for path, methods in routes.items() if "{" not in path}
        self._patterns = [(_pattern(path), methods) for path, methods in routes.items() if "{" in path]
        self._metrics = metrics

    def _methods(self, path: str) -> Mapping[str, Route] | None:
        methods = self._routes.get(path)
        if methods is None:
            methods = next((methods for pattern, methods in self._patterns if pattern.fullmatch(path)), None)
        return methods

    def route(self, method: str, path: str) -> Route | None:
        methods = self._methods(path)
        return None if methods is None else methods.get("GET" if method == "HEAD" else method)

    async def respond(self, request: Request) -> Response:
        route = request.route
        wait = self._charge(request)
        if wait is not None:
            await self._rates.slow_down(request)
            return problem(rate_limited(wait), request)
        if request.method == "OPTIONS":
            return Response(204, headers=self._preflight(request))
        if route is None:
            return self._no_route(request)
        if route.allowed is not None and not route.allowed(request):
            return problem(Refusal(reason=Reason.NOT_FOUND), request)
        try:
            return await route.handler(request)
        except (Exception, asyncio.CancelledError) as error:  # the sender is told to send again, with the same ids
            ids = error.event_ids if isinstance(error, Fault) else ()
            log_fault(request, error)
            return self._refuse(request, Refusal(reason=Reason.COMMIT_UNKNOWN, retry_after=5, event_ids=ids))

    def _charge(self, request: Request) -> int | None:
        """Charge the address, unless the handler does it. Return the seconds to wait if it is over its rate."""
        route = request.route
        if route is not None and (route.charges or (route.free_for is not None and route.free_for(request))):
            return None
        return self._rates.charge(request)

    def _preflight(self, request: Request) -> tuple[tuple[str, str], ...]:
        """Return the headers of the answer to a CORS preflight."""
        cors = self._cors(request)
        allowed = dict.fromkeys(cors.headers)
        asked = request.headers.get("Access-Control-Request-Headers", "")
        if cors.any_header and len(asked) <= _ASKED_LETTERS and _TOKENS.fullmatch(asked):
            allowed |= dict.fromkeys(name.strip().lower() for name in asked.split(","))
        headers: tuple[tuple[str, str], ...] = (
            ("Access-Control-Allow-Methods", ", ".join(cors.methods)),
            ("Access-Control-Allow-Headers", ", ".join(allowed)),
            ("Access-Control-Max-Age", str(cors.max_age)),
            ("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Private-Network"),
        )
        if request.headers.get("Access-Control-Request-Private-Network") == "true" and self.route("POST", request.path):
            headers += (("Access-Control-Allow-Private-Network", "true"),)
        return headers

    def _cors(self, request: Request) -> Cors:
        """Return the policy of a request's route; of a preflight's, the policy of the method that it asks about."""
        if request.route is not None:
            return request.route.cors
        methods = self._methods(request.path)
        if not methods:
            return _CORS
        asked = request.headers.get("Access-Control-Request-Method", "")
        return (methods.get(asked) or next(iter(methods.values()))).cors

    def too_slow(self, request: Request) -> Response:
        """Return the answer to a request whose body did not come in time. It has `Retry-After`: trackers send again
        only after such an answer."""
        return self._refuse(request, Refusal(reason=Reason.UNAVAILABLE, detail=_TOO_SLOW, retry_after=5), 408)

    def _refuse(self, request: Request, refusal: Refusal, status: int = 0) -> Response:
        if request.route is not None and request.route.refuse is not None:
            try:
                return request.route.refuse(request, refusal, status)
            except Exception as error:  # the protocol cannot write its own refusal
                log_fault(request, error)
        return problem(refusal, request, status=status, batch=len(refusal.event_ids) > 1)

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
        """Return all headers of an answer. The page's script may read every answer, refusals included."""
        headers = PlainHeaders()
        headers["Date"] = _http_date(int(request.received_at.timestamp()))
        if response.status not in (204, 304):
            headers["Content-Type"] = response.content_type
            headers["Content-Length"] = str(len(response.body))
        headers["X-Request-Id"] = request.id
        headers["Cache-Control"] = "no-store"
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Vary"] = "Origin"
        route = request.route
        origin = request.headers.get("Origin")
        if origin is not None and origin.isascii() and origin.isprintable():
            headers["Access-Control-Allow-Origin"] = origin
            cors = route.cors if route is not None else self._cors(request)
            headers["Access-Control-Expose-Headers"] = cors.exposed
        if route is not None and route.cache and response.status < 400:
            headers.update(_for_caches(route.cache))
        for name, value in response.headers:
            headers[name] = value
        return headers

    def measured(self, request: Request, response: Response) -> None:
        route = request.route
        path = (route.label or request.path) if route is not None else "other"
        self._metrics.response(path, response.status, self.clock.monotonic() - request.monotonic)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^/.]+", re.escape(path)))


def _for_caches(control: str) -> dict[str, str]:
    """Return the headers of an answer that is the same for every website, so that any cache may keep it."""
    return {
        "Cache-Control": control,
        "Vary": "Accept-Encoding",
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }


@lru_cache(maxsize=4)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)

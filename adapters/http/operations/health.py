"""What operators ask: is it alive, may it take traffic, what does it count, what does it speak."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from catchment.core.outcomes import Reason, Refusal
from catchment.core.plain import plain_json

from ..answers import encode, problem
from ..engine.addresses import FORWARDED_FOR, Networks, also_forwards
from ..engine.exchange import Request, Response
from .metrics import CONTENT_TYPE, Metrics

Readiness = Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]
"""Whether this server may take traffic, and the details for operators."""


class Operations:
    """`/healthz`, `/readyz`, `/metrics`, `/openapi.json`."""

    def __init__(
        self,
        *,
        readiness: Readiness,
        metrics: Metrics,
        openapi: dict[str, Any],
        operators: Networks,
    ) -> None:
        self._readiness = readiness
        self._metrics = metrics
        self._openapi = encode(openapi)
        self._operators = operators

    def _by_operator(self, request: Request) -> bool:
        """Return True if an operator asks. A forwarded request that does not name its client is no operator's."""
        client, headers = request.client, request.headers
        if not client.vouched or (FORWARDED_FOR not in headers and also_forwards(headers)):
            return False
        return self._operators.hold(client.address)

    async def healthz(self, request: Request) -> Response:
        """The process is alive and its event loop turns."""
        return Response(200, encode({"status": "alive"}))

    async def readyz(self, request: Request) -> Response:
        """Whether it may take traffic; the details for operators alone."""
        ready, details = await self._readiness()
        body: dict[str, Any] = {"status": "ready" if ready else "not_ready"}
        if self._by_operator(request):
            body.update(details)
        return Response(200 if ready else 503, plain_json(body).encode())

    async def metrics(self, request: Request) -> Response:
        if not self._by_operator(request):
            return problem(Refusal(reason=Reason.NOT_FOUND), request)
        return Response(200, self._metrics.text(), CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:
        return Response(200, self._openapi)

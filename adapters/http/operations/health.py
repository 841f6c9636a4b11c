"""Answers for operators: alive, ready, metrics, and the OpenAPI description."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from catchment.core.plain import plain_json

from ..answers import encode
from ..engine.addresses import FORWARDED_FOR, Networks, also_forwards
from ..engine.message import Request, Response
from .metrics import CONTENT_TYPE, Metrics

Readiness = Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]
"""Returns True if this server may take traffic, and details for operators."""


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

    def asked_by_operator(self, request: Request) -> bool:
        """Return True if an operator asks. A forwarded request that does not name its client is no operator's."""
        client, headers = request.client, request.headers
        if not client.vouched or (FORWARDED_FOR not in headers and also_forwards(headers)):
            return False
        return self._operators.hold(client.address)

    async def healthz(self, request: Request) -> Response:
        """Answer 200: the process is alive and its event loop runs."""
        return Response(200, encode({"status": "alive"}))

    async def readyz(self, request: Request) -> Response:
        """Answer 200 if it may take traffic, else 503. Only operators see the details."""
        ready, details = await self._readiness()
        body: dict[str, Any] = {"status": "ready" if ready else "not_ready"}
        if self.asked_by_operator(request):
            body.update(details)
        return Response(200 if ready else 503, plain_json(body).encode())

    async def metrics(self, request: Request) -> Response:
        """Answer with the metrics of all workers."""
        return Response(200, self._metrics.text(), CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:
        """Answer with the OpenAPI description."""
        return Response(200, self._openapi)

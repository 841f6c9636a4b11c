"""Which address answers what."""

from __future__ import annotations

from catchment.core.limits import Limits

from .collecting import Collecting
from .exchange import Route, Routes
from .operations import Operations


def routes(collecting: Collecting, operations: Operations, limits: Limits) -> Routes:
    """All routes of a server."""
    return {
        "/v1/events": {"POST": Route(collecting.event, limits.body_bytes)},
        "/v1/batch": {"POST": Route(collecting.batch, limits.batch_bytes)},
        "/healthz": {"GET": Route(operations.healthz)},
        "/readyz": {"GET": Route(operations.readyz)},
        "/metrics": {"GET": Route(operations.metrics)},
        "/openapi.json": {"GET": Route(operations.openapi)},
    }

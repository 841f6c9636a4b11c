"""Which address answers what."""

from __future__ import annotations

from catchment.core.limits import Limits

from .collecting import Collecting
from .engine.exchange import Route, Routes
from .operations import front
from .operations.health import Operations
from .tracker.handing_out import Tracker

_VERSIONED = ("/catchment.{version}.js", "/catchment.plus.{version}.js")


def routes(collecting: Collecting, operations: Operations, tracker: Tracker, limits: Limits) -> Routes:
    """All routes of a server."""
    return {
        "/v1/events": {"POST": Route(collecting.event, limits.body_bytes)},
        "/v1/batch": {"POST": Route(collecting.batch, limits.batch_bytes)},
        "/v1/pixel.gif": {"GET": Route(collecting.pixel)},
        "/catchment.js": {"GET": Route(tracker.short)},
        "/catchment.plus.js": {"GET": Route(tracker.short)},
        **{path: {"GET": Route(tracker.versioned, label=path)} for path in _VERSIONED},
        "/": {"GET": Route(front.page)},
        "/healthz": {"GET": Route(operations.healthz)},
        "/readyz": {"GET": Route(operations.readyz)},
        "/metrics": {"GET": Route(operations.metrics)},
        "/openapi.json": {"GET": Route(operations.openapi)},
    }

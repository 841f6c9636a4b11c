"""The table of routes: each path, its handler, and its policy."""

from __future__ import annotations

from catchment.core.limits import Limits

from .engine.message import Route, Routes
from .operations import front
from .operations.health import Operations
from .protocol_runner import ProtocolRunner
from .protocols.native import Batch, Events
from .protocols.pixel import Pixel
from .protocols.wire_protocol import WireProtocol
from .tracker.handing_out import FOR_GOOD, FOR_NOW, Tracker

_VERSIONED = ("/catchment.{version}.js", "/catchment.plus.{version}.js")


def wire_protocols(limits: Limits) -> tuple[WireProtocol, ...]:
    """Return the wire protocols that a server speaks."""
    return (Events(limits), Batch(limits), Pixel(limits))


def routes(protocol_runner: ProtocolRunner, operations: Operations, tracker: Tracker, limits: Limits) -> Routes:
    """Return all routes of a server."""
    operators = operations.asked_by_operator
    return {
        **protocol_runner.routes(wire_protocols(limits)),
        "/catchment.js": {"GET": Route(tracker.short, cache=FOR_NOW)},
        "/catchment.plus.js": {"GET": Route(tracker.short, cache=FOR_NOW)},
        **{path: {"GET": Route(tracker.versioned, label=path, cache=FOR_GOOD)} for path in _VERSIONED},
        "/": {"GET": Route(front.page)},
        "/healthz": {"GET": Route(operations.healthz, free_for=operators)},
        "/readyz": {"GET": Route(operations.readyz, free_for=operators)},
        "/metrics": {"GET": Route(operations.metrics, free_for=operators, allowed=operators)},
        "/openapi.json": {"GET": Route(operations.openapi)},
    }

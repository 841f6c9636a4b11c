"""The metrics for Prometheus. None has a label for the project."""

from __future__ import annotations

import os
import platform
from collections import Counter as Count
from collections.abc import Iterable, Mapping
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from catchment.core.collecting.losses import KNOWN_REASONS, OTHER_REASON, LossOutcome
from catchment.core.outcomes import Outcome
from catchment.core.refusals import Reason

from .process import ProcessMetrics

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_EVENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_FILTERED = (Reason.BOT, Reason.DO_NOT_TRACK)
_PLUGIN = "plugin"
_NO_EVENT = (Reason.NOT_FOUND, Reason.METHOD_NOT_ALLOWED)
_COLLECTING = ("/v1/events", "/v1/batch", "/v1/pixel.gif")
_STATUSES = (200, 400, 401, 402, 403, 413, 415, 422, 429, 500, 503)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one process. Counting is kept off the hot path: counts gather here, and are handed on when
    they are asked for or once a second."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter(
            "catchment_events", "Events by outcome and reason", ["outcome", "reason"], registry=self.registry
        )
        self._responses = Counter(
            "catchment_http_responses", "Answers by route and status", ["route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "catchment_http_response_seconds",
            "From a request's last byte to its answer",
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._commit_seconds = Histogram(
            "catchment_commit_seconds", "Time of a group commit", registry=self.registry, buckets=_SECONDS
        )
        self._commit_events = Histogram(
            "catchment_commit_events", "Events in a group commit", registry=self.registry, buckets=_EVENTS
        )
        self._failures = Counter(
            "catchment_database_failures",
            "Failed database calls by what they mean and SQLSTATE",
            ["failure", "sqlstate"],
            registry=self.registry,
        )
        self._quarantined = Counter(
            "catchment_quarantined_events", "Events that the database could not hold", registry=self.registry
        )
        self._plugin_failures = Counter(
            "catchment_plugin_failures", "Failed plugin calls", ["plugin", "hook"], registry=self.registry
        )
        self._loss_reports = Counter(
            "catchment_loss_reports", "Reports of client losses by outcome", ["outcome"], registry=self.registry
        )
        self._losses = Counter(
            "catchment_client_losses", "Events that senders lost, as they say", ["reason"], registry=self.registry
        )
        self._queue_events = self._gauge("catchment_queue_events", "Events that wait for a commit", "livesum")
        self._queue_bytes = self._gauge("catchment_queue_bytes", "Bytes that wait for a commit", "livesum")
        self._connections = self._gauge("catchment_connections", "Open client connections", "livesum")
        self._queue_age = self._gauge("catchment_queue_oldest_seconds", "Age of the oldest that waits", "livemax")
        self._lag = self._gauge("catchment_event_loop_lag_seconds", "How late the event loop is", "livemax")
        self._up = self._gauge("catchment_database_up", "Whether events can be stored, of the worst worker", "livemin")
        self._alert = self._gauge("catchment_database_alert", "Whether a failure needs an operator", "livemax")
        self._alive = self._gauge("catchment_workers_alive", "Workers that run", "livesum")
        self._wanted = self._gauge("catchment_workers_configured", "Workers that should run", "livemax")
        self._build = Gauge(
            "catchment_build_info",
            "The version that runs; always 1",
            ["version", "python"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._process = ProcessMetrics(self.registry)
        self._pending_events: Count[tuple[str, str]] = Count()
        self._pending_responses: Count[tuple[str, int]] = Count()

    def _gauge(self, name: str, about: str, summed: Literal["livesum", "livemax", "livemin"]) -> Gauge:
        return Gauge(name, about, registry=self.registry, multiprocess_mode=summed)

    def begin(self, *, version: str, workers: int, failures: Iterable[str], plugins: Iterable[tuple[str, str]]) -> None:
        """Begin every series whose labels are known at 0: an increase from nothing to 1 is none to Prometheus.

        `failures`: what a failed call of the database can mean. `plugins`: each plugin with each of its hooks.
        """
        self._build.labels(version, platform.python_version()).set(1)
        self._alive.set(1)
        self._wanted.set(workers)
        for outcome in (Outcome.STORED, Outcome.DUPLICATE, Outcome.DRY_RUN):
            self._events.labels(outcome, "")
        for reason in (*_FILTERED, _PLUGIN):
            self._events.labels(Outcome.FILTERED, reason)
        for reason in Reason:
            if reason not in _FILTERED and reason not in _NO_EVENT:
                self._events.labels(Outcome.REFUSED, reason)
        for route in _COLLECTING:
            for status in _STATUSES:
                self._responses.labels(route, str(status))
        for failure in failures:
            self._failures.labels(failure, "")
        for plugin, hook in plugins:
            self._plugin_failures.labels(plugin, hook)
        for loss in (*KNOWN_REASONS, OTHER_REASON):
            self._losses.labels(loss)
        for recorded in LossOutcome:
            self._loss_reports.labels(recorded)
        self._process.begin()

    def events(self, outcome: str, reason: str | None, count: int) -> None:
        if reason is not None and reason.startswith("plugin:"):
            reason = _PLUGIN
        self._pending_events[outcome, reason or ""] += count

    def response(self, route: str, status: int, seconds: float) -> None:
        self._pending_responses[route, status] += 1
        self._seconds.observe(seconds)

    def loss_report(self, outcome: str) -> None:
        self._loss_reports.labels(outcome).inc()

    def lost(self, reason: str, events: int) -> None:
        """`reason`: of a closed list; senders choose their own words."""
        self._losses.labels(reason).inc(events)

    # what the sink tells

    def committed(self, events: int, seconds: float) -> None:
        self._commit_seconds.observe(seconds)
        self._commit_events.observe(events)

    def failed(self, failure: str, sqlstate: str) -> None:
        self._failures.labels(failure, sqlstate).inc()

    def quarantined(self, events: int) -> None:
        self._quarantined.inc(events)

    # what is looked at once a second

    def gauge(
        self, *, queued: tuple[int, int], oldest: float, connections: int, lag: float, up: bool, alert: bool
    ) -> None:
        self._queue_events.set(queued[0])
        self._queue_bytes.set(queued[1])
        self._queue_age.set(oldest)
        self._connections.set(connections)
        self._lag.set(lag)
        self._up.set(up)
        self._alert.set(alert)
        self._process.look()

    def plugin_failures(self, failures: Mapping[tuple[str, str], int]) -> None:
        """Adds the failures of plugins since the last time."""
        for (plugin, hook), count in failures.items():
            self._plugin_failures.labels(plugin, hook).inc(count)

    def flush(self) -> None:
        """Hands on what has gathered."""
        events, self._pending_events = self._pending_events, Count()
        for (outcome, reason), count in events.items():
            self._events.labels(outcome, reason).inc(count)
        responses, self._pending_responses = self._pending_responses, Count()
        for (route, status), count in responses.items():
            self._responses.labels(route, str(status)).inc(count)

    def text(self) -> bytes:
        """All metrics, of all workers, as Prometheus reads them."""
        self.flush()
        registry = self.registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

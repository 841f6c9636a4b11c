"""Makes the server's objects of the settings: plugs the adapters to the ports.

`database.py` opens what needs a connection, `management.py` makes the commands' objects. Each part is a keyword.
Tests call the same functions, and name other parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

from catchment.adapters.http.application import Application
from catchment.adapters.http.engine.addresses import Clients, Networks
from catchment.adapters.http.engine.message import Routes
from catchment.adapters.http.operations.health import Operations, Readiness
from catchment.adapters.http.operations.metrics import Metrics
from catchment.adapters.http.operations.openapi import describe
from catchment.adapters.http.protocol_runner import ProtocolRunner
from catchment.adapters.http.routes import routes
from catchment.adapters.http.tracker.handing_out import Tracker, shipped_scripts
from catchment.adapters.postgres.salts import PostgresSalts
from catchment.adapters.postgres.scripts import PostgresScripts
from catchment.adapters.system.rate_limiter import TokenBuckets
from catchment.core.accounts.ports import ScriptArchive
from catchment.core.accounts.scripts import Script
from catchment.core.collecting.collect import Collect
from catchment.core.collecting.ports import (
    EventSink,
    Extensions,
    LossLedger,
    OutcomeCounter,
    ProjectRepository,
    RateLimiter,
    Salts,
)
from catchment.core.collecting.sampling import Sampler
from catchment.core.collecting.submission import Answer
from catchment.core.limits import Limits
from catchment.core.ports import Clock, IdGenerator

from .database import Database
from .settings import RateSettings, Settings

VERSION = version("catchment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The adapters behind the core's ports."""

    clock: Clock
    ids: IdGenerator
    projects: ProjectRepository
    sink: EventSink
    losses: LossLedger
    outcomes: OutcomeCounter
    sampler: Sampler
    salts: Salts
    archive: ScriptArchive
    rate_limiter: RateLimiter
    extensions: Extensions


def postgres_parts(
    database: Database, *, clock: Clock, ids: IdGenerator, rate: RateSettings, extensions: Extensions
) -> Parts:
    """Return the parts of a server that stores in PostgreSQL."""
    return Parts(
        clock=clock,
        ids=ids,
        projects=database.projects,
        sink=database.sink,
        losses=database.losses,
        outcomes=database.outcomes,
        sampler=database.sampler,
        salts=PostgresSalts(database.readers, ids),
        archive=PostgresScripts(database.aside),
        rate_limiter=TokenBuckets(
            rate_per_key=rate.per_key,
            rate_per_address=rate.per_address,
            address_burst=rate.address_burst,
            monotonic=clock.monotonic,
        ),
        extensions=extensions,
    )


def plug_collect(parts: Parts, limits: Limits) -> Collect:
    """Return the collecting use case on these parts."""
    return Collect(
        projects=parts.projects,
        sink=parts.sink,
        losses=parts.losses,
        outcomes=parts.outcomes,
        sampler=parts.sampler,
        extensions=parts.extensions,
        salts=parts.salts,
        rate_limiter=parts.rate_limiter,
        clock=parts.clock,
        ids=parts.ids,
        limits=limits,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """The parts that answer HTTP requests."""

    clients: Clients
    protocol_runner: ProtocolRunner
    tracker: Tracker
    routes: Routes
    application: Application


def plug_http(
    parts: Parts,
    settings: Settings,
    *,
    metrics: Metrics,
    readiness: Readiness,
    watch: Callable[[Answer, bool], None] | None = None,
    scripts: Mapping[str, Script] | None = None,
    version: str = VERSION,
) -> Http:
    """Return what answers HTTP on these parts.

    `watch` is told every answer, and True if it was a dry run. `scripts` are the tracker's, the shipped ones if None.
    """
    clients = Clients(Networks(settings.http.trusted_proxies))
    protocol_runner = ProtocolRunner(
        plug_collect(parts, settings.limits),
        limits=settings.limits,
        deadline=settings.collect.deadline,
        metrics=metrics,
        watch=watch,
    )
    operations = Operations(
        readiness=readiness,
        metrics=metrics,
        openapi=describe(settings.limits, version, settings.public_url),
        operators=Networks(settings.http.operator_networks),
    )
    tracker = Tracker(
        shipped_scripts() if scripts is None else scripts,
        parts.archive,
        rate_limiter=parts.rate_limiter,
        clock=parts.clock,
    )
    served = routes(protocol_runner, operations, tracker, settings.limits)
    application = Application(
        served,
        clients=clients,
        clock=parts.clock,
        metrics=metrics,
        rates=protocol_runner.rates,
        receive_bytes=settings.http.receive_bytes,
    )
    return Http(
        clients=clients, protocol_runner=protocol_runner, tracker=tracker, routes=served, application=application
    )

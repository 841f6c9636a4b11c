"""The composition root: the only place that knows who is plugged to whom. Tests call the same functions with other
parts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from catchment.adapters.http.application import Application
from catchment.adapters.http.collecting import Collecting
from catchment.adapters.http.engine.addresses import Clients, Networks
from catchment.adapters.http.operations.health import Operations
from catchment.adapters.http.operations.metrics import Metrics
from catchment.adapters.http.operations.openapi import describe
from catchment.adapters.http.routes import routes
from catchment.adapters.http.tracker.handing_out import Tracker, shipped_scripts
from catchment.adapters.postgres.anonymizer import SaltedAnonymizer
from catchment.adapters.postgres.errors import POOLED, DatabaseError, Failure, Refused
from catchment.adapters.postgres.key_uses import KeyUses
from catchment.adapters.postgres.link import Link, Links, LowDescriptors, end, survey
from catchment.adapters.postgres.losses import PostgresLosses
from catchment.adapters.postgres.maintenance import Maintenance
from catchment.adapters.postgres.meter import PostgresMeter
from catchment.adapters.postgres.projects import CachedProjects
from catchment.adapters.postgres.registry import PostgresRegistry
from catchment.adapters.postgres.scripts import PostgresScripts
from catchment.adapters.postgres.session_checks import PrimaryMemory, SessionChecks
from catchment.adapters.postgres.sink import GroupCommit, GroupLimits
from catchment.adapters.system.clock import SystemClock
from catchment.adapters.system.hosts import ascii_origin
from catchment.adapters.system.ids import SystemIds
from catchment.adapters.system.rate_limiter import TokenBuckets
from catchment.core.accounts.administer import Administer
from catchment.core.accounts.ports import ScriptArchive
from catchment.core.collecting.collect import Collect
from catchment.core.collecting.ports import LossLedger
from catchment.core.collecting.submission import Answer
from catchment.core.errors import Invalid, Unavailable
from catchment.core.metering.ports import UsageMeter
from catchment.core.ports import Clock
from catchment.plugins.manager import PluginExtensions

from .plugins import plugin_extensions
from .settings import Settings

log = logging.getLogger(__name__)

VERSION = version("catchment")
_COMMAND_TIMEOUT = 60.0
_COMMAND_WAIT = 10.0
_SLOW_LOOKUP = 2.0
_SLOW_MAINTENANCE = 30.0
_SURVEY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Management:
    """What commands work with."""

    administer: Administer
    meter: UsageMeter
    losses: LossLedger
    archive: ScriptArchive
    maintenance: Maintenance
    extensions: PluginExtensions


@asynccontextmanager
async def management(settings: Settings, dsn: str) -> AsyncIterator[Management]:
    """The parts that commands need, on a database that is at this version."""
    descriptors = LowDescriptors(2)
    checks = SessionChecks(SystemClock())
    maintaining = Link(dsn, name="maintenance", timeout=_COMMAND_TIMEOUT, descriptors=descriptors, checks=checks)
    links = Links(dsn, count=1, name="command", timeout=_COMMAND_TIMEOUT, descriptors=descriptors, checks=checks)
    try:
        await survey(dsn, checks, timeout=_SLOW_LOOKUP, descriptors=descriptors)
        yield Management(
            administer=Administer(PostgresRegistry(links), SystemIds(), ascii_origin),
            meter=PostgresMeter(links, SystemClock()),
            losses=PostgresLosses(links, clock=SystemClock(), limits=settings.limits),
            archive=PostgresScripts(links),
            maintenance=Maintenance(maintaining, SystemClock(), wait=_COMMAND_WAIT),
            extensions=plugin_extensions(settings),
        )
    finally:
        links.close()
        maintaining.drop()
        descriptors.close()


async def refuse_shared_sessions(dsn: str) -> None:
    """Raises `Invalid` if the address leads to a pooler that pools transactions. Whatever else is wrong with the
    database is told by whoever meets it."""
    descriptors, checks = LowDescriptors(2), SessionChecks(None)
    links = [
        Link(dsn, name=f"check {n}", timeout=_SLOW_LOOKUP, descriptors=descriptors, checks=checks) for n in range(2)
    ]
    try:
        for link in (*links, links[0]):
            await link.look()
    except DatabaseError as error:
        if error.sqlstate == POOLED:
            raise Invalid(f"database.url: {error}") from None
    finally:
        for link in links:
            link.drop()
        descriptors.close()


class Collector:
    """A whole collecting server but its sockets: one of these runs in each worker.

    `watch` is told every answer, and whether it was a dry run, for a person who looks on.
    `revive` starts the database while it is down, where nobody else looks after it; it may block, and raise `Invalid`.
    `primary` is what all workers remember of the database's primary. `clock` is the machine's, if none is given.
    """

    def __init__(
        self,
        settings: Settings,
        dsn: str,
        *,
        on_death: Callable[[BaseException], None],
        watch: Callable[[Answer, bool], None] | None = None,
        revive: Callable[[], object] | None = None,
        primary: PrimaryMemory | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._revive = revive
        self._dsn = dsn
        clock, ids = clock or SystemClock(), SystemIds()
        count = settings.database.writers + settings.database.readers + 4
        deadline = settings.collect.deadline
        self._settings = settings
        self._descriptors = descriptors = LowDescriptors(count)
        self.checks = checks = SessionChecks(clock, primary)
        self.metrics = Metrics()
        self.clock, self.ids = clock, ids
        self._readers = Links(
            dsn,
            count=settings.database.readers,
            name="reader",
            timeout=min(deadline, _SLOW_LOOKUP),
            descriptors=descriptors,
            checks=checks,
            failed=self.metrics.failed,
        )
        # A session of its own: what anybody may ask for without a key, or report, never holds up an event.
        self._aside = Links(
            dsn,
            count=1,
            name="aside",
            timeout=min(deadline, _SLOW_LOOKUP),
            descriptors=descriptors,
            checks=checks,
            failed=self.metrics.failed,
        )
        # Another one: whoever makes up keys waits for those of others who do.
        self._strangers = Links(
            dsn,
            count=1,
            name="strangers",
            timeout=min(deadline, _SLOW_LOOKUP),
            descriptors=descriptors,
            checks=checks,
            failed=self.metrics.failed,
        )
        self._key_uses = KeyUses(self._aside)
        self.projects = CachedProjects(
            self._readers,
            Link(dsn, name="listener", timeout=min(deadline, _SLOW_LOOKUP), descriptors=descriptors, checks=checks),
            clock=clock,
            strangers=self._strangers,
            patience=min(deadline / 2, _SLOW_LOOKUP),
            down=lambda: self.sink.down,
            used=self._key_uses.note,
        )
        self.sink = GroupCommit(
            [
                Link(dsn, name=f"writer {number}", timeout=deadline, descriptors=descriptors, checks=checks)
                for number in range(settings.database.writers)
            ],
            clock=clock,
            limits=GroupLimits(
                group_events=settings.collect.group_events,
                group_bytes=settings.collect.group_bytes,
                queue_events=settings.collect.queue_events,
                queue_bytes=settings.collect.queue_bytes,
            ),
            observer=self.metrics,
            on_death=on_death,
        )
        # A session of its own here too: forgetting a month's ids takes minutes.
        self._maintenance = Maintenance(
            Link(dsn, name="maintenance", timeout=_SLOW_MAINTENANCE, descriptors=descriptors, checks=checks), clock
        )
        self.extensions = plugin_extensions(settings)
        rate_limiter = TokenBuckets(
            rate_per_key=settings.rate.per_key,
            rate_per_address=settings.rate.per_address,
            address_burst=settings.rate.address_burst,
            monotonic=clock.monotonic,
        )
        collect = Collect(
            projects=self.projects,
            sink=self.sink,
            losses=PostgresLosses(self._aside, clock=clock, limits=settings.limits),
            extensions=self.extensions,
            anonymizer=SaltedAnonymizer(self._readers, ids),
            rate_limiter=rate_limiter,
            clock=clock,
            ids=ids,
            limits=settings.limits,
        )
        self._clients = Clients(Networks(settings.http.trusted_proxies))
        collecting = Collecting(collect, limits=settings.limits, deadline=deadline, metrics=self.metrics, watch=watch)
        operations = Operations(
            readiness=self._readiness,
            metrics=self.metrics,
            openapi=describe(settings.limits, VERSION, settings.public_url),
            operators=Networks(settings.http.operator_networks),
        )
        archive = PostgresScripts(self._aside)
        self.tracker = Tracker(shipped_scripts(), archive, rate_limiter=rate_limiter, clock=clock)
        self.application = Application(
            routes(collecting, operations, self.tracker, settings.limits),
            clients=self._clients,
            clock=clock,
            metrics=self.metrics,
            receive_bytes=settings.http.receive_bytes,
        )
        self._draining = False
        self._lag = 0.0
        self._told_failures: dict[tuple[str, str], int] = {}
        self._pulse: asyncio.Task[None] | None = None
        self._surveys: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts what runs beside the requests. Raises `PluginErrors`, and `Unavailable` where the database does
        not answer."""
        asyncio.get_running_loop().set_exception_handler(_quiet)
        await self.extensions.configure(self._settings.plugins.sections)
        try:
            await self._start()
        except BaseException:
            await self.extensions.close()
            raise

    async def _start(self) -> None:
        self.metrics.begin(
            version=VERSION,
            workers=self._settings.http.workers,
            failures=Failure,
            plugins=[(plugin.name, hook) for plugin in self.extensions.describe() for hook in plugin.hooks],
        )
        await self._meet_database()
        self.tracker.warn()
        await self._maintenance.begin()
        self.projects.start()
        await self.projects.wait_until_listening(within=_SLOW_LOOKUP)
        self.sink.start()
        self._key_uses.start()
        self._maintenance.start()
        self._pulse = asyncio.get_running_loop().create_task(self._beat(), name="pulse")
        self._surveys = asyncio.get_running_loop().create_task(self._survey_regularly(), name="survey")

    async def _meet_database(self) -> None:
        """Makes the first session. What may heal while the server runs (a clock, a primary) does not end it: nothing
        is stored, and `/readyz` says why."""
        await self._survey()
        try:
            async with self._readers.link() as link:
                await link.look()
        except Refused as error:
            log.critical("%s", error)

    async def _survey(self) -> None:
        await survey(self._dsn, self.checks, timeout=_SLOW_LOOKUP, descriptors=self._descriptors)

    async def _survey_regularly(self) -> None:
        while True:
            await asyncio.sleep(_SURVEY_SECONDS)
            await self._survey()

    def stop_taking(self) -> None:
        """From now on `/readyz` says not ready."""
        self._draining = True

    async def close(self) -> None:
        """Writes what waits, and ends; plugins too."""
        try:
            await self.sink.close()
            await self._maintenance.close()
            await self._key_uses.close()
            await self.projects.close()
        finally:
            await self.extensions.close()
        await end(self._pulse, self._surveys)
        self._readers.close()
        self._strangers.close()
        self._aside.close()
        self._descriptors.close()
        self.metrics.flush()

    async def _beat(self) -> None:
        """Once a second: gauges, gathered counts, and how late the event loop is."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 1.0
            await asyncio.sleep(1.0)
            self._lag = max(0.0, loop.time() - due)
            self.metrics.gauge(
                queued=self.sink.queued,
                oldest=self.sink.oldest,
                connections=len(self.application.connections),
                lag=self._lag,
                up=self.sink.down is None,
                alert=self.sink.alert is not None,
            )
            counts = dict(self.extensions.failures.counts)
            self.metrics.plugin_failures({k: n - self._told_failures.get(k, 0) for k, n in counts.items()})
            self._told_failures = counts
            self.metrics.flush()
            if self.sink.down is not None and self._revive is not None:
                try:
                    await asyncio.to_thread(self._revive)
                except Invalid as error:
                    log.error("%s", error)

    async def _readiness(self) -> tuple[bool, dict[str, Any]]:
        refusal = self.checks.refusal
        down = self.sink.down or (str(refusal) if refusal is not None else None)
        ready = down is None and self.projects.listening and not self._draining
        events, size = self.sink.queued
        return ready, {
            "version": VERSION,
            "draining": self._draining,
            "database": {
                **self.checks.durability,
                "timeline": self.checks.timeline,
                "down": down,
                "alert": self.sink.alert or (str(refusal) if refusal is not None else self.checks.alert),
                "announcements": self.projects.listening,
            },
            "queue": {"events": events, "bytes": size, "oldest_seconds": round(self.sink.oldest, 3)},
            "scripts": self.tracker.versions,
            "untrusted_proxy": self._clients.untrusted_proxy,
            "requests_in_flight": self.application.in_flight,
            "connections": len(self.application.connections),
            "event_loop_lag_seconds": round(self._lag, 4),
            "plugins": [plugin.name for plugin in self.extensions.describe()],
        }


def _quiet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody awaited, without the error's text: a driver puts statements into that."""
    error = context.get("exception")
    if isinstance(error, Unavailable):
        return
    log.error("in the event loop: %s", type(error).__name__ if error is not None else "an error without exception")

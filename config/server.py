"""A collecting server in one process: its start, its upkeep while it runs, and its end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from catchment.adapters.http.engine.logs import RateLimitedLog
from catchment.adapters.http.engine.server import ConnectionLimits, Server
from catchment.adapters.http.operations.metrics import Metrics
from catchment.adapters.postgres.errors import Failure
from catchment.adapters.postgres.session_checks import PrimaryMemory
from catchment.adapters.system.clock import SystemClock
from catchment.adapters.system.ids import SystemIds
from catchment.core.collecting.submission import Answer
from catchment.core.errors import Invalid, Unavailable
from catchment.core.metering.announcing import Announcer
from catchment.core.ports import Clock
from catchment.core.tasks import end, regularly

from .database import Database
from .health import Health
from .parts import VERSION, plug_http, postgres_parts
from .plugins import plugin_extensions
from .settings import Settings

log = logging.getLogger(__name__)

_QUIET_GRACE = 0.5
_BEAT_SECONDS = 1.0
_SURVEY_SECONDS = 60.0


class CollectingServer:
    """The server of one worker.

    `watch` is told every answer, and True if it was a dry run.
    `revive` starts the database while it is down, if nobody else does; it may block, and raise `Invalid`.
    `primary` is what all workers remember of the primary. `clock` is the machine's if None.
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
        self._settings = settings
        self._revive = revive
        self.clock, self.ids = clock or SystemClock(), SystemIds()
        self.metrics = Metrics()
        self.database = Database(
            settings, dsn, clock=self.clock, ids=self.ids, metrics=self.metrics, on_death=on_death, primary=primary
        )
        self.extensions = plugin_extensions(settings)
        parts = postgres_parts(
            self.database, clock=self.clock, ids=self.ids, rate=settings.rate, extensions=self.extensions
        )
        self.http = plug_http(parts, settings, metrics=self.metrics, readiness=self._readiness, watch=watch)
        self.announcer = Announcer(self.database.quota_states, self.extensions)
        self.health = Health(self.database, self.http, self.extensions)
        self._told_failures: dict[tuple[str, str], int] = {}
        self._upkeep: list[asyncio.Task[None]] = []
        self._beaten_at = 0.0
        self._warnings = RateLimitedLog()

    async def _readiness(self) -> tuple[bool, dict[str, Any]]:
        return self.health.render()

    async def run(
        self, sockets: list[socket.socket], stopped: Callable[[], Awaitable[object]], *, shared: bool = False
    ) -> None:
        """Serve on these sockets until `stopped` returns, then end without cutting a request. `shared`: other workers
        serve on them too."""
        await self.start()
        limits = ConnectionLimits(idle=self._settings.http.idle_seconds, body=self._settings.http.body_seconds)
        server = Server(self.http.application, sockets, limits, shared=shared)
        server.start()
        log.info("collecting")
        try:
            await stopped()
        finally:
            self.health.draining = True
            await server.drain(grace=_QUIET_GRACE, at_most=self._settings.http.drain_seconds)
            await self.close()
            log.info("ended")

    async def start(self) -> None:
        """Start what runs beside the requests. Raises `PluginErrors`, and `Unavailable` if the database does not
        answer."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_quiet)
        await self.extensions.configure(self._settings.plugins.sections)
        try:
            self.metrics.begin(
                version=VERSION,
                workers=self._settings.http.workers,
                failures=Failure,
                plugins=[(plugin.name, hook) for plugin in self.extensions.describe() for hook in plugin.hooks],
            )
            self.http.tracker.warn()
            await self.database.start()
            self.announcer.start()
        except BaseException:
            await self.extensions.close()
            raise
        self._beaten_at = loop.time()
        self._upkeep = [
            loop.create_task(regularly(self._beat, _BEAT_SECONDS, failed=self._warn), name="pulse"),
            loop.create_task(regularly(self.database.survey, _SURVEY_SECONDS, failed=self._warn), name="survey"),
        ]

    async def close(self) -> None:
        """Write what waits, and end; plugins too."""
        try:
            await self.announcer.close()
            await self.database.finish()
        finally:
            await self.extensions.close()
        await end(*self._upkeep)
        self.database.drop()
        self.metrics.flush()

    def _warn(self, error: Exception) -> None:
        self._warnings.warn("upkeep failed, and goes on: %s", type(error).__name__)

    async def _beat(self) -> None:
        """Set the gauges, hand over the counts, and measure how late the event loop is."""
        now = asyncio.get_running_loop().time()
        self.health.lag = max(0.0, now - self._beaten_at - _BEAT_SECONDS)
        self._beaten_at = now
        self._measure()
        await self._revive_database()
        self._beaten_at = asyncio.get_running_loop().time()

    def _measure(self) -> None:
        sink = self.database.sink
        self.metrics.gauge(
            queued=sink.queued,
            oldest=sink.oldest,
            connections=len(self.http.application.connections),
            lag=self.health.lag,
            up=sink.down is None,
            alert=sink.alert is not None,
        )
        counts = dict(self.extensions.failures.counts)
        self.metrics.plugin_failures({k: n - self._told_failures.get(k, 0) for k, n in counts.items()})
        self._told_failures = counts
        self.metrics.flush()

    async def _revive_database(self) -> None:
        if self.database.sink.down is None or self._revive is None:
            return
        try:
            await asyncio.to_thread(self._revive)
        except Invalid as error:
            log.error("%s", error)


def _quiet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an exception that nobody awaited, without its text: a driver puts statements into that."""
    error = context.get("exception")
    if isinstance(error, Unavailable):
        return
    log.error("in the event loop: %s", type(error).__name__ if error is not None else "an error without exception")

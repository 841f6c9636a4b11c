"""The collecting use case in a command: what a server has behind its HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from catchment.adapters.http.operations.metrics import Metrics
from catchment.adapters.system.clock import SystemClock
from catchment.adapters.system.ids import SystemIds
from catchment.core.metering.replaying import Collecting

from .database import Database
from .parts import plug_collect, postgres_parts
from .plugins import plugin_extensions
from .settings import Settings


@asynccontextmanager
async def open_collecting(settings: Settings, dsn: str) -> AsyncIterator[Collecting]:
    """Provide the collecting use case, with the plugins and limits of a server. Raises `PluginErrors` and
    `Unavailable`."""
    settings = replace(settings, database=replace(settings.database, writers=1, readers=1))
    clock, ids = SystemClock(), SystemIds()
    extensions = plugin_extensions(settings)
    await extensions.configure(settings.plugins.sections)
    try:
        database = Database(settings, dsn, clock=clock, ids=ids, metrics=Metrics(), on_death=_pass)
        parts = postgres_parts(database, clock=clock, ids=ids, rate=settings.rate, extensions=extensions)
        try:
            await database.meet()
            database.start_storing()
            yield plug_collect(parts, settings.limits)
        finally:
            await database.finish()
            database.drop()
    finally:
        await extensions.close()


def _pass(error: BaseException) -> None:
    """A writer that dies refuses its events, which the command tells."""

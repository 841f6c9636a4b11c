"""The use cases behind the commands, on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from catchment.adapters.cli.actions import Management
from catchment.adapters.postgres.link import SLOW_LOOKUP, Link, Links, survey
from catchment.adapters.postgres.losses import PostgresLosses
from catchment.adapters.postgres.low_descriptors import LowDescriptors
from catchment.adapters.postgres.maintenance import PostgresMaintenance
from catchment.adapters.postgres.meter import PostgresMeter
from catchment.adapters.postgres.outcomes import PostgresOutcomes
from catchment.adapters.postgres.quotas import PostgresQuotas
from catchment.adapters.postgres.registry import PostgresRegistry
from catchment.adapters.postgres.samples import PostgresSamples
from catchment.adapters.postgres.scripts import PostgresScripts
from catchment.adapters.postgres.session_checks import SessionChecks
from catchment.adapters.system.clock import SystemClock
from catchment.adapters.system.hosts import ascii_origin
from catchment.adapters.system.ids import SystemIds
from catchment.core.accounts.administer import Administer
from catchment.core.accounts.snippets import Snippets
from catchment.core.metering.billing import Billing
from catchment.core.metering.quotas import Quotas
from catchment.core.metering.replaying import Collecting, Inbox
from catchment.core.metering.reports import Reports

from .billing import PluginBackends
from .settings import Settings

_COMMAND_TIMEOUT = 60.0
_COMMAND_WAIT = 10.0


@asynccontextmanager
async def open_management(settings: Settings, dsn: str) -> AsyncIterator[Management]:
    """Provide the use cases, on a database that is at this version."""
    clock, ids = SystemClock(), SystemIds()
    descriptors = LowDescriptors(2)
    checks = SessionChecks(clock)
    maintaining = Link(dsn, name="maintenance", timeout=_COMMAND_TIMEOUT, descriptors=descriptors, checks=checks)
    links = Links(dsn, count=1, name="command", timeout=_COMMAND_TIMEOUT, descriptors=descriptors, checks=checks)
    registry, meter = PostgresRegistry(links), PostgresMeter(links, clock)
    try:
        await survey(dsn, checks, timeout=SLOW_LOOKUP, descriptors=descriptors)
        yield Management(
            administer=Administer(registry, ids, ascii_origin),
            snippets=Snippets(registry, PostgresScripts(links)),
            quotas=Quotas(PostgresQuotas(links), registry, settings.plans, clock=clock, ids=ids),
            reports=Reports(
                registry,
                meter,
                PostgresLosses(links, clock=clock, limits=settings.limits),
                PostgresOutcomes(links),
            ),
            inbox=Inbox(registry, PostgresSamples(links), partial(_open_collecting, settings, dsn), clock),
            billing=Billing(meter, PluginBackends(settings)),
            maintenance=PostgresMaintenance(maintaining, clock, wait=_COMMAND_WAIT),
        )
    finally:
        links.close()
        maintaining.drop()
        descriptors.close()


def _open_collecting(settings: Settings, dsn: str) -> AbstractAsyncContextManager[Collecting]:
    from .replaying import open_collecting  # the parts of a server take long to import

    return open_collecting(settings, dsn)

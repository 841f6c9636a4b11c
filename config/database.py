"""The parts of a server that work on PostgreSQL, and the sessions that each of them has."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from catchment.adapters.http.operations.metrics import Metrics
from catchment.adapters.postgres.batch_writer import PostgresWriter
from catchment.adapters.postgres.errors import POOLED, DatabaseError, Refused
from catchment.adapters.postgres.key_uses import KeyUses
from catchment.adapters.postgres.link import SLOW_LOOKUP, Link, Links, survey
from catchment.adapters.postgres.losses import PostgresLosses
from catchment.adapters.postgres.low_descriptors import LowDescriptors
from catchment.adapters.postgres.maintenance import PostgresMaintenance
from catchment.adapters.postgres.outcomes import PostgresOutcomes
from catchment.adapters.postgres.projects import CachedProjects
from catchment.adapters.postgres.quotas import PostgresQuotaStates
from catchment.adapters.postgres.samples import PostgresSamples
from catchment.adapters.postgres.session_checks import PrimaryMemory, SessionChecks
from catchment.core.collecting.group_commit import GroupCommit
from catchment.core.collecting.store_queue import GroupLimits
from catchment.core.errors import Invalid
from catchment.core.metering.flushing import Flushing
from catchment.core.metering.outcomes import OutcomeTally
from catchment.core.metering.sampling import InboxSampler
from catchment.core.ports import Clock, IdGenerator

from .settings import Settings

log = logging.getLogger(__name__)

_SLOW_MAINTENANCE = 30.0


class Database:
    """PostgreSQL, as one worker uses it.

    `primary` is what all workers remember of the primary. `on_death` is told the error that ended a writer.
    """

    def __init__(
        self,
        settings: Settings,
        dsn: str,
        *,
        clock: Clock,
        ids: IdGenerator,
        metrics: Metrics,
        on_death: Callable[[BaseException], None],
        primary: PrimaryMemory | None = None,
    ) -> None:
        self._dsn = dsn
        self._descriptors = LowDescriptors(settings.database.writers + settings.database.readers + 4)
        self.checks = SessionChecks(clock, primary)
        deadline = settings.collect.deadline
        timeout = min(deadline, SLOW_LOOKUP)
        link = partial(Link, dsn, descriptors=self._descriptors, checks=self.checks)
        links = partial(
            Links,
            dsn,
            timeout=timeout,
            descriptors=self._descriptors,
            checks=self.checks,
            failed=metrics.failed,
        )
        self.readers: Links = links(count=settings.database.readers, name="reader")
        # A session of its own: look-ups and reports that need no key never hold up an event.
        self.aside: Links = links(count=1, name="aside")
        # Another one: those who make up keys wait for one another alone.
        self._strangers: Links = links(count=1, name="strangers")
        self._key_uses = KeyUses(self.aside)
        self.projects = CachedProjects(
            self.readers,
            link(name="listener", timeout=timeout),
            clock=clock,
            strangers=self._strangers,
            patience=min(deadline / 2, SLOW_LOOKUP),
            down=lambda: self.sink.down,
            used=self._key_uses.note,
        )
        self.sink = GroupCommit(
            [
                PostgresWriter(link(name=f"writer {number}", timeout=deadline), clock=clock, observer=metrics)
                for number in range(settings.database.writers)
            ],
            clock=clock,
            limits=GroupLimits(
                group_events=settings.collect.group_events,
                group_bytes=settings.collect.group_bytes,
                queue_events=settings.collect.queue_events,
                queue_bytes=settings.collect.queue_bytes,
            ),
            observer=metrics,
            on_death=on_death,
        )
        self.losses = PostgresLosses(self.aside, clock=clock, limits=settings.limits)
        self.outcomes = OutcomeTally(PostgresOutcomes(self.aside))
        self.sampler = InboxSampler(PostgresSamples(self.aside), clock, ids)
        self._flushing = Flushing(self.outcomes.flush, self.sampler.flush)
        self.quota_states = PostgresQuotaStates(self.aside)
        # A session of its own as well: deleting a month's ids takes minutes.
        self._maintenance = PostgresMaintenance(link(name="maintenance", timeout=_SLOW_MAINTENANCE), clock)

    async def start(self) -> None:
        """Make the first sessions, and start what runs beside the requests. Raises `Unavailable` if the database does
        not answer."""
        await self.meet()
        await self._maintenance.begin()
        self.projects.start()
        await self.projects.wait_until_listening(within=SLOW_LOOKUP)
        self.start_storing()
        self._maintenance.start()

    def start_storing(self) -> None:
        """Start what writes events and the facts about them. A command that stores events needs no more."""
        self.sink.start()
        self._key_uses.start()
        self._flushing.start()

    async def meet(self) -> None:
        """Make the first session. A fault that may heal (a wrong clock, another primary) does not end the server:
        nothing is stored, and `/readyz` says why."""
        await self.survey()
        try:
            async with self.readers.link() as link:
                await link.look()
        except Refused as error:
            log.critical("%s", error)

    async def survey(self) -> None:
        """Ask every candidate of the database's address which primary it has."""
        await survey(self._dsn, self.checks, timeout=SLOW_LOOKUP, descriptors=self._descriptors)

    async def finish(self) -> None:
        """Write what waits, and end what runs beside the requests."""
        await self.sink.close()
        await self._maintenance.close()
        await self._key_uses.close()
        await self._flushing.close()
        await self.projects.close()

    def drop(self) -> None:
        """Close the sessions."""
        self.readers.close()
        self._strangers.close()
        self.aside.close()
        self._descriptors.close()


async def refuse_shared_sessions(dsn: str) -> None:
    """Raise `Invalid` if the address leads to a pooler that pools transactions. Other faults of the database are told
    by the part that meets them."""
    descriptors, checks = LowDescriptors(2), SessionChecks(None)
    links = [
        Link(dsn, name=f"check {n}", timeout=SLOW_LOOKUP, descriptors=descriptors, checks=checks) for n in range(2)
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

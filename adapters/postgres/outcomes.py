"""The counts of outcomes, in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from catchment.core.metering.outcomes import OutcomeCount, RefusedOrigin, Slot

from .errors import DatabaseError, as_outcome
from .link import Links


def _json(values: object) -> str:
    return msgspec.json.encode(values).decode()


class PostgresOutcomes:
    """`catchment.core.metering.outcomes.OutcomeLedger` on PostgreSQL."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def add(self, counts: dict[Slot, int], origins: Sequence[RefusedOrigin]) -> None:
        rows = [{**slot._asdict(), "events": events} for slot, events in counts.items()]
        try:
            await self._links.run("add_outcomes", counts=_json(rows), origins=_json(list(origins)))
        except DatabaseError as error:
            raise as_outcome(error) from error

    async def outcomes(self, *, project: str | None = None, since: datetime, until: datetime) -> Sequence[OutcomeCount]:
        rows = await self._links.run("outcomes", project=project, since=since, until=until)
        return [OutcomeCount(**row._asdict()) for row in rows]

    async def refused_origins(self, *, project: str | None = None) -> Sequence[RefusedOrigin]:
        rows = await self._links.run("refused_origins", project=project)
        return [RefusedOrigin(**row._asdict()) for row in rows]

"""Usage and the audit, in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from catchment.core.metering.errors import PeriodStillRuns
from catchment.core.metering.usage import Difference, Usage
from catchment.core.ports import Clock
from catchment.core.times import next_period

from .errors import WRONG_CLOCK, DatabaseError
from .link import Links

_STRAGGLERS = timedelta(hours=1)
"""The time after the end of a month in which its events may still be committed. It takes seconds; an hour is more than
any clock is wrong."""


class PostgresMeter:
    """`catchment.core.metering.ports.UsageMeter` on PostgreSQL."""

    def __init__(self, links: Links, clock: Clock) -> None:
        self._links = links
        self._clock = clock

    async def usage(
        self, *, account: str | None = None, project: str | None = None, period: date | None = None
    ) -> Sequence[Usage]:
        rows = await self._links.run("usage", account=account, project=project, period=period)
        return [Usage(**row._asdict()) for row in rows]

    async def close(self, period: date) -> None:
        over = datetime(*next_period(period).timetuple()[:3], tzinfo=UTC) + _STRAGGLERS
        if self._clock.now() < over:
            raise PeriodStillRuns(period, f"; it can be closed from {over:%Y-%m-%d %H:%M} UTC")
        try:
            await self._links.run("close_period", period=period)
        except DatabaseError as error:
            if error.sqlstate == WRONG_CLOCK:
                raise PeriodStillRuns(
                    period, " by the database's clock; set that clock, or this machine's, right"
                ) from None
            raise

    async def audit(self, *, project: str | None = None) -> Sequence[Difference]:
        async with self._links.link() as link, link.patience():
            rows = await link.run("audit", project=project)
        return [Difference(**row._asdict()) for row in rows]

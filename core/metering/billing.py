"""The use case of billing: usage goes to a billing backend."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import date

from .errors import PeriodStillRuns
from .ports import BillingBackends, UsageMeter


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """The result of one push."""

    usages: int
    """Usages that the backend took."""
    periods: tuple[date, ...]
    """The periods of the usages that were handed over, in order."""


class Billing:
    """Hands usage to billing. Months that are over are closed first, so that their numbers are final."""

    def __init__(self, meter: UsageMeter, backends: BillingBackends) -> None:
        self._meter = meter
        self._backends = backends

    async def push(self, backend: str, *, period: date | None = None) -> Pushed:
        """Hand the usage of a period, or of all, to a backend. A repetition is harmless: each usage has the same
        idempotency key every time. Usage of deleted projects is billed, usage of the demo is not.

        Raises `NotFound` if there is no such backend.
        """
        known = await self._meter.usage(period=period)
        for month in sorted({one.period for one in known if not one.closed}):
            with contextlib.suppress(PeriodStillRuns):  # it is pushed with its present number
                await self._meter.close(month)
        usages = [one for one in await self._meter.usage(period=period) if not one.demo]
        taken = await self._backends.bill(backend, usages)
        return Pushed(usages=taken, periods=tuple(sorted({one.period for one in usages})))

"""Writing batches of events: one transaction for each, by one call of a stored procedure."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Protocol

from catchment.core.collecting.ports import Stored, WriteRequest
from catchment.core.errors import BadEvents, Unavailable
from catchment.core.event import Event
from catchment.core.metering.quota import OverQuota
from catchment.core.outcomes import StoreOutcome
from catchment.core.ports import Clock

from . import culprits
from .errors import DatabaseError, Failure, as_outcome
from .link import Link
from .quota_rows import use_of
from .rows import JsonLiteral, NotJson, batch_of, rows_of

_RETRIED_AT_ONCE = frozenset({"40001", "40P01", "55P03"})
"""A serialization failure, a deadlock, a lock that was not free in time."""
_RETRY_SECONDS = 0.01
_SHORTEST_TIMEOUT = 0.05
_OUTCOMES: dict[str, StoreOutcome] = {str(outcome): outcome for outcome in StoreOutcome}
_OVER_QUOTA = "quota_exceeded "


class FailureObserver(Protocol):
    """Is told each failure: what it means, and its SQLSTATE."""

    def failed(self, failure: str, sqlstate: str) -> None: ...


class PostgresWriter:
    """`catchment.core.collecting.ports.BatchWriter` on one session with PostgreSQL."""

    def __init__(self, link: Link, *, clock: Clock, observer: FailureObserver) -> None:
        self._link = link
        self._clock = clock
        self._observer = observer
        self.name = link.name

    @property
    def connected(self) -> bool:
        return self._link.connected

    async def connect(self) -> None:
        try:
            await self._link.connect()
        except DatabaseError as error:
            self._observer.failed(error.failure, error.sqlstate)
            raise Unavailable(str(error), needs_operator=error.needs_operator) from error

    async def check(self) -> None:
        try:
            await self._link.look()
        except DatabaseError as error:
            self._observer.failed(error.failure, error.sqlstate)
            self._link.drop()

    def encode(self, events: Sequence[Event]) -> bytes:
        try:
            return rows_of(events)
        except NotJson as error:
            raise BadEvents("an event can't be written as JSON") from error

    async def write(self, requests: Sequence[WriteRequest], *, deadline: float) -> Sequence[Stored]:
        try:
            outcomes, found = await self._call(batch_of([request.encoded for request in requests]), deadline)
        except DatabaseError as error:
            if error.failure is Failure.BAD_DATA:
                raise BadEvents(str(error)) from error
            raise as_outcome(error) from error
        uses = [(use_of(one), one["numbers"]) for one in found or ()]
        quotas = {use.quota.id: use.quota for use, _ in uses}
        answers: list[Stored] = []
        start = 0
        for request in requests:
            end = start + len(request.events)
            answers.append(
                Stored(
                    [
                        _OUTCOMES.get(text) or OverQuota(quotas[text.removeprefix(_OVER_QUOTA)])
                        for text in outcomes[start:end]
                    ],
                    [use for use, numbers in uses if bisect_right(numbers, start) < bisect_right(numbers, end)],
                )
            )
            start = end
        return answers

    async def _call(self, batch: JsonLiteral, deadline: float) -> tuple[list[str], list[dict[str, Any]] | None]:
        """Call the procedure. Return the outcome of each event, and the quotas that count some of them. Tries again
        what can be tried at once."""
        while True:
            left = max(_SHORTEST_TIMEOUT, deadline - self._clock.monotonic())
            try:
                ((outcomes, uses),) = await self._link.run("log_events", left, batch=batch)
                return outcomes, uses
            except DatabaseError as error:
                self._observer.failed(error.failure, error.sqlstate)
                if error.sqlstate not in _RETRIED_AT_ONCE or self._clock.monotonic() >= deadline:
                    raise
            await asyncio.sleep(_RETRY_SECONDS)

    async def quarantine(self, events: Sequence[Event]) -> set[int]:
        try:
            found = await culprits.find_culprits(self._link, events)
            await culprits.quarantine(self._link, [events[n] for n in found])
        except DatabaseError as error:
            raise as_outcome(error) from error
        return found

    def close(self) -> None:
        self._link.drop()

"""The samples of the inbox, in the database."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from catchment.core.metering.hints import Advice, Hint
from catchment.core.metering.inbox import KEPT_FOR, KEPT_SAMPLES, Obstacle, Sample
from catchment.core.metering.scrub import Replay
from catchment.core.outcomes import Outcome
from catchment.core.project import KeyKind

from .errors import DatabaseError, Failure, as_outcome
from .link import Links

log = logging.getLogger(__name__)


class PostgresSamples:
    """`catchment.core.metering.inbox.SampleStore` on PostgreSQL."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def add(self, samples: Sequence[Sample]) -> None:
        rows = msgspec.json.encode([_row_of(sample) for sample in samples]).decode()
        try:
            await self._links.run("add_samples", samples=rows, kept=KEPT_SAMPLES)
        except DatabaseError as error:
            if error.failure is not Failure.BAD_DATA:
                raise as_outcome(error) from error
            log.error("%d samples for the inbox are lost: the database can't hold one of them", len(samples))

    async def samples(self, project_id: str, *, reason: str | None = None, now: datetime) -> Sequence[Sample]:
        rows = await self._links.run("samples", project=project_id, reason=reason, since=now - KEPT_FOR)
        return [_sample_of(row) for row in rows]

    async def find(self, sample_id: str, *, now: datetime) -> Sample | None:
        rows = await self._links.run("find_sample", id=sample_id, since=now - KEPT_FOR)
        return _sample_of(rows[0]) if rows else None

    async def mark_replayed(self, sample_id: str, at: datetime) -> None:
        await self._links.run("mark_replayed", id=sample_id, at=at)


def _row_of(sample: Sample) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(sample)
    return {
        **row,
        "key_fingerprint": sample.key_fingerprint.hex(),
        "clock_offset": f"{sample.clock_offset // timedelta(microseconds=1)} microseconds",
    }


def _sample_of(row: Any) -> Sample:
    hint = row.hint
    mistakes = hint["mistakes"]
    columns = row._asdict()
    columns |= {
        "outcome": Outcome(row.outcome),
        "hint": Hint(
            advice=Advice(hint["advice"]),
            about=hint["about"],
            mistakes=None if mistakes is None else {field: tuple(what) for field, what in mistakes.items()},
            wait=hint["wait"],
        ),
        "taken": {field: tuple(kinds) for field, kinds in row.taken.items()},
        "replay": Replay(row.replay),
        "obstacle": None if row.obstacle is None else Obstacle(row.obstacle),
        "key_kind": KeyKind(row.key_kind),
        "key_fingerprint": bytes(row.key_fingerprint),
    }
    return Sample(**columns)

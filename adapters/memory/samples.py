"""The samples of the inbox, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from catchment.core.metering.inbox import KEPT_FOR, Sample, kept_of

from .store import Store


class MemorySamples:
    """`catchment.core.metering.inbox.SampleStore` in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, samples: Sequence[Sample]) -> None:
        if self._store.failing is not None:
            raise self._store.failing
        for sample in samples:
            if sample.project_id in self._store.projects and sample.project_id not in self._store.deleted:
                self._store.samples.setdefault(sample.id, sample)
        for project_id, reason in {(sample.project_id, sample.reason) for sample in samples}:
            of_reason = [
                one for one in self._store.samples.values() if (one.project_id, one.reason) == (project_id, reason)
            ]
            kept = {one.id for one in kept_of(of_reason)}
            for one in of_reason:
                if one.id not in kept:
                    del self._store.samples[one.id]

    async def samples(self, project_id: str, *, reason: str | None = None, now: datetime) -> Sequence[Sample]:
        found = [
            one
            for one in self._store.samples.values()
            if one.project_id == project_id and reason in (None, one.reason) and self._is_there(one, now)
        ]
        return sorted(found, key=lambda one: (one.received_at, one.id), reverse=True)

    async def find(self, sample_id: str, *, now: datetime) -> Sample | None:
        found = self._store.samples.get(sample_id)
        return found if found is not None and self._is_there(found, now) else None

    async def mark_replayed(self, sample_id: str, at: datetime) -> None:
        known = self._store.samples.get(sample_id)
        if known is not None:
            self._store.samples[sample_id] = replace(known, replayed_at=at)

    def _is_there(self, sample: Sample, now: datetime) -> bool:
        return sample.project_id not in self._store.deleted and sample.received_at > now - KEPT_FOR

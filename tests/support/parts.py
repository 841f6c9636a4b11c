"""The parts of a server, everything in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from catchment.adapters.memory.losses import MemoryLosses
from catchment.adapters.memory.metering import MemoryOutcomes, MemoryQuotas
from catchment.adapters.memory.parts import CountingIds, NoExtensions, NoRateLimit, ToldClock
from catchment.adapters.memory.samples import MemorySamples
from catchment.adapters.memory.scripts import MemoryScripts
from catchment.adapters.memory.store import MemoryProjects, MemoryRegistry, MemorySalts, MemorySink, Store
from catchment.config.parts import Parts
from catchment.core.limits import Limits
from catchment.core.metering.outcomes import OutcomeTally
from catchment.core.metering.plans import Plan
from catchment.core.metering.quotas import Quotas
from catchment.core.metering.sampling import InboxSampler
from catchment.core.ports import Clock, IdGenerator


def memory_quotas(store: Store, clock: Clock, ids: IdGenerator, plans: Mapping[str, Plan] | None = None) -> Quotas:
    """Return the use case of quotas on `store`, with these plans."""
    return Quotas(MemoryQuotas(store, clock), MemoryRegistry(store), plans or {}, clock=clock, ids=ids)


def memory_parts(store: Store, limits: Limits, **others: Any) -> Parts:
    """Return parts that store in `store`; `others` replace the parts of these names."""
    ids = others.get("ids") or CountingIds()
    clock = others.get("clock") or ToldClock()
    parts = Parts(
        clock=clock,
        ids=ids,
        projects=MemoryProjects(store),
        sink=MemorySink(store),
        losses=MemoryLosses(store, limits),
        outcomes=OutcomeTally(MemoryOutcomes(store)),
        sampler=InboxSampler(MemorySamples(store), clock, ids),
        salts=MemorySalts(ids),
        archive=MemoryScripts(store),
        rate_limiter=NoRateLimit(),
        extensions=NoExtensions(),
    )
    return replace(parts, **others)

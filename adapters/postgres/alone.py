"""A lock for one program at a time, held by a session of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from catchment.core.errors import NotPossible

from .link import Link
from .low_descriptors import LowDescriptors

_TIMEOUT = 10.0
_BETWEEN = 0.2


@contextlib.asynccontextmanager
async def alone(dsn: str, name: str, *, waits: Callable[[], object], within: float = 120.0) -> AsyncIterator[None]:
    """Hold the lock of this name on the database. Any end of the program releases it.

    `waits` is called once if another program has the lock. Raises `NotPossible` if that program does not end in time.
    """
    descriptors = LowDescriptors(1)
    link = Link(dsn, name=name, timeout=_TIMEOUT, descriptors=descriptors)
    loop = asyncio.get_running_loop()
    until, told = loop.time() + within, False
    try:
        while not (await link.run("try_lock", name=f"catchment {name}"))[0][0]:
            if loop.time() > until:
                raise NotPossible(f"another {name} runs on this database and does not end")
            if not told:
                waits()
                told = True
            await asyncio.sleep(_BETWEEN)
        yield
    finally:
        link.drop()
        descriptors.close()

"""The composition root: a whole collector, begun and ended."""

from __future__ import annotations

import asyncio

import pytest

from catchment.config.compose import Collector
from catchment.config.settings import load

from ..support.database import Database


def collector(database: Database) -> Collector:
    settings = load(None, {"CATCHMENT_DATABASE__URL": database.dsn})
    return Collector(settings, database.dsn, on_death=lambda error: None)


@pytest.mark.gen_test
@pytest.mark.parametrize("turns", range(0, 40, 3))
async def test_a_collector_ends_at_whatever_moment_it_is_told_to(embedded_database: Database, turns: int) -> None:
    """`turns` of the event loop after its start: sessions are still being made then."""
    begun = collector(embedded_database)
    await begun.start()
    for _ in range(turns):
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await begun.close()
    left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert [name for name in left if not name.startswith("Task-")] == []

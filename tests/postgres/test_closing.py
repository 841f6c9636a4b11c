"""What runs in the background ends when it is told to, at whatever moment that is.

`asyncio.wait_for`, through which aiopg waits, loses a cancellation that comes together with an answer (before Python
3.12). Whoever cancels a task and waits for its end would wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiopg.connection import Connection

from catchment.adapters.memory.parts import ToldClock
from catchment.adapters.postgres.maintenance import PostgresMaintenance
from catchment.adapters.postgres.projects import CachedProjects

from ..support.database import Database
from ..support.storage import Notes, open_link, open_links, sink_on
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test


def answers(count: int) -> pytest.MarkDecorator:
    """Each of the first answers that a task waits for: the connection's, and those of its queries."""
    return pytest.mark.parametrize("answer", range(1, count + 1))


def with_answer(monkeypatch: pytest.MonkeyPatch, number: int, close: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Closes as soon as so many answers of the database arrived, before anybody has seen the last one. The task that
    closes is in the list."""
    closing: list[Any] = []
    arrived = 0
    ready = Connection._ready

    def watched(connection: Any) -> None:
        nonlocal arrived
        waiter = connection()._waiter
        ready(connection)
        if waiter is not None and waiter.done():
            arrived += 1
            if arrived == number:
                closing.append(asyncio.ensure_future(close()))

    monkeypatch.setattr(Connection, "_ready", staticmethod(watched))
    return closing


async def ends(closing: list[Any]) -> None:
    await eventually(lambda: closing, "the answer arrived")
    async with asyncio.timeout(5):
        await closing[0]


@answers(2)
async def test_a_sink_ends(embedded_database: Database, monkeypatch: pytest.MonkeyPatch, answer: int) -> None:
    async with open_link(embedded_database) as link:
        notes = Notes()
        sink = sink_on(link, notes=notes)
        closing = with_answer(monkeypatch, answer, sink.close)
        sink.start()
        try:
            await ends(closing)
        finally:
            await sink.close()
        assert notes.deaths == []


@answers(3)
async def test_projects_end(embedded_database: Database, monkeypatch: pytest.MonkeyPatch, answer: int) -> None:
    async with open_links(embedded_database) as links, open_link(embedded_database) as listener:
        projects = CachedProjects(links, listener, clock=ToldClock())
        closing = with_answer(monkeypatch, answer, projects.close)
        projects.start()
        try:
            await ends(closing)
        finally:
            await projects.close()


@answers(9)
async def test_maintenance_ends(embedded_database: Database, monkeypatch: pytest.MonkeyPatch, answer: int) -> None:
    async with open_link(embedded_database) as link:
        maintenance = PostgresMaintenance(link, ToldClock())
        closing = with_answer(monkeypatch, answer, maintenance.close)
        maintenance.start()
        try:
            await ends(closing)
        finally:
            await maintenance.close()

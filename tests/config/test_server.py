"""A whole server, started and ended."""

from __future__ import annotations

import asyncio

import pytest

from catchment.config.server import CollectingServer
from catchment.config.settings import load

from ..support.database import Database
from ..support.sessions import reading, sessions, terminate
from ..support.waiting import eventually


def server_on(database: Database) -> CollectingServer:
    settings = load(None, {"CATCHMENT_DATABASE__URL": database.dsn})
    return CollectingServer(settings, database.dsn, on_death=lambda error: None)


@pytest.mark.gen_test
@pytest.mark.parametrize("turns", range(0, 40, 3))
async def test_a_server_ends_at_whatever_moment_it_is_told_to(embedded_database: Database, turns: int) -> None:
    """`turns` of the event loop after its start: sessions are still being made then."""
    server = server_on(embedded_database)
    await server.start()
    for _ in range(turns):
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await server.close()
    left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert [name for name in left if not name.startswith("Task-")] == []


@pytest.mark.gen_test
async def test_a_server_that_keeps_less_than_the_last_one_is_seen(
    embedded_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a failover: the writers' sessions end, and the next ones meet it."""

    async def kept() -> object:
        return server.health.render()[1]["database"]["full_page_writes"]

    async def told(value: bool) -> None:
        assert terminate(embedded_database, "writer %") >= 1
        await eventually(lambda: connected(value), f"/readyz says {value}")

    async def connected(value: bool) -> bool:
        return await kept() is value and sessions(embedded_database, "writer %") == 2

    server = server_on(embedded_database)
    await server.start()
    try:
        await eventually(lambda: connected(True), "the writers have their sessions")
        assert "does not keep" not in caplog.text
        embedded_database.execute("ALTER SYSTEM SET full_page_writes = off")
        embedded_database.execute("SELECT pg_reload_conf()")
        await told(False)
        assert caplog.text.count("this database does not keep what it commits") == 1
        embedded_database.execute("ALTER SYSTEM RESET full_page_writes")
        embedded_database.execute("SELECT pg_reload_conf()")
        await told(True)
    finally:
        embedded_database.execute("ALTER SYSTEM RESET full_page_writes")
        embedded_database.execute("SELECT pg_reload_conf()")
        await server.close()


@pytest.mark.gen_test
async def test_a_server_starts_while_its_maintenance_can_not_be_done(
    embedded_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody reads, and three months were missed: attaching a partition would wait for him."""
    embedded_database.execute("DROP TABLE catchment.event_2027_02")
    embedded_database.execute("ALTER TABLE catchment.event DETACH PARTITION catchment.event_2026_11")
    embedded_database.execute("DROP TABLE catchment.event_2026_11")
    server = server_on(embedded_database)
    with reading(embedded_database, "catchment.event"):
        await server.start()
        try:
            await eventually(
                lambda: server.database.projects.listening and server.database.sink.down is None, "it takes events"
            )
            await eventually(lambda: "maintenance failed" in caplog.text, "it says so")
        finally:
            await server.close()
    assert "`catchment maintain` does it by hand" in caplog.text

"""docs/websites.md, pasted, gets a person from nothing to the first event."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import psycopg2
from playwright.async_api import Browser

from ..e2e.first_event import check_usage, pasted
from ..support.database import Database
from ..support.running import Installation
from ..support.waiting import eventually
from .visitor import ARRIVES


def rows(dsn: str) -> list[tuple[object, ...]]:
    with contextlib.closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT name, url, label, value FROM catchment.event ORDER BY occurred_at")
        return list(cursor.fetchall())


async def test_the_page_that_is_pasted_makes_rows(
    browser: Browser, embedded_database: Database, tmp_path: Path
) -> None:
    dsn = embedded_database.dsn
    with contextlib.ExitStack() as stack:
        here = await asyncio.to_thread(stack.enter_context, pasted(Installation(dsn, tmp_path)))
        page = await browser.new_page()
        try:
            await page.goto(here.address)
            await page.click("button")
            await eventually(lambda: len(rows(dsn)) >= 2, "the events are there", ARRIVES)
        finally:
            await page.close()
        assert rows(dsn) == [
            ("PageView", here.address, None, None),
            ("AddToCart", here.address, "Harbour, 250 g", 11.5),
        ]
        await asyncio.to_thread(check_usage, here)

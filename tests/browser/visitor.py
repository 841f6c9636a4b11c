"""One visitor of the website: his pages, what their consoles say, and what arrived in the database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Page, Request

from ..support.running import Collector
from ..support.waiting import eventually
from .site import SCRIPTS, Website

ARRIVES = 30.0
"""Seconds within which an event is in the database, however slow the machine."""


@dataclass(slots=True)
class Visitor:
    kind: str
    context: BrowserContext
    site: Website
    collector: Collector
    console: list[str] = field(default_factory=list)
    """What the consoles say of the tracker."""
    page_errors: list[str] = field(default_factory=list)
    sent: list[Request] = field(default_factory=list)

    def listen(self) -> None:
        self.context.on("console", lambda message: self._hear(message.text))
        self.context.on("weberror", lambda error: self._note(str(error.error)))
        self.context.on("request", lambda request: self._see(request))

    def _note(self, error: str) -> None:
        # Firefox says of a request that failed what others say in the network panel.
        if not error.startswith("The Same Origin Policy"):
            self.page_errors.append(error)

    def _hear(self, text: str) -> None:
        if text.startswith("catchment"):
            self.console.append(text)

    def _see(self, request: Request) -> None:
        if request.url.endswith("/v1/batch"):
            self.sent.append(request)

    def tag(self, script: str = "catchment.js", *, key: str | None = None, **options: Any) -> str:
        """The one tag, with the server's own script."""
        attributes = self.site.attributes({"key": key or self.collector.project.browser_key, **options})
        return f'<script defer src="{self.collector.address}/{script}" {attributes}></script>'

    def own_tag(self, script: str = "catchment.js", **options: Any) -> str:
        """The tag under a path of the website's own, behind its gate."""
        return self.tag(script, **options).replace(f'src="{self.collector.address}/', 'src="/stats/')

    async def kept(self, page: Page) -> list[str]:
        """The names of what the tracker has in the page's storage."""
        names: list[str] = await page.evaluate("Object.keys(localStorage).filter(name => /^catchment /.test(name))")
        return sorted(names)

    def site_scripts(self) -> Path:
        """Where the built scripts are."""
        return SCRIPTS

    async def open(self, path: str, origin: str | None = None) -> Page:
        """A new tab, with the page loaded."""
        page = await self.context.new_page()
        await page.goto((origin or self.site.origin) + path)
        return page

    async def until_rows(self, count: int, name: str | None = None) -> list[dict[str, Any]]:
        """The rows in the order of their ids, once there are so many. More than that is an error.

        The tracker's ids begin with its time. The times of rows are no order for events of two requests: each
        request's are corrected by its own way through the network.
        """

        async def enough() -> list[dict[str, Any]] | None:
            rows = await asyncio.to_thread(self.collector.rows, name)
            return sorted(rows, key=lambda row: row["event_id"]) if len(rows) >= count else None

        rows: list[dict[str, Any]] = await eventually(enough, f"there are {count} rows", ARRIVES)
        assert len(rows) == count, [(row["name"], row["url"]) for row in rows]
        return rows

    async def until_said(self, words: str) -> str:
        """The line of the console with these words."""
        line: str = await eventually(
            lambda: next((line for line in self.console if words in line), None), f"the console says {words}", ARRIVES
        )
        return line

    async def until_asked(self) -> list[Request]:
        """What the tracker sent, once the browser says it: that can be later than the rows."""
        requests: list[Request] = await eventually(lambda: self.sent, "the browser says what it sent", ARRIVES)
        return requests

    async def until_sent(self, page: Page) -> None:
        """Until nothing is left in the page's storage that is to be sent."""
        await page.wait_for_function("!Object.keys(localStorage).some(name => name.startsWith('catchment event'))")

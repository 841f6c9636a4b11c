"""Pinned scripts, in the database."""

from __future__ import annotations

from catchment.core.accounts.scripts import Script

from .link import Links


class PostgresScripts:
    """`catchment.core.accounts.ports.ScriptArchive` on PostgreSQL."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def keep(self, script: Script) -> None:
        await self._links.run("keep_script", name=script.name, version=script.version, content=script.content)

    async def find(self, name: str, version: str) -> Script | None:
        rows = await self._links.run("find_script", name=name, version=version)
        return Script(name=name, content=bytes(rows[0][0])) if rows else None

"""Pinned scripts, in memory."""

from __future__ import annotations

from catchment.core.accounts.scripts import Script

from .store import Store


class MemoryScripts:
    """`catchment.core.accounts.ports.ScriptArchive` in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def keep(self, script: Script) -> None:
        self._store.scripts.setdefault((script.name, script.version), script)

    async def find(self, name: str, version: str) -> Script | None:
        if self._store.failing is not None:
            raise self._store.failing
        return self._store.scripts.get((name, version))

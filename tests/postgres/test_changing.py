"""Changes of one project that come at once."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from catchment.core.project import Bots, Privacy, ProjectSettings, SettingsChange

from ..support.database import Database
from ..support.storage import postgres_storage
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test

WAITING = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND %s = ANY (pg_blocking_pids(pid)))"


async def test_of_two_changes_of_settings_at_once_none_is_lost(database: Database) -> None:
    """The second one begins before the first one is committed, and waits for it."""
    async with postgres_storage(database) as storage:
        with contextlib.closing(database.connect()) as first, first.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("UPDATE catchment.project SET bots = 'filter' WHERE id = %s", (storage.project.id,))
            second = asyncio.create_task(
                storage.administer.change_project("shop", changes=SettingsChange(privacy=Privacy.HASH))
            )
            await eventually(lambda: database.one(WAITING, first.info.backend_pid), "the second one waits")
            cursor.execute("COMMIT")
            changed = await second
        assert changed.settings == ProjectSettings(bots=Bots.FILTER, privacy=Privacy.HASH)

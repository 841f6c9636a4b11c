"""What deleting a project leaves behind."""

from __future__ import annotations

import pytest

from catchment.core.project import SettingsChange

from ..support.database import Database
from ..support.events import events
from ..support.storage import postgres_storage

pytestmark = pytest.mark.gen_test

KEPT = {"usage_count", "deleted_count"}
"""What is billed, and what the audit needs."""


async def test_of_a_deleted_project_every_table_is_rid_except_what_is_billed(database: Database) -> None:
    """A new table with rows of a project must be added to `catchment.delete_stored`, or to `KEPT`."""
    async with postgres_storage(database) as storage:
        await storage.store(*events(storage.project, 2))
        tables = {
            name
            for (name,) in database.execute(
                "SELECT relname::text FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid "
                "WHERE relnamespace = 'catchment'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition "
                "AND attname = 'project_id' AND NOT attisdropped"
            )
        }
        assert tables >= {"event", "event_id", "loss", "key", "usage_count"}
        for table in FILL:
            database.execute(FILL[table], storage.project.id)
        await storage.administer.change_project("shop", changes=SettingsChange(enabled=False))
        await storage.administer.delete_project("shop")
        left = {table for table in tables if database.execute(f"SELECT 1 FROM catchment.{table} LIMIT 1")}  # noqa: S608
        assert left == KEPT


FILL = {
    "loss_report": "INSERT INTO catchment.loss_report VALUES (%s, 'browser', 'r', now())",
    "inbox_sample": "INSERT INTO catchment.inbox_sample VALUES ('a', %s, 'bot', 'filtered', '{}', 'null', '{}', 'no', "
    "NULL, NULL, 'browser', '', NULL, '{}', false, '0 s', 0, now())",
    "refused_origin": "INSERT INTO catchment.refused_origin VALUES (%s, 'https://a.example', now())",
    "unstored_count": "INSERT INTO catchment.unstored_count VALUES (%s, now(), 'filtered', 'bot', 1)",
    "quarantine": "INSERT INTO catchment.quarantine (project_id, key_kind, name, fields, received_at) "
    "VALUES (%s, 'browser', 'n', '{}', now())",
}


async def test_a_project_is_deleted_while_another_one_s_events_wait_for_their_commit(database: Database) -> None:
    """Deleting and storing do not wait for each other."""
    async with postgres_storage(database) as storage:
        blog = await storage.add_project("blog")
        await storage.store(*events(storage.project, 3))
        await storage.administer.change_project("shop", changes=SettingsChange(enabled=False))
        with database.connect() as storing, storing.cursor() as cursor:
            cursor.execute(
                "INSERT INTO catchment.usage_count VALUES (%s, now(), 99, 0), (%s, now(), 98, 0)",
                (storage.project.id, blog.id),
            )
            gone = await storage.administer.delete_project("shop")
            assert gone.events == 3
            storing.rollback()
        assert await storage.store(*events(blog, 1)) == ["stored"]

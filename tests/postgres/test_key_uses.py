"""When keys were last used: written down aside, and never announced."""

from __future__ import annotations

import pytest

from catchment.adapters.postgres.key_uses import KeyUses
from catchment.adapters.postgres.registry import PostgresRegistry
from catchment.adapters.system.ids import SystemIds
from catchment.core.accounts.administer import Administer
from catchment.core.keys import fingerprint
from catchment.core.project import KeyKind

from ..support.database import Database
from ..support.storage import ToldClock, open_links, open_projects
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test


async def test_a_key_that_a_request_came_with_is_told_and_no_server_drops_what_it_keeps(database: Database) -> None:
    async with open_links(database) as links:
        uses = KeyUses(links, every=0.01)
        administer = Administer(PostgresRegistry(links), SystemIds(), lambda origin: origin)
        await administer.create_account("acme")
        project, _ = await administer.create_project("shop", "acme", [])
        made = await administer.create_key(project.id, KeyKind.SERVER, "till")
        revoked = await administer.create_key(project.id, KeyKind.SERVER, "old")
        await administer.revoke_key(revoked.text)
        async with open_projects(database, links, clock=ToldClock(), used=uses.note) as projects:
            uses.start()
            for key in (made, revoked):
                assert await projects.find(fingerprint(key.text)) is not None
            kept = await projects.find(fingerprint(made.text))

            async def used() -> list[str | None]:
                return [key.label for key in await administer.keys(project.id) if key.used_at is not None]

            async def is_told() -> bool:
                return await used() == ["till"]

            await eventually(is_told, "the use is written down")
            assert await projects.find(fingerprint(made.text)) is kept
        await uses.close()
        assert await used() == ["till"]


async def test_what_was_gathered_is_written_down_at_the_end_as_far_as_it_can_be(database: Database) -> None:
    async with open_links(database) as links:
        administer = Administer(PostgresRegistry(links), SystemIds(), lambda origin: origin)
        await administer.create_account("acme")
        project, made = await administer.create_project("shop", "acme", [])
        uses = KeyUses(links)
        uses.start()
        uses.note(fingerprint(made.text))
        database.execute("ALTER TABLE catchment.key_use RENAME TO away")
        await uses.flush()  # it fails, and says so to nobody who posts
        database.execute("ALTER TABLE catchment.away RENAME TO key_use")
        await uses.close()
        (key,) = await administer.keys(project.id)
        assert key.used_at is not None

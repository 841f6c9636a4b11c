"""What changes through the registry is seen by a running `ProjectRepository` at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from catchment.core.keys import fingerprint
from catchment.core.project import Access, Key, KeyKind, SettingsChange

from ..support.events import an_id
from ..support.storage import Storage
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test


async def opened(storage: Storage) -> tuple[str, Callable[[], Awaitable[Access]]]:
    """A new key that was looked up, and so is kept; and how to look it up again."""
    key = await storage.administer.create_key("shop", KeyKind.SERVER)

    async def look_up() -> Access:
        access = await storage.projects.find(fingerprint(key.text))
        assert access is not None
        return access

    assert not (await look_up()).revoked
    return key.text, look_up


async def test_a_revoked_key_is_seen(storage: Storage) -> None:
    key, look_up = await opened(storage)
    await storage.administer.revoke_key(key)

    async def revoked() -> bool:
        return (await look_up()).revoked

    await eventually(revoked, "the key is revoked")


async def test_a_key_that_was_asked_for_before_it_was_made_is_seen(storage: Storage) -> None:
    early = fingerprint("early")
    assert await storage.projects.find(early) is None
    key = Key(id=an_id(7), project_id=storage.project.id, kind=KeyKind.SERVER, text="sk_early")
    await storage.registry.add_key(key, early)
    access = await eventually(lambda: storage.projects.find(early), "the new key is known")
    assert access.project.id == storage.project.id


async def test_a_project_that_is_switched_off_is_seen(storage: Storage) -> None:
    _, look_up = await opened(storage)
    await storage.administer.change_project("shop", changes=SettingsChange(enabled=False))

    async def off() -> bool:
        return not (await look_up()).project.settings.enabled

    await eventually(off, "the project is off")


async def test_an_origin_that_comes_or_goes_is_seen(storage: Storage) -> None:
    _, look_up = await opened(storage)

    async def rules() -> set[str]:
        return {str(rule) for rule in (await look_up()).project.origins.rules}

    async def came() -> bool:
        return "https://two.example" in await rules()

    async def went() -> bool:
        return "https://two.example" not in await rules()

    await storage.administer.change_project("shop", add_origins=["https://two.example"])
    await eventually(came, "the origin is allowed")
    await storage.administer.change_project("shop", remove_origins=["https://two.example"])
    await eventually(went, "the origin is not allowed")

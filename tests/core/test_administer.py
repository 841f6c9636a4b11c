"""The use case of administering, on the memory adapters."""

from __future__ import annotations

import pytest

from catchment.adapters.memory.parts import CountingIds
from catchment.adapters.memory.store import MemoryRegistry, Store
from catchment.core.accounts.administer import Administer
from catchment.core.accounts.errors import AccountHasProjects, NoSuchAccount, NoSuchProject, ProjectIsEnabled
from catchment.core.errors import AlreadyExists, Invalid, NotFound
from catchment.core.keys import fingerprint, kind_of
from catchment.core.project import KeyKind, ProjectSettings, SettingsChange

pytestmark = pytest.mark.gen_test


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def administer(store: Store) -> Administer:
    return Administer(MemoryRegistry(store), CountingIds(), lambda origin: origin.replace("ü", "ue"))


async def test_a_project_comes_with_a_browser_key(administer: Administer, store: Store) -> None:
    account = await administer.create_account(" acme ")
    project, new = await administer.create_project("shop", "acme", ["HTTPS://Example.com/", "https://example.com"])
    assert (project.account_id, project.account, project.name) == (account.id, "acme", "shop")
    assert [str(rule) for rule in project.origins.rules] == ["https://example.com"]
    assert project.settings == ProjectSettings()
    assert kind_of(new.text) is KeyKind.BROWSER
    assert new.key.text == new.text
    assert [known for _, known in store.keys.values()] == [fingerprint(new.text)]


async def test_a_server_key_is_known_once(administer: Administer) -> None:
    await administer.create_account("acme")
    await administer.create_project("shop", "acme", [])
    new = await administer.create_key("shop", KeyKind.SERVER)
    assert kind_of(new.text) is KeyKind.SERVER
    shown = [key.text for key in await administer.keys("shop") if key.kind is KeyKind.SERVER]
    assert shown == [new.text[:9] + "…"]


@pytest.mark.parametrize(
    "name",
    [
        "", "  ", " \t ", "a/b", "a\nb", "a\r\nb", "a\rb", "a\x00b", "\x1b[2J", "\x9b31m", "\ud800", "a\udc80",
        "x" * 101, "\u202eb", "a\u200bb",
    ],
)  # fmt: skip
async def test_a_name_must_be_one(administer: Administer, name: str) -> None:
    with pytest.raises(Invalid, match="can't be the name"):
        await administer.create_account(name)
    await administer.create_account("acme")
    with pytest.raises(Invalid, match="can't be the name"):
        await administer.create_project(name, "acme", [])


async def test_names_are_unique(administer: Administer) -> None:
    await administer.create_account("acme")
    await administer.create_account("other")
    await administer.create_project("shop", "acme", [])
    with pytest.raises(AlreadyExists):
        await administer.create_account("acme")
    with pytest.raises(AlreadyExists):
        await administer.create_project("shop", "acme", [])
    await administer.create_project("shop", "other", [])


async def test_a_project_is_named_by_its_id_its_whole_name_or_its_bare_name(administer: Administer) -> None:
    await administer.create_account("acme")
    await administer.create_account("other")
    shop, _ = await administer.create_project("shop", "acme", [])
    blog, _ = await administer.create_project("blog", "acme", [])
    await administer.create_project("shop", "other", [])
    assert (await administer.project(shop.id)).id == shop.id
    assert (await administer.project("acme/shop")).id == shop.id
    assert (await administer.project("blog")).id == blog.id
    with pytest.raises(Invalid, match="acme/shop, other/shop"):
        await administer.project("shop")
    with pytest.raises(NoSuchProject, match="'nothing'"):
        await administer.project("nothing")
    with pytest.raises(NoSuchAccount, match="'nothing'"):
        await administer.account("nothing")


async def test_an_origin_that_is_none_makes_no_project(administer: Administer) -> None:
    await administer.create_account("acme")
    with pytest.raises(Invalid, match="expected scheme://host"):
        await administer.create_project("shop", "acme", ["example.com"])
    assert await administer.projects() == []


async def test_origins_are_brought_into_ascii(administer: Administer) -> None:
    await administer.create_account("acme")
    await administer.create_project("shop", "acme", ["https://müller.example"])
    changed = await administer.change_project("shop", add_origins=["https://*.müller.example"])
    assert [str(rule) for rule in changed.origins.rules] == ["https://*.mueller.example", "https://mueller.example"]
    changed = await administer.change_project("shop", remove_origins=["HTTPS://müller.example/"])
    assert [str(rule) for rule in changed.origins.rules] == ["https://*.mueller.example"]


async def test_a_change_says_what_it_changes_and_keeps_the_rest(administer: Administer) -> None:
    await administer.create_account("acme")
    await administer.create_project("shop", "acme", ["https://example.com"])
    changed = await administer.change_project("shop", changes=SettingsChange(enabled=False))
    assert not changed.settings.enabled
    changed = await administer.change_project("shop", add_origins=["https://two.example"])
    assert not changed.settings.enabled
    assert len(changed.origins.rules) == 2
    with pytest.raises(NotFound):
        await administer.change_project("shop", remove_origins=["https://three.example"])


async def test_a_key_is_revoked_by_its_text_or_its_id(administer: Administer) -> None:
    await administer.create_account("acme")
    _, browser = await administer.create_project("shop", "acme", [])
    server = await administer.create_key("shop", KeyKind.SERVER)
    assert (await administer.revoke_key(browser.text)).id == browser.key.id
    assert (await administer.revoke_key(server.key.id)).revoked
    assert [key.revoked for key in await administer.keys("shop")] == [True, True]


@pytest.mark.parametrize("key", ["pk_mistyped", "sk_", "nothing"])
async def test_a_key_that_is_not_there_is_said(administer: Administer, key: str) -> None:
    with pytest.raises(NotFound):
        await administer.revoke_key(key)


async def test_errors_carry_what_they_are_about(administer: Administer) -> None:
    await administer.create_account("acme")
    project, _ = await administer.create_project("shop", "acme", [])
    with pytest.raises(AccountHasProjects) as has_projects:
        await administer.delete_account("acme")
    assert (has_projects.value.account, has_projects.value.projects) == ("acme", ("shop",))
    with pytest.raises(ProjectIsEnabled) as is_enabled:
        await administer.delete_project("shop")
    assert is_enabled.value.project == project

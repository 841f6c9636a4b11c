"""`Registry` and `ProjectRepository`: what is administered is what a key opens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catchment.core.errors import AlreadyExists, NotFound
from catchment.core.keys import fingerprint
from catchment.core.metering.quota import Quota
from catchment.core.origins import OriginRules
from catchment.core.project import (
    NO_CHANGE,
    Access,
    Account,
    Bots,
    DoNotTrack,
    Key,
    KeyKind,
    Privacy,
    Project,
    ProjectSettings,
    Scope,
    SettingsChange,
    Visitors,
    Window,
)

from ..support.events import an_id
from ..support.storage import Storage

pytestmark = pytest.mark.gen_test

OTHER_CHANGE = SettingsChange(
    bots=Bots.FILTER,
    do_not_track=DoNotTrack.FILTER,
    privacy=Privacy.HASH,
    visitors=Visitors.NONE,
    allow_null_origin=True,
    enabled=False,
)
OTHER_SETTINGS = OTHER_CHANGE.of(ProjectSettings())


def a_key(project: Project, number: int, kind: KeyKind = KeyKind.BROWSER) -> Key:
    return Key(id=an_id(number), project_id=project.id, kind=kind, text=f"pk_{number}")


def origins_of(project: Project) -> set[str]:
    return {str(rule) for rule in project.origins.rules}


async def add_key(storage: Storage, number: int, kind: KeyKind = KeyKind.BROWSER) -> bytes:
    known = fingerprint(f"key {number}")
    await storage.registry.add_key(a_key(storage.project, number, kind), known)
    return known


async def change(storage: Storage, project_id: str | None = None, **changes: object) -> None:
    defaults = {"changes": NO_CHANGE, "add_origins": (), "remove_origins": ()}
    await storage.registry.change_project(project_id or storage.project.id, **{**defaults, **changes})  # type: ignore[arg-type]


async def found(storage: Storage, known: bytes) -> Access:
    access = await storage.projects.find(known)
    assert access is not None
    return access


# accounts and projects


async def test_accounts_are_listed_by_name(storage: Storage) -> None:
    for number, name in ((7, "zoo"), (8, "abc")):
        await storage.registry.add_account(Account(id=an_id(number), name=name))
    accounts = await storage.registry.accounts()
    assert [account.name for account in accounts] == ["abc", "acme", "zoo"]
    assert accounts[0].id == an_id(8)


async def test_an_accounts_name_is_given_once(storage: Storage) -> None:
    with pytest.raises(AlreadyExists, match="acme"):
        await storage.registry.add_account(Account(id=an_id(7), name="acme"))
    assert len(await storage.registry.accounts()) == 1


async def test_a_project_is_listed_as_it_was_added(storage: Storage) -> None:
    texts = ["https://a.example", "https://*.b.example:8443", "http://localhost:*", "http://[::1]:80"]
    project = replace(
        storage.project, id=an_id(7), name="a blog", origins=OriginRules.parse(texts), settings=OTHER_SETTINGS
    )
    await storage.registry.add_project(project)
    listed, shop = await storage.registry.projects()
    assert replace(listed, origins=project.origins) == project
    assert origins_of(listed) == {"https://a.example", "https://*.b.example:8443", "http://localhost:*", "http://[::1]"}
    assert shop.name == "shop"


async def test_a_projects_name_is_given_once_in_its_account(storage: Storage) -> None:
    with pytest.raises(AlreadyExists, match="shop"):
        await storage.registry.add_project(replace(storage.project, id=an_id(7)))
    await storage.add_project("shop", "other")
    names = [f"{project.account}/{project.name}" for project in await storage.registry.projects()]
    assert names == ["acme/shop", "other/shop"]


async def test_a_project_needs_an_account_that_is_there(storage: Storage) -> None:
    with pytest.raises(NotFound):
        await storage.registry.add_project(replace(storage.project, id=an_id(7), name="blog", account_id=an_id(9)))
    assert len(await storage.registry.projects()) == 1


async def test_a_projects_settings_and_origins_change_at_once(storage: Storage) -> None:
    await change(
        storage,
        changes=OTHER_CHANGE,
        add_origins=["https://two.example", "https://example.com"],
        remove_origins=["https://example.com"],
    )
    (project,) = await storage.registry.projects()
    assert project.settings == OTHER_SETTINGS
    assert origins_of(project) == {"https://two.example"}


async def test_a_setting_that_a_change_does_not_name_stays(storage: Storage) -> None:
    await change(storage, changes=SettingsChange(bots=Bots.FILTER))
    await change(storage, changes=SettingsChange(allow_null_origin=True))
    await change(storage, changes=SettingsChange(privacy=Privacy.HASH, allow_null_origin=False))
    (project,) = await storage.registry.projects()
    assert project.settings == ProjectSettings(bots=Bots.FILTER, privacy=Privacy.HASH)


async def test_an_origin_that_is_allowed_already_stays(storage: Storage) -> None:
    await change(storage, add_origins=["https://example.com", "https://example.com"])
    (project,) = await storage.registry.projects()
    assert [str(rule) for rule in project.origins.rules] == ["https://example.com"]


async def test_a_change_that_can_not_be_made_changes_nothing(storage: Storage) -> None:
    with pytest.raises(NotFound, match=r"three\.example"):
        await change(
            storage,
            changes=OTHER_CHANGE,
            add_origins=["https://two.example"],
            remove_origins=["https://example.com", "https://three.example"],
        )
    (project,) = await storage.registry.projects()
    assert project.settings == ProjectSettings()
    assert origins_of(project) == {"https://example.com"}


async def test_a_project_that_is_not_there_can_not_be_changed(storage: Storage) -> None:
    with pytest.raises(NotFound):
        await change(storage, an_id(99))


# keys


async def test_a_key_opens_its_project(storage: Storage) -> None:
    for number, kind in ((7, KeyKind.BROWSER), (8, KeyKind.SERVER)):
        access = await found(storage, await add_key(storage, number, kind))
        assert (access.kind, access.revoked) == (kind, False)
        assert access.project == storage.project


async def test_a_key_that_nobody_has_opens_nothing(storage: Storage) -> None:
    assert await storage.projects.find(fingerprint("nobody's")) is None
    assert await storage.projects.find(b"") is None


async def test_keys_are_listed_in_the_order_in_which_they_were_made(storage: Storage) -> None:
    for number in (9, 7, 8):
        await add_key(storage, number)
    listed = await storage.registry.keys(storage.project.id)
    assert [replace(key, created_at=None) for key in listed[1:]] == [
        a_key(storage.project, number) for number in (9, 7, 8)
    ]
    assert await storage.registry.keys(an_id(99)) == []


async def test_a_key_needs_a_project_that_is_there(storage: Storage) -> None:
    with pytest.raises(NotFound):
        await storage.registry.add_key(a_key(replace(storage.project, id=an_id(99)), 7), fingerprint("key"))


async def test_a_key_is_revoked_by_its_id_or_its_fingerprint(storage: Storage) -> None:
    first, second = await add_key(storage, 7), await add_key(storage, 8)
    for _ in range(2):  # a revoked one stays revoked
        for named, number in (({"key_id": an_id(7)}, 7), ({"fingerprint": second}, 8)):
            key = await storage.registry.revoke_key(**named)
            assert key is not None
            assert (key.id, key.revoked) == (an_id(number), True)
    revoked = {key.id: key.revoked for key in (await storage.registry.keys(storage.project.id))[1:]}
    assert revoked == {an_id(7): True, an_id(8): True}
    assert (await found(storage, first)).revoked


@pytest.mark.parametrize("named", [{"key_id": an_id(99)}, {"key_id": "not an id"}, {"fingerprint": b"x" * 32}])
async def test_a_key_that_is_not_there_can_not_be_revoked(storage: Storage, named: dict[str, object]) -> None:
    assert await storage.registry.revoke_key(**named) is None  # type: ignore[arg-type]


# quotas


def a_quota(
    project: Project, scope: Scope, window: Window, hard: int, keys: KeyKind | None = None, number: int = 0
) -> Quota:
    scope_id = project.id if scope is Scope.PROJECT else project.account_id
    quota_id = an_id(number or 1000 + hard)
    return Quota(id=quota_id, scope=scope, scope_id=scope_id, window=window, keys=keys, hard=hard)


async def test_a_quota_is_set_in_place_of_the_one_that_is_there_and_keeps_its_id(storage: Storage) -> None:
    for number, hard in enumerate((1, 10**12, 0), 1):
        quota = a_quota(storage.project, Scope.PROJECT, Window.DAY, hard, number=number)
        expected = replace(quota, id=an_id(1))
        assert await storage.quota_store.set(quota) == expected
        assert await storage.quota_store.all() == [expected]


async def test_a_quota_of_each_kind_of_key_stands_beside_one_of_both(storage: Storage) -> None:
    quotas = [
        a_quota(storage.project, Scope.PROJECT, Window.DAY, hard, keys)
        for hard, keys in enumerate((None, KeyKind.BROWSER, KeyKind.SERVER), 1)
    ]
    for quota in reversed(quotas):
        await storage.quota_store.set(quota)
    assert await storage.quota_store.all() == quotas


async def test_a_quota_that_is_removed_is_gone(storage: Storage) -> None:
    browser, both = (a_quota(storage.project, Scope.PROJECT, Window.DAY, hard, keys)
                     for hard, keys in ((1, KeyKind.BROWSER), (2, None)))  # fmt: skip
    for quota in (browser, both):
        await storage.quota_store.set(quota)
    assert await storage.quota_store.remove(browser.id) == browser
    assert await storage.quota_store.all() == [both]
    for gone in (browser.id, "no id"):
        with pytest.raises(NotFound):
            await storage.quota_store.remove(gone)


async def test_the_quotas_of_a_project_are_counted(storage: Storage) -> None:
    other = await storage.add_project("blog", "other")
    quotas = [
        a_quota(storage.project, Scope.PROJECT, Window.MONTH, 1),
        a_quota(storage.project, Scope.PROJECT, Window.DAY, 2),
        a_quota(storage.project, Scope.ACCOUNT, Window.MONTH, 3),
    ]
    for quota in (*quotas, a_quota(other, Scope.PROJECT, Window.DAY, 9), a_quota(other, Scope.ACCOUNT, Window.DAY, 10)):
        await storage.quota_store.set(quota)
    assert len(await storage.quota_store.all()) == 5
    assert await storage.registry.quotas_of(storage.project.id) == 2
    assert await storage.registry.quotas_of(other.id) == 1


async def test_the_live_server_keys_of_a_project_vouch_for_ids_beside_its_browser_keys(storage: Storage) -> None:
    project_id = storage.project.id
    browser = Key(id=an_id(90), project_id=project_id, kind=KeyKind.BROWSER, text="pk_vouched")
    await storage.registry.add_key(browser, b"browser")
    for number, hashed in ((91, b"old"), (92, b"new")):
        key = Key(id=an_id(number), project_id=project_id, kind=KeyKind.SERVER, text="sk_")
        await storage.registry.add_key(key, hashed)
    await storage.registry.revoke_key(fingerprint=b"old")
    assert b"new" in (await found(storage, b"browser")).vouchers
    assert b"old" not in (await found(storage, b"browser")).vouchers
    assert (await found(storage, b"new")).vouchers == ()

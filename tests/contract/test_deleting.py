"""`Registry`, `EventSink` and `UsageMeter`: what is renamed and deleted, and what stays true all the same.

After each of these tests the fixture asks the meter for an audit, and it must find nothing.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from catchment.core.accounts.errors import KeyIsInUse, NoSuchKey
from catchment.core.collecting.losses import LossReport
from catchment.core.errors import AlreadyExists, Invalid, NotFound
from catchment.core.keys import fingerprint, shortened
from catchment.core.metering.quota import Quota
from catchment.core.outcomes import StoreOutcome
from catchment.core.project import NO_CHANGE, KeyKind, Project, Scope, SettingsChange, Window

from ..support.events import NOON, an_event, an_id, events, project_quota
from ..support.storage import TIMEOUT, Storage
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test

OCTOBER = datetime(2026, 10, 31, 23, 59, tzinfo=UTC)


async def disable(storage: Storage, project: Project) -> None:
    await storage.administer.change_project(project.id, changes=SettingsChange(enabled=False))


async def unknown(storage: Storage, known: bytes) -> None:
    """Servers hear at once that there is no such key any more."""

    async def is_unknown() -> bool:
        return await storage.projects.find(known) is None

    await eventually(is_unknown, "servers hear of it")


async def delete(storage: Storage, project: Project) -> int:
    """How many events that took away."""
    await disable(storage, project)
    return (await storage.administer.delete_project(project.id)).events


async def test_a_renamed_account_and_project_keep_ids_keys_and_usage(storage: Storage) -> None:
    made = await storage.administer.create_key(storage.project.id, KeyKind.SERVER)
    assert (await storage.projects.find(fingerprint(made.text))) is not None
    await storage.store(an_event(storage.project, "one"))
    await storage.administer.rename_account("acme", "Acme Inc.")
    await storage.administer.rename_project("Acme Inc./shop", "store")
    (project,) = await storage.registry.projects()
    assert (project.id, project.account, project.name) == (storage.project.id, "Acme Inc.", "store")
    (usage,) = await storage.meter.usage()
    assert (usage.account, usage.project, usage.events) == ("Acme Inc.", "store", 1)

    async def told() -> bool:
        access = await storage.projects.find(fingerprint(made.text))
        return access is not None and (access.project.account, access.project.name) == ("Acme Inc.", "store")

    await eventually(told, "servers hear of both")
    assert (await storage.add_project("shop", "acme")).id != storage.project.id  # both names are free


async def test_a_name_that_is_taken_or_can_t_be_is_not_given(storage: Storage) -> None:
    await storage.add_project("blog")
    await storage.add_project("shop", "other")
    with pytest.raises(AlreadyExists, match="blog"):
        await storage.administer.rename_project("acme/shop", "blog")
    with pytest.raises(AlreadyExists, match="other"):
        await storage.administer.rename_account("acme", "other")
    for name in ("", "a/b", "a\x1b[2Jb"):
        with pytest.raises(Invalid):
            await storage.administer.rename_project("acme/shop", name)
        with pytest.raises(Invalid):
            await storage.administer.rename_account("acme", name)
    with pytest.raises(NotFound):
        await storage.administer.rename_project("nothing", "something")
    await storage.administer.rename_project("acme/shop", "shop")  # its own name
    await storage.administer.rename_account("acme", "acme")


async def test_a_project_that_takes_events_is_not_deleted(storage: Storage) -> None:
    await storage.store(an_event(storage.project, "one"))
    with pytest.raises(Invalid, match="only a project that is disabled"):
        await storage.administer.delete_project("shop")
    with pytest.raises(Invalid):
        await storage.registry.delete_project(storage.project.id)
    assert await storage.registry.delete_stored(storage.project.id, 10) == (0, 0)
    assert await storage.registry.stored_events(storage.project.id) == 1


async def test_a_deleted_projects_usage_stays_and_the_audit_is_content(storage: Storage) -> None:
    blog = await storage.add_project("blog")
    await storage.store(*events(storage.project, 3), *events(blog, 2))
    await storage.store(an_event(storage.project, "old", received_at=OCTOBER))
    storage.clock.jump(datetime(2026, 12, 1, 2, tzinfo=UTC))
    await storage.meter.close(date(2026, 10, 1))
    before = [replace(one, deleted=one.project == "shop") for one in await storage.meter.usage()]
    assert await delete(storage, storage.project) == 4
    assert await storage.meter.usage() == before
    assert await storage.meter.audit() == []
    assert [one.idempotency_key for one in await storage.meter.usage(project=storage.project.id)] == [
        f"{storage.project.account_id}:{storage.project.id}:{month}" for month in ("2026-10", "2026-11")
    ]
    assert await storage.registry.stored_events(storage.project.id) == 0
    assert await storage.registry.stored_events(blog.id) == 2
    again = await storage.administer.delete_project(storage.project.id)
    assert (again.events, again.before) == (0, True)
    assert await storage.meter.usage() == before


async def test_a_deleted_projects_keys_origins_quotas_and_losses_are_gone_and_its_name_is_free(
    storage: Storage,
) -> None:
    made = await storage.administer.create_key(storage.project.id, KeyKind.BROWSER)
    known = fingerprint(made.text)
    assert await storage.projects.find(known) is not None
    await storage.quota_store.set(project_quota(storage.project, 5))
    report = LossReport(id="r", counts={"expired": 3})
    deadline = storage.clock.monotonic() + TIMEOUT
    await storage.losses.record(storage.project.id, KeyKind.BROWSER, report, NOON, deadline=deadline)
    await delete(storage, storage.project)
    await unknown(storage, known)
    assert await storage.registry.keys(storage.project.id) == []
    assert await storage.quota_store.all() == []
    assert await storage.losses.losses() == []
    assert await storage.registry.projects() == []
    (gone,) = await storage.registry.projects(deleted=True)
    assert (gone.id, gone.name, gone.origins.rules) == (storage.project.id, "shop", ())
    new = await storage.add_project("shop")
    assert (await storage.administer.project("acme/shop", deleted=True)).id == new.id
    for change in (
        storage.registry.rename_project(gone.id, "other"),
        storage.registry.change_project(gone.id, changes=NO_CHANGE, add_origins=(), remove_origins=()),
        storage.administer.create_key(gone.id, KeyKind.SERVER),
        storage.quota_store.set(project_quota(gone, 5)),
    ):
        with pytest.raises(NotFound):
            await change
    assert await storage.quota_store.all() == []


async def test_a_server_that_does_not_know_of_it_yet_stores_on_and_counts_true(storage: Storage) -> None:
    """Its events are answered truly; the next run takes them away."""
    await storage.store(an_event(storage.project, "one"))
    await delete(storage, storage.project)
    late = an_event(storage.project, "late")
    assert await storage.store(late) == [StoreOutcome.STORED]
    assert await storage.counted(storage.project) == 2
    assert await storage.meter.audit() == []
    assert (await storage.administer.delete_project(storage.project.id)).events == 1
    assert await storage.counted(storage.project) == 2


async def test_what_a_project_stored_goes_in_bites(storage: Storage) -> None:
    await storage.store(*events(storage.project, 7))
    await disable(storage, storage.project)
    await storage.registry.delete_project(storage.project.id)
    gone = [await storage.registry.delete_stored(storage.project.id, 4) for _ in range(5)]
    assert sum(events for events, _ in gone) == 7
    assert sum(others for _, others in gone) == 7  # the ids
    assert all(events + others <= 4 for events, others in gone)
    assert gone[-1] == (0, 0)


async def test_an_account_is_deleted_when_its_projects_are_and_its_usage_stays(storage: Storage) -> None:
    await storage.store(*events(storage.project, 2))
    account_id = storage.project.account_id
    with pytest.raises(Invalid, match="shop"):
        await storage.administer.delete_account("acme")
    with pytest.raises(Invalid):
        await storage.registry.delete_account(account_id)
    quota = Quota(id=an_id(91), scope=Scope.ACCOUNT, scope_id=account_id, window=Window.DAY, hard=5)
    await storage.quota_store.set(quota)
    await delete(storage, storage.project)
    for _ in range(2):
        assert (await storage.administer.delete_account("acme")).id == account_id
    assert await storage.registry.accounts() == []
    with pytest.raises(NotFound):
        await storage.quota_store.set(quota)
    assert await storage.quota_store.all() == []
    (usage,) = await storage.meter.usage(account=account_id)
    assert (usage.account, usage.events) == ("acme", 2)
    with pytest.raises(NotFound):
        await storage.registry.add_project(replace(storage.project, id=an_id(7), name="late"))
    assert (await storage.administer.create_account("acme")).id != account_id


async def test_a_demos_account_is_marked_and_forgotten_whole(storage: Storage) -> None:
    demo = await storage.administer.create_account("demo", demo=True)
    hello, _ = await storage.administer.create_project("hello", "demo", [])
    await storage.store(*events(hello, 3), *events(storage.project, 1))
    assert [(one.account, one.demo) for one in await storage.meter.usage()] == [("acme", False), ("demo", True)]
    await storage.registry.forget_demo(demo.id)  # not before it is deleted
    await storage.registry.forget_demo(storage.project.account_id)
    assert await storage.counted() == 4
    await delete(storage, hello)
    await storage.administer.delete_account("demo")
    assert await storage.registry.accounts(deleted=True) == []
    assert [(one.account, one.events) for one in await storage.meter.usage()] == [("acme", 1)]


async def test_only_a_revoked_key_is_deleted(storage: Storage) -> None:
    made = await storage.administer.create_key(storage.project.id, KeyKind.SERVER, "the shop's back end")
    with pytest.raises(KeyIsInUse, match=made.key.id):
        await storage.administer.delete_key(made.text)
    await storage.administer.revoke_key(made.text)
    gone = await storage.administer.delete_key(made.key.id)
    assert (gone.id, gone.label, gone.revoked) == (made.key.id, "the shop's back end", True)
    with pytest.raises(NoSuchKey, match=f"no key {re.escape(shortened(made.text))}$"):
        await storage.administer.delete_key(made.text)
    with pytest.raises(NoSuchKey, match=f"no key {made.key.id}$"):
        await storage.administer.revoke_key(made.key.id)
    with pytest.raises(NoSuchKey, match="cut or mistyped"):
        await storage.administer.revoke_key(made.text[:-1])
    await unknown(storage, fingerprint(made.text))


async def test_a_key_is_listed_with_its_label_and_times(storage: Storage) -> None:
    await storage.administer.create_key(storage.project.id, KeyKind.SERVER, "cron")
    key = (await storage.registry.keys(storage.project.id))[-1]
    assert (key.label, key.revoked_at, key.used_at) == ("cron", None, None)
    assert key.created_at is not None
    revoked = await storage.administer.revoke_key(key.id)
    assert revoked.revoked_at is not None
    again = await storage.administer.revoke_key(key.id)
    assert again.revoked_at == revoked.revoked_at

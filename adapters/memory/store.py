"""Every port of storage in memory, on one store: for tests, and for trying a plugin without a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from catchment.core.accounts.errors import KeyIsInUse, NoSuchAccount, NoSuchOrigin, NoSuchProject
from catchment.core.accounts.scripts import Script
from catchment.core.collecting.ports import Stored
from catchment.core.errors import AlreadyExists, Invalid, Unavailable
from catchment.core.event import Event
from catchment.core.metering.inbox import Sample
from catchment.core.metering.outcomes import RefusedOrigin, Slot
from catchment.core.metering.quota import OverQuota, Quota
from catchment.core.origins import OriginRule, OriginRules
from catchment.core.outcomes import StoreOutcome
from catchment.core.ports import IdGenerator
from catchment.core.privacy import SALT_BYTES
from catchment.core.project import Access, Account, Key, KeyKind, Project, Scope, SettingsChange
from catchment.core.times import period_of, window_end

from .quota_book import QuotaBook

_Counted = dict[tuple[str, date], int]


@dataclass(slots=True)
class Store:
    """The data that the adapters of this folder share."""

    accounts: dict[str, Account] = field(default_factory=dict)
    projects: dict[str, Project] = field(default_factory=dict)
    keys: dict[str, tuple[Key, bytes]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    ids: set[tuple[str, str, str]] = field(default_factory=set)
    usage: _Counted = field(default_factory=dict)
    closed: set[date] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    """The ids of accounts and projects that were deleted."""
    deleted_events: _Counted = field(default_factory=dict)
    losses: dict[tuple[str, date, str], int] = field(default_factory=dict)
    """By project, day and reason."""
    loss_reports: dict[tuple[str, KeyKind, str], date] = field(default_factory=dict)
    outcomes: dict[Slot, int] = field(default_factory=dict)
    refused_origins: dict[str, RefusedOrigin] = field(default_factory=dict)
    samples: dict[str, Sample] = field(default_factory=dict)
    """By id."""
    scripts: dict[tuple[str, str], Script] = field(default_factory=dict)
    """By name and version."""
    failing: Unavailable | None = None
    """An error that every look-up and every call to store raises while it is set."""
    quotas: QuotaBook = field(init=False)

    def __post_init__(self) -> None:
        self.quotas = QuotaBook(self._stored_in_scope, self._owner)

    def _stored_in_scope(self, quota: Quota) -> list[Event]:
        return [
            event
            for event in self.events
            if quota.scope_id in (event.project_id, self.projects[event.project_id].account_id)
        ]

    def _owner(self, quota: Quota) -> dict[str, str]:
        if quota.scope is Scope.ACCOUNT:
            return {"account_id": quota.scope_id, "account": self.accounts[quota.scope_id].name}
        project = self.project(quota.scope_id)
        return {
            "account_id": project.account_id,
            "account": project.account,
            "project_id": project.id,
            "project": project.name,
        }

    def project(self, project_id: str) -> Project:
        """The project as it is now. Raises `NotFound`."""
        project = self.projects.get(project_id)
        if project is None:
            raise NoSuchProject(project_id)
        return replace(project, account=self.accounts[project.account_id].name)

    def vouchers(self, project_id: str) -> tuple[bytes, ...]:
        """The fingerprints of a project's server keys that are live, the newest ten."""
        live = [
            fingerprint
            for key, fingerprint in self.keys.values()
            if key.project_id == project_id and key.kind is KeyKind.SERVER and not key.revoked
        ]
        return tuple(live[-10:])


class MemoryProjects:
    """`catchment.core.collecting.ports.ProjectRepository` in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, fingerprint: bytes) -> Access | None:
        if self._store.failing is not None:
            raise self._store.failing
        for key, known in self._store.keys.values():
            if known == fingerprint:
                project = self._store.project(key.project_id)
                vouchers = self._store.vouchers(project.id) if key.kind is KeyKind.BROWSER else ()
                return Access(project=project, kind=key.kind, revoked=key.revoked, vouchers=vouchers)
        return None

    def knows(self, fingerprint: bytes) -> bool:
        return any(known == fingerprint for _, known in self._store.keys.values())


class MemorySink:
    """`catchment.core.collecting.ports.EventSink` in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def store(self, batch: Sequence[Event], *, deadline: float, share: str | None = None) -> Stored:
        if self._store.failing is not None:
            raise self._store.failing
        if any(period_of(event.received_at) in self._store.closed for event in batch):
            raise Unavailable("the month is closed")
        counting: dict[str, tuple[Quota, datetime]] = {}
        outcomes = [self._store_one(event, counting) for event in batch]
        for quota, at in counting.values():
            self._store.quotas.enter_states(quota, at, max(event.received_at for event in batch))
        return Stored(outcomes, [self._store.quotas.use(quota, at) for quota, at in counting.values()])

    def _store_one(self, event: Event, counting: dict[str, tuple[Quota, datetime]]) -> StoreOutcome | OverQuota:
        store, at = self._store, event.received_at
        event_id = (event.project_id, event.key_kind, event.event_id)
        if event_id in store.ids:
            return StoreOutcome.DUPLICATE
        quotas = store.quotas.counting(event, store.projects[event.project_id].account_id)
        counting.update({quota.id: (quota, at) for quota in quotas})
        used_up = [quota for quota in quotas if self._store.quotas.room(quota, at) == 0]
        if used_up:
            return OverQuota(max(used_up, key=lambda quota: window_end(quota.window, at)))
        store.ids.add(event_id)
        store.events.append(event)
        counted = (event.project_id, period_of(at))
        store.usage[counted] = store.usage.get(counted, 0) + 1
        for quota in quotas:
            self._store.quotas.add(quota, at)
        return StoreOutcome.STORED


class MemorySalts:
    """`catchment.core.collecting.ports.Salts` in memory."""

    def __init__(self, ids: IdGenerator) -> None:
        self._ids = ids
        self._salts: dict[date, bytes] = {}

    async def of_day(self, day: date) -> bytes:
        if day not in self._salts:
            self._salts[day] = self._ids.random_bytes(SALT_BYTES)
        return self._salts[day]


class MemoryRegistry:
    """`catchment.core.accounts.ports.Registry` in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add_account(self, account: Account) -> None:
        await self._is_free(account.name)
        self._store.accounts[account.id] = account

    async def _is_free(self, name: str) -> None:
        if any(known.name == name for known in await self.accounts()):
            raise AlreadyExists(f"there is an account {name!r} already")

    async def accounts(self, *, deleted: bool = False) -> Sequence[Account]:
        found = [known for known in self._store.accounts.values() if (known.id in self._store.deleted) is deleted]
        return sorted(found, key=lambda account: account.name)

    async def rename_account(self, account_id: str, name: str) -> None:
        account = await self._account(account_id)
        if name != account.name:
            await self._is_free(name)
        self._store.accounts[account_id] = replace(account, name=name)

    async def _account(self, account_id: str) -> Account:
        for account in await self.accounts():
            if account.id == account_id:
                return account
        raise NoSuchAccount(account_id)

    async def delete_account(self, account_id: str) -> None:
        if account_id not in self._store.accounts:
            raise NoSuchAccount(account_id)
        left = sum(project.account_id == account_id for project in await self.projects())
        if left:
            raise Invalid(f"the account got projects meanwhile ({left}): delete them first")
        self._drop_quotas(account_id)
        self._store.deleted.add(account_id)

    async def forget_demo(self, account_id: str) -> None:
        store = self._store
        if account_id not in store.deleted or not store.accounts[account_id].demo:
            return
        projects = {project.id for project in store.projects.values() if project.account_id == account_id}
        for counted in (store.usage, store.deleted_events):
            for key in [key for key in counted if key[0] in projects]:
                del counted[key]
        for project_id in projects:
            del store.projects[project_id]
        del store.accounts[account_id]
        store.deleted -= {account_id, *projects}

    async def add_project(self, project: Project) -> None:
        owner = await self._account(project.account_id)
        for known in await self.projects():
            if (known.account_id, known.name) == (project.account_id, project.name):
                raise AlreadyExists(f"the account {owner.name!r} has a project {project.name!r} already")
        self._store.projects[project.id] = project

    async def projects(self, *, deleted: bool = False) -> Sequence[Project]:
        found = [self._store.project(name) for name in self._store.projects if (name in self._store.deleted) is deleted]
        return sorted(found, key=lambda project: (project.account, project.name))

    def _living(self, project_id: str) -> Project:
        if project_id in self._store.deleted:
            raise NoSuchProject(project_id)
        return self._store.project(project_id)

    async def rename_project(self, project_id: str, name: str) -> None:
        project = self._living(project_id)
        for known in await self.projects():
            if (known.account_id, known.name) == (project.account_id, name) and known.id != project_id:
                raise AlreadyExists(f"the account has a project {name!r} already")
        self._store.projects[project_id] = replace(project, name=name)

    async def delete_project(self, project_id: str) -> None:
        project = self._store.projects.get(project_id)
        if project is None or project.settings.enabled:
            raise Invalid("the project was enabled again meanwhile: only a project that is disabled can be deleted")
        self._store.projects[project_id] = replace(project, origins=OriginRules())
        for key_id in [key.id for key, _ in self._store.keys.values() if key.project_id == project_id]:
            del self._store.keys[key_id]
        self._drop_quotas(project_id)
        self._store.deleted.add(project_id)

    def _drop_quotas(self, scope_id: str) -> None:
        for quota in self._store.quotas.of(scope_id):
            self._store.quotas.remove(quota.id)

    async def delete_stored(self, project_id: str, at_most: int) -> tuple[int, int]:
        store = self._store
        if project_id not in store.deleted:
            return 0, 0
        gone = [event for event in store.events if event.project_id == project_id][:at_most]
        store.events = [event for event in store.events if event not in gone]
        for event in gone:
            counted = (project_id, period_of(event.received_at))
            store.deleted_events[counted] = store.deleted_events.get(counted, 0) + 1
        others = 0
        for sample in [one for one in store.samples.values() if one.project_id == project_id][: at_most - len(gone)]:
            others += 1
            del store.samples[sample.id]
        rows: Any
        for rows in (store.ids, store.loss_reports, store.losses):
            for row in [row for row in rows if row[0] == project_id][: max(0, at_most - len(gone) - others)]:
                others += 1
                if isinstance(rows, set):
                    rows.remove(row)
                else:
                    del rows[row]
        return len(gone), others

    async def stored_events(self, project_id: str) -> int:
        return sum(event.project_id == project_id for event in self._store.events)

    async def quotas_of(self, project_id: str) -> int:
        return len(self._store.quotas.of(project_id))

    async def change_project(
        self, project_id: str, *, changes: SettingsChange, add_origins: Sequence[str], remove_origins: Sequence[str]
    ) -> None:
        project = self._living(project_id)
        rules = {str(rule): rule for rule in project.origins.rules}
        rules.update({text: OriginRule.parse(text) for text in add_origins})
        for text in remove_origins:
            if rules.pop(text, None) is None:
                raise NoSuchOrigin(project_id, text)
        origins = OriginRules(tuple(rules[text] for text in sorted(rules)))
        settings = changes.of(project.settings)
        self._store.projects[project_id] = replace(project, settings=settings, origins=origins)

    async def add_key(self, key: Key, fingerprint: bytes) -> None:
        self._living(key.project_id)
        self._store.keys[key.id] = (replace(key, created_at=datetime.now(UTC)), fingerprint)

    async def keys(self, project_id: str) -> Sequence[Key]:
        return [key for key, _ in self._store.keys.values() if key.project_id == project_id]

    async def revoke_key(self, *, key_id: str | None = None, fingerprint: bytes | None = None) -> Key | None:
        for key, known in self._store.keys.values():
            if key.id == key_id or known == fingerprint:
                revoked = replace(key, revoked_at=key.revoked_at or datetime.now(UTC))
                self._store.keys[key.id] = (revoked, known)
                return revoked
        return None

    async def delete_key(self, *, key_id: str | None = None, fingerprint: bytes | None = None) -> Key | None:
        for key, known in self._store.keys.values():
            if key.id == key_id or known == fingerprint:
                if not key.revoked:
                    raise KeyIsInUse(key.id)
                del self._store.keys[key.id]
                return key
        return None

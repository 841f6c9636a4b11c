"""The use case of administration: accounts, projects and keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from ..errors import AlreadyExists, Invalid
from ..keys import PREFIXES, fingerprint, kind_of, make_key, random_bytes_needed, shortened
from ..origins import OriginRule, OriginRules
from ..ports import IdGenerator
from ..project import NO_CHANGE, Account, Key, KeyKind, Project, ProjectSettings, SettingsChange
from .errors import AccountHasProjects, NoSuchKey, ProjectIsEnabled
from .find import find_account, find_project
from .ports import Registry

_LONGEST_NAME = 100
_BITE = 5_000
"""Rows that one transaction deletes. It takes some ten milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A new key. The text of a server key is known only now."""

    key: Key
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedProject:
    """A deleted project, and the numbers of what was deleted."""

    project: Project
    events: int
    """Stored events that were deleted. They are still billed and audited."""
    before: bool = False
    """It was deleted before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The things that are deleted together with a project."""

    project: Project
    events: int
    keys: int
    quotas: int


class Administer:
    """The use case. `ascii_origin` brings an origin's host into ASCII (IDNA), or raises `Invalid`."""

    def __init__(self, registry: Registry, ids: IdGenerator, ascii_origin: Callable[[str], str]) -> None:
        self._registry = registry
        self._ids = ids
        self._ascii_origin = ascii_origin

    async def create_account(self, name: str, *, demo: bool = False) -> Account:
        account = Account(id=self._ids.new_id(), name=_name(name, "an account"), demo=demo)
        await self._registry.add_account(account)
        return account

    async def keep_account(self, name: str) -> tuple[Account, bool]:
        """Return the account of this name, made if it is missing, and whether it was made."""
        try:
            return await self.create_account(name), True
        except AlreadyExists:
            return await self.account(name.strip()), False

    async def rename_account(self, named: str, name: str) -> Account:
        """Rename an account. Raises `NotFound`, `AlreadyExists` and `Invalid`."""
        account = await self.account(named)
        await self._registry.rename_account(account.id, _name(name, "an account"))
        return await self.account(account.id)

    async def delete_account(self, named: str) -> Account:
        """Delete an account without projects. A repetition changes nothing. Of a demo's account nothing stays.
        Raises `NotFound` and `Invalid`."""
        account = await self.account(named, deleted=True)
        left = [project.name for project in await self.projects() if project.account_id == account.id]
        if left:
            raise AccountHasProjects(account.name, left)
        await self._registry.delete_account(account.id)
        if account.demo:
            await self._registry.forget_demo(account.id)
        return account

    async def accounts(self, *, deleted: bool = False) -> Sequence[Account]:
        return await self._registry.accounts(deleted=deleted)

    async def remove_demo(self, named: str) -> Account:
        """Delete an account of the demo, with its projects and all their events. Raises `NotFound`, and
        `Invalid` if the account is not a demo's."""
        account = await self.account(named, deleted=True)
        if not account.demo:
            raise Invalid(f"the account {account.name!r} was not made by the demo")
        for deleted in (False, True):
            for project in await self._registry.projects(deleted=deleted):
                if project.account_id == account.id:
                    if not deleted:
                        await self.change_project(project.id, changes=SettingsChange(enabled=False))
                    await self.delete_project(project.id)
        return await self.delete_account(account.id)

    async def account(self, named: str, *, deleted: bool = False) -> Account:
        """See `find_account`."""
        return await find_account(self._registry, named, deleted=deleted)

    async def create_project(
        self, name: str, account: str, origins: Sequence[str], settings: ProjectSettings | None = None
    ) -> tuple[Project, NewKey]:
        """Create a project with its first browser key. Raises `AlreadyExists`, `NotFound` and `Invalid`."""
        owner = await self.account(account)
        project = Project(
            id=self._ids.new_id(),
            account_id=owner.id,
            account=owner.name,
            name=_name(name, "a project"),
            origins=OriginRules(tuple(dict.fromkeys(self._rule(origin) for origin in origins))),
            settings=settings or ProjectSettings(),
        )
        await self._registry.add_project(project)
        return project, await self._create_key(project, KeyKind.BROWSER)

    async def keep_project(
        self, name: str, account: str, origins: Sequence[str], settings: ProjectSettings | None = None
    ) -> tuple[Project, str, bool]:
        """Return the project of this name with its newest browser key, and whether it was made.

        If it is missing, it is made. An existing project keeps its origins and settings, and gets a browser key if it
        has none. Raises `NotFound` and `Invalid`.
        """
        try:
            made, key = await self.create_project(name, account, origins, settings)
            return made, key.text, True
        except AlreadyExists:
            found = await self.project(f"{(await self.account(account)).name}/{name.strip()}")
        kept, _ = await self.keep_key(found.id, KeyKind.BROWSER)
        return found, kept.text, False

    async def rename_project(self, named: str, name: str) -> Project:
        """Rename a project. Raises `NotFound`, `AlreadyExists` and `Invalid`."""
        project = await self.project(named)
        await self._registry.rename_project(project.id, _name(name, "a project"))
        return await self.project(project.id)

    async def contents(self, named: str) -> Contents:
        """Return the numbers of what would be deleted with a project."""
        project = await self.project(named, deleted=True)
        return Contents(
            project=project,
            events=await self._registry.stored_events(project.id),
            keys=len(await self._registry.keys(project.id)),
            quotas=await self._registry.quotas_of(project.id),
        )

    async def delete_project(
        self, named: str, *, progress: Callable[[int], object] = lambda events: None
    ) -> DeletedProject:
        """Delete a disabled project and all its events. `progress` gets the number of deleted events.

        Its usage stays. Events are deleted in small transactions, while servers store. After an interruption the next
        run goes on; further runs change nothing. Raises `NotFound`, and `Invalid` if the project is enabled.
        """
        before = {project.id for project in await self._registry.projects(deleted=True)}
        project = await self.project(named, deleted=True)
        if project.id not in before and project.settings.enabled:
            raise ProjectIsEnabled(project)
        await self._registry.delete_project(project.id)
        events = 0
        while True:
            bite, others = await self._registry.delete_stored(project.id, _BITE)
            events += bite
            progress(events)
            if not bite and not others:
                return DeletedProject(project=project, events=events, before=project.id in before)

    async def projects(self) -> Sequence[Project]:
        return await self._registry.projects()

    async def project(self, named: str, *, deleted: bool = False) -> Project:
        """See `find_project`."""
        return await find_project(self._registry, named, deleted=deleted)

    async def change_project(
        self,
        named: str,
        *,
        add_origins: Sequence[str] = (),
        remove_origins: Sequence[str] = (),
        changes: SettingsChange = NO_CHANGE,
    ) -> Project:
        """Change a project's origins and settings. Return the new project. Raises `NotFound` and `Invalid`.

        Settings that `changes` does not name stay. Two changes at once are both made.
        """
        project = await self.project(named)
        await self._registry.change_project(
            project.id,
            changes=changes,
            add_origins=[str(self._rule(origin)) for origin in add_origins],
            remove_origins=[str(self._rule(origin)) for origin in remove_origins],
        )
        return await self.project(project.id)

    async def create_key(self, project: str, kind: KeyKind, label: str | None = None) -> NewKey:
        return await self._create_key(await self.project(project), kind, label)

    async def keep_key(self, project: str, kind: KeyKind, label: str | None = None) -> tuple[Key, NewKey | None]:
        """Return the newest key of this kind, with this label if one is given, that is not revoked; and, if it had to
        be made, the new one. Raises `NotFound` and `Invalid`."""
        found = await self.project(project)
        for key in reversed(await self._registry.keys(found.id)):
            if key.kind is kind and not key.revoked and label in (None, key.label):
                return key, None
        made = await self._create_key(found, kind, label)
        return made.key, made

    async def keys(self, project: str) -> Sequence[Key]:
        return await self._registry.keys((await self.project(project)).id)

    async def revoke_key(self, key: str) -> Key:
        """Revoke a key, by its text or its id. Raise `NoSuchKey`."""
        return _found(key, await self._registry.revoke_key(**_which_key(key)))

    async def delete_key(self, key: str) -> Key:
        """Delete a revoked key, by its text or its id. Raise `NoSuchKey` and `KeyIsInUse`."""
        return _found(key, await self._registry.delete_key(**_which_key(key)))

    def _rule(self, origin: str) -> OriginRule:
        return OriginRule.parse(self._ascii_origin(origin))

    async def _create_key(self, project: Project, kind: KeyKind, label: str | None = None) -> NewKey:
        text = make_key(kind, self._ids.random_bytes(random_bytes_needed(kind)))
        shown = text if kind is KeyKind.BROWSER else shortened(text)
        name = None if label is None else _name(label, "a key")
        key = Key(id=self._ids.new_id(), project_id=project.id, kind=kind, text=shown, label=name)
        await self._registry.add_key(key, fingerprint(text))
        return NewKey(key=key, text=text)


class _WhichKey(TypedDict, total=False):
    key_id: str
    fingerprint: bytes


def _which_key(key: str) -> _WhichKey:
    """Return the reference to a key, given its text or its id. Raise `NoSuchKey` if the text can't be a key."""
    if key[:3] not in PREFIXES:
        return {"key_id": key}
    if kind_of(key) is None:
        raise NoSuchKey(shortened(key), ": it is cut or mistyped (its checksum does not fit); its id works, too")
    return {"fingerprint": fingerprint(key)}


def _found(named: str, key: Key | None) -> Key:
    if key is None:
        raise NoSuchKey(shortened(named) if named[:3] in PREFIXES else named)
    return key


def _name(name: str, of: str) -> str:
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME or "/" in name or not name.isprintable():
        raise Invalid(
            f"{name!r} can't be the name of {of}: 1 to {_LONGEST_NAME} characters, no slash, no control characters"
        )
    return name

"""The use case: administering accounts, projects, keys and quotas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .errors import Invalid, NotFound
from .keys import PREFIXES, fingerprint, kind_of, make_key, random_bytes_needed, shortened
from .origins import OriginRule, OriginRules
from .ports import IdGenerator, Registry
from .project import MOST_EVENTS, Account, Key, KeyKind, Project, ProjectSettings, Quota, Scope, Window

_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made; of a server key the text is known now and never again."""

    key: Key
    text: str


class Administer:
    """The use case. `ascii_origin` brings an origin's host into ASCII (IDNA), or raises `Invalid`."""

    def __init__(self, registry: Registry, ids: IdGenerator, ascii_origin: Callable[[str], str]) -> None:
        self._registry = registry
        self._ids = ids
        self._ascii_origin = ascii_origin

    async def create_account(self, name: str) -> Account:
        account = Account(id=self._ids.new_id(), name=_name(name, "an account"))
        await self._registry.add_account(account)
        return account

    async def accounts(self) -> Sequence[Account]:
        return await self._registry.accounts()

    async def account(self, named: str) -> Account:
        """The account with this name or id. Raises `NotFound`."""
        for account in await self._registry.accounts():
            if named in (account.name, account.id):
                return account
        raise NotFound(f"there is no account {named!r}; `catchment account list` shows those there are")

    async def create_project(self, name: str, account: str, origins: Sequence[str]) -> tuple[Project, NewKey]:
        """A project with its first browser key. Raises `AlreadyExists`, `NotFound` and `Invalid`."""
        owner = await self.account(account)
        project = Project(
            id=self._ids.new_id(),
            account_id=owner.id,
            account=owner.name,
            name=_name(name, "a project"),
            origins=OriginRules(tuple(dict.fromkeys(self._rule(origin) for origin in origins))),
        )
        await self._registry.add_project(project)
        return project, await self._create_key(project, KeyKind.BROWSER)

    async def projects(self) -> Sequence[Project]:
        return await self._registry.projects()

    async def project(self, named: str) -> Project:
        """The project with this id, ``account/name``, or bare name. Raises `NotFound`, or `Invalid` where several
        accounts have one of that name."""
        projects = await self._registry.projects()
        for project in projects:
            if named in (project.id, f"{project.account}/{project.name}"):
                return project
        found = [project for project in projects if project.name == named]
        if len(found) > 1:
            names = ", ".join(f"{project.account}/{project.name}" for project in found)
            raise Invalid(f"several accounts have a project {named!r}; say which: {names}")
        if not found:
            raise NotFound(f"there is no project {named!r}; `catchment project list` shows those there are")
        return found[0]

    async def change_project(
        self,
        named: str,
        *,
        add_origins: Sequence[str] = (),
        remove_origins: Sequence[str] = (),
        changes: ProjectSettings | None = None,
    ) -> Project:
        """Changes a project's origins and settings, and returns it as it is then."""
        project = await self.project(named)
        await self._registry.change_project(
            project.id,
            settings=changes or project.settings,
            add_origins=[str(self._rule(origin)) for origin in add_origins],
            remove_origins=[str(self._rule(origin)) for origin in remove_origins],
        )
        return await self.project(project.id)

    async def create_key(self, project: str, kind: KeyKind) -> NewKey:
        return await self._create_key(await self.project(project), kind)

    async def keys(self, project: str) -> Sequence[Key]:
        return await self._registry.keys((await self.project(project)).id)

    async def browser_key(self, project: str) -> tuple[Project, str]:
        """The project and its newest browser key that is not revoked. Raises `NotFound`, naming what helps."""
        found = await self.project(project)
        for key in reversed(await self._registry.keys(found.id)):
            if key.kind is KeyKind.BROWSER and not key.revoked:
                return found, key.text
        raise NotFound(
            f"{found.account}/{found.name} has no browser key: catchment key create {found.id} --kind browser"
        )

    async def revoke_key(self, key: str) -> Key:
        """Revokes a key, by its text or its id. Raises `NotFound`."""
        if key[:3] in PREFIXES:
            if kind_of(key) is None:
                raise NotFound("that is not a whole key: its checksum does not fit; its id works too")
            return await self._registry.revoke_key(fingerprint=fingerprint(key))
        return await self._registry.revoke_key(key_id=key)

    async def set_quota(
        self, *, account: str | None = None, project: str | None = None, window: Window, hard: int
    ) -> Quota:
        """A hard quota of an account or a project, in place of the one it has in that window."""
        if (account is None) == (project is None):
            raise Invalid("a quota is of an account or of a project: say one of them")
        if not 0 <= hard <= MOST_EVENTS:
            raise Invalid(f"a hard quota of {hard} events: 0 to {MOST_EVENTS}")
        if account is not None:
            scope, scope_id = Scope.ACCOUNT, (await self.account(account)).id
        else:
            scope, scope_id = Scope.PROJECT, (await self.project(project or "")).id
        quota = Quota(scope=scope, scope_id=scope_id, window=window, hard=hard)
        await self._registry.set_quota(quota)
        return quota

    async def quotas(self) -> Sequence[Quota]:
        return await self._registry.quotas()

    def _rule(self, origin: str) -> OriginRule:
        return OriginRule.parse(self._ascii_origin(origin))

    async def _create_key(self, project: Project, kind: KeyKind) -> NewKey:
        text = make_key(kind, self._ids.random_bytes(random_bytes_needed(kind)))
        shown = text if kind is KeyKind.BROWSER else shortened(text)
        key = Key(id=self._ids.new_id(), project_id=project.id, kind=kind, text=shown)
        await self._registry.add_key(key, fingerprint(text))
        return NewKey(key=key, text=text)


def _name(name: str, of: str) -> str:
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME or "/" in name or not name.isprintable():
        raise Invalid(
            f"{name!r} can't be the name of {of}: 1 to {_LONGEST_NAME} characters, no slash, no control characters"
        )
    return name

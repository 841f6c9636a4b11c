"""Accounts, projects and keys in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from catchment.core.accounts.errors import KeyIsInUse, NoSuchAccount, NoSuchOrigin, NoSuchProject
from catchment.core.errors import AlreadyExists, Invalid
from catchment.core.project import Account, Key, KeyKind, Project, ProjectSettings, SettingsChange

from .errors import DatabaseError
from .link import Link, Links
from .projects import project_of

_UNIQUE_VIOLATION = "23505"


class PostgresRegistry:
    """`catchment.core.accounts.ports.Registry` on PostgreSQL."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def add_account(self, account: Account) -> None:
        try:
            await self._links.run("add_account", id=account.id, name=account.name, demo=account.demo)
        except DatabaseError as error:
            raise _taken(error, f"there is an account {account.name!r} already") from error

    async def accounts(self, *, deleted: bool = False) -> Sequence[Account]:
        rows = await self._links.run("accounts", deleted=deleted)
        return [Account(id=row.id, name=row.name, plan=row.plan, demo=row.demo) for row in rows]

    async def rename_account(self, account_id: str, name: str) -> None:
        try:
            rows = await self._links.run("rename_account", id=account_id, name=name)
        except DatabaseError as error:
            raise _taken(error, f"there is an account {name!r} already") from error
        if not rows:
            raise NoSuchAccount(account_id)

    async def delete_account(self, account_id: str) -> None:
        left = (await self._links.run("delete_account", id=account_id))[0][0]
        if left is None:
            raise NoSuchAccount(account_id)
        if left:
            raise Invalid(f"the account got projects meanwhile ({left}): delete them first")

    async def forget_demo(self, account_id: str) -> None:
        await self._links.run("forget_demo", id=account_id)

    async def add_project(self, project: Project) -> None:
        try:
            async with self._links.link() as link, link.transaction():
                made = await link.run(
                    "add_project",
                    id=project.id,
                    account_id=project.account_id,
                    name=project.name,
                    **_settings(project.settings),
                )
                if not made:
                    raise NoSuchAccount(project.account_id)
                await _add_origins(link, project.id, [str(rule) for rule in project.origins.rules])
        except DatabaseError as error:
            raise _taken(error, f"the account {project.account!r} has a project {project.name!r} already") from error

    async def projects(self, *, deleted: bool = False) -> Sequence[Project]:
        return [project_of(row) for row in await self._links.run("projects", deleted=deleted)]

    async def rename_project(self, project_id: str, name: str) -> None:
        try:
            rows = await self._links.run("rename_project", id=project_id, name=name)
        except DatabaseError as error:
            raise _taken(error, f"the account has a project {name!r} already") from error
        if not rows:
            raise NoSuchProject(project_id)

    async def delete_project(self, project_id: str) -> None:
        if not (await self._links.run("delete_project", id=project_id))[0][0]:
            raise Invalid("the project was enabled again meanwhile: only a project that is disabled can be deleted")

    async def delete_stored(self, project_id: str, at_most: int) -> tuple[int, int]:
        deleted = (await self._links.run("delete_stored", id=project_id, at_most=at_most))[0]
        return deleted.events, deleted.others

    async def stored_events(self, project_id: str) -> int:
        return int((await self._links.run("stored_events", id=project_id))[0][0])

    async def quotas_of(self, project_id: str) -> int:
        return len(await self._links.run("quotas", scope_id=project_id))

    async def change_project(
        self,
        project_id: str,
        *,
        changes: SettingsChange,
        add_origins: Sequence[str],
        remove_origins: Sequence[str],
    ) -> None:
        async with self._links.link() as link, link.transaction():
            if not await link.run("change_project", id=project_id, **_settings(changes)):
                raise NoSuchProject(project_id)
            await _add_origins(link, project_id, add_origins)
            for rule in remove_origins:
                if not await link.run("remove_origin", project_id=project_id, rule=rule):
                    raise NoSuchOrigin(project_id, rule)

    async def add_key(self, key: Key, fingerprint: bytes) -> None:
        try:
            made = await self._links.run(
                "add_key",
                id=key.id,
                project_id=key.project_id,
                kind=key.kind,
                fingerprint=fingerprint,
                text=key.text,
                label=key.label,
            )
        except DatabaseError as error:
            raise _taken(error, "there is this key already") from error
        if not made:
            raise NoSuchProject(key.project_id)

    async def keys(self, project_id: str) -> Sequence[Key]:
        return [_key(row) for row in await self._links.run("keys", project_id=project_id)]

    async def revoke_key(self, *, key_id: str | None = None, fingerprint: bytes | None = None) -> Key | None:
        rows = await self._links.run("revoke_key", id=key_id, fingerprint=fingerprint)
        return _key(rows[0]) if rows else None

    async def delete_key(self, *, key_id: str | None = None, fingerprint: bytes | None = None) -> Key | None:
        rows = await self._links.run("delete_key", id=key_id, fingerprint=fingerprint)
        if not rows:
            for row in await self._links.run("id_of_key", id=key_id, fingerprint=fingerprint):
                raise KeyIsInUse(row.id)
            return None
        return _key(rows[0])


async def _add_origins(link: Link, project_id: str, rules: Sequence[str]) -> None:
    for rule in rules:
        await link.run("add_origin", project_id=project_id, rule=rule)


def _settings(settings: ProjectSettings | SettingsChange) -> dict[str, object]:
    return {
        "bots": settings.bots,
        "do_not_track": settings.do_not_track,
        "privacy": settings.privacy,
        "visitors": settings.visitors,
        "allow_null_origin": settings.allow_null_origin,
        "enabled": settings.enabled,
    }


def _key(row: Any) -> Key:
    return Key(
        id=row.id,
        project_id=row.project_id,
        kind=KeyKind(row.kind),
        text=row.text,
        label=row.label,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        used_at=row.used_at,
    )


def _taken(error: DatabaseError, taken: str) -> Exception:
    """Return the error to raise for a failed statement: `AlreadyExists` if a name or key is taken."""
    return AlreadyExists(taken) if error.sqlstate == _UNIQUE_VIOLATION else error

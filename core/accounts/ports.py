"""The ports of administration: accounts, projects, keys, quotas, and the scripts that were handed out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..project import Account, Key, Project, ProjectSettings, Quota
from .scripts import Script


class ScriptArchive(Protocol):
    async def keep(self, script: Script) -> None:
        """Keeps a script for good. Keeping it again changes nothing."""

    async def find(self, name: str, version: str) -> Script | None:
        """The script of this name and version, as it was kept. Raises `Unavailable`."""


class Registry(Protocol):
    """Where accounts, projects, keys and quotas are administered.

    Names are unique; a name given twice raises `AlreadyExists`, an unknown thing `NotFound`. What changes here is
    seen by every server at once: see `ProjectRepository` of the same adapter.
    """

    async def add_account(self, account: Account) -> None: ...
    async def accounts(self, *, deleted: bool = False) -> Sequence[Account]:
        """Return the accounts by name: those there are, or those that were deleted."""

    async def rename_account(self, account_id: str, name: str) -> None: ...
    async def delete_account(self, account_id: str) -> None:
        """Delete an account with its quotas; its name is free then. Raises `Invalid` if it has a project that is not
        deleted. Again: changes nothing."""

    async def forget_demo(self, account_id: str) -> None:
        """Forget a demo's account that was deleted, with its usage. Changes nothing of any other account."""

    async def add_project(self, project: Project) -> None: ...
    async def projects(self, *, deleted: bool = False) -> Sequence[Project]:
        """Return the projects by account and name: those there are, or those that were deleted."""

    async def rename_project(self, project_id: str, name: str) -> None: ...
    async def delete_project(self, project_id: str) -> None:
        """Delete a project with its keys, origins and quotas; its name is free then. Again: changes nothing.

        What it stored stays until `delete_stored` takes it away, its usage for good. Raises `Invalid` if the project is
        enabled. A server that does not know of it yet may store for some seconds: it never fails.
        """

    async def delete_stored(self, project_id: str, at_most: int) -> tuple[int, int]:
        """Delete so many rows at most of what a deleted project stored; how many events, and how many others.

        Both are 0 when nothing is left. It holds up nobody who stores. Usage still counts the events.
        """

    async def stored_events(self, project_id: str) -> int:
        """Return how many events of a project are stored, by its usage."""

    async def change_project(
        self,
        project_id: str,
        *,
        settings: ProjectSettings,
        add_origins: Sequence[str],
        remove_origins: Sequence[str],
    ) -> None:
        """Replaces the settings, adds and removes origins, all at once. Raises `NotFound` for an origin that is
        not there."""

    async def add_key(self, key: Key, fingerprint: bytes) -> None: ...
    async def keys(self, project_id: str) -> Sequence[Key]: ...
    async def revoke_key(self, *, key_id: str | None = None, fingerprint: bytes | None = None) -> Key:
        """Revokes a key, by its id or its fingerprint; a revoked one stays revoked."""

    async def delete_key(self, *, key_id: str | None = None, fingerprint: bytes | None = None) -> Key:
        """Delete a key that was revoked. Raises `Invalid` if it was not."""

    async def set_quota(self, quota: Quota) -> Quota:
        """Sets the quota of a scope, window and kind of key, in place of one that is there, whose id it keeps.
        Returns it as it is then."""

    async def remove_quota(self, quota_id: str) -> Quota:
        """Takes a quota away, and returns it. Raises `NotFound`."""

    async def quotas(self) -> Sequence[Quota]: ...

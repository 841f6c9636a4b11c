"""The ports of administration: accounts, projects, keys, and pinned scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..project import Account, Key, Project, SettingsChange
from .scripts import Script


class ScriptArchive(Protocol):
    async def keep(self, script: Script) -> None:
        """Keep a script without end. A repetition changes nothing."""

    async def find(self, name: str, version: str) -> Script | None:
        """Return the kept script of this name and version. Raise `Unavailable`."""


class Directory(Protocol):
    """Lists accounts and projects."""

    async def accounts(self, *, deleted: bool = False) -> Sequence[Account]:
        """Return the accounts by name: the existing ones, or the deleted ones."""

    async def projects(self, *, deleted: bool = False) -> Sequence[Project]:
        """Return the projects by account and name: the existing ones, or the deleted ones."""


class Registry(Directory, Protocol):
    """Stores accounts, projects and keys.

    Names are unique: a name that is taken raises `AlreadyExists`, an unknown thing `NotFound`. Every server sees a
    change at once: see `ProjectRepository` of the same adapter.
    """

    async def add_account(self, account: Account) -> None: ...
    async def rename_account(self, account_id: str, name: str) -> None: ...
    async def delete_account(self, account_id: str) -> None:
        """Delete an account with its quotas. Its name becomes free. Raise `Invalid` if it has a project that is not
        deleted. A repetition changes nothing."""

    async def forget_demo(self, account_id: str) -> None:
        """Remove all traces of a demo's deleted account, with its usage. Other accounts stay as they are."""

    async def add_project(self, project: Project) -> None: ...
    async def rename_project(self, project_id: str, name: str) -> None: ...
    async def delete_project(self, project_id: str) -> None:
        """Delete a project with its keys, origins and quotas. Its name becomes free. A repetition changes nothing.

        Its events stay until `delete_stored` deletes them; its usage always stays. Raises `Invalid` if the project is
        enabled. A server that does not know of it yet may store for some seconds, without an error.
        """

    async def delete_stored(self, project_id: str, at_most: int) -> tuple[int, int]:
        """Delete at most so many rows of a deleted project. Return the number of events and of other rows.

        Both are 0 when nothing is left. It blocks no writer. Usage still counts the events.
        """

    async def stored_events(self, project_id: str) -> int:
        """Return the number of stored events of a project, by its usage."""

    async def quotas_of(self, project_id: str) -> int:
        """Return the number of quotas of a project."""

    async def change_project(
        self,
        project_id: str,
        *,
        changes: SettingsChange,
        add_origins: Sequence[str],
        remove_origins: Sequence[str],
    ) -> None:
        """Change settings, and add and remove origins, all at once. Raise `NoSuchOrigin` if one to remove is missing.

        Settings that `changes` does not name stay as they are at that moment: of two changes at once, none is lost.
        """

    async def add_key(self, key: Key, fingerprint: bytes) -> None: ...
    async def keys(self, project_id: str) -> Sequence[Key]: ...
    async def revoke_key(self, *, key_id: str | None = None, fingerprint: bytes | None = None) -> Key | None:
        """Revoke a key, by its id or its fingerprint. A revoked key stays revoked. Return None if there is none."""

    async def delete_key(self, *, key_id: str | None = None, fingerprint: bytes | None = None) -> Key | None:
        """Delete a revoked key. Return None if there is none. Raise `KeyIsInUse` if it is not revoked."""

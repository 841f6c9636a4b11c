"""The errors of administration. Each carries what it is about, so that an adapter can say what to do.

::

    NotFound
    ├── NoSuchAccount
    ├── NoSuchProject
    ├── NoSuchOrigin
    ├── NoSuchKey
    └── NoBrowserKey
    Invalid
    ├── AccountHasProjects
    ├── ProjectIsEnabled
    └── KeyIsInUse
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Invalid, NotFound
from ..project import Project


class NoSuchAccount(NotFound):
    """There is no account of this name or id."""

    def __init__(self, named: str) -> None:
        super().__init__(f"there is no account {named!r}")
        self.named = named


class NoSuchProject(NotFound):
    """There is no project of this id, ``account/name`` or name."""

    def __init__(self, named: str) -> None:
        super().__init__(f"there is no project {named!r}")
        self.named = named


class NoSuchOrigin(NotFound):
    """The project has no such rule among its origins."""

    def __init__(self, project_id: str, rule: str) -> None:
        super().__init__(f"the project has no origin {rule}")
        self.project_id = project_id


class NoSuchKey(NotFound):
    """There is no key of this text or id. `shown`: the id, or the first characters of the text."""

    def __init__(self, shown: str, why: str = "") -> None:
        super().__init__(f"there is no key {shown}{why}")


class NoBrowserKey(NotFound):
    """The project has no browser key that is not revoked."""

    def __init__(self, project: Project) -> None:
        super().__init__(f"{project.account}/{project.name} has no browser key")
        self.project = project


class AccountHasProjects(Invalid):
    """Only an account without projects can be deleted. `projects`: their names."""

    def __init__(self, account: str, projects: Sequence[str]) -> None:
        super().__init__(f"the account {account!r} still has projects: {', '.join(projects)}")
        self.account = account
        self.projects = tuple(projects)


class ProjectIsEnabled(Invalid):
    """Only a project that is disabled can be deleted."""

    def __init__(self, project: Project) -> None:
        super().__init__(
            f"{project.account}/{project.name} takes events: only a project that is disabled can be deleted"
        )
        self.project = project


class KeyIsInUse(Invalid):
    """Only a revoked key can be deleted."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"the key {key_id} is in use: only a revoked key can be deleted")
        self.key_id = key_id

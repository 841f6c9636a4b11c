"""Finds accounts and projects by the names that people use."""

from __future__ import annotations

from ..errors import Invalid
from ..project import Account, Project
from .errors import NoSuchAccount, NoSuchProject
from .ports import Directory


async def find_account(directory: Directory, named: str, *, deleted: bool = False) -> Account:
    """Return the account with this name or id; if there is none, and `deleted`, the last one that was deleted.

    Raises `NoSuchAccount`.
    """
    for gone in (False, True) if deleted else (False,):
        found = [one for one in await directory.accounts(deleted=gone) if named in (one.name, one.id)]
        if found:
            return max(found, key=lambda account: account.id)
    raise NoSuchAccount(named)


async def find_project(directory: Directory, named: str, *, deleted: bool = False) -> Project:
    """Return the project with this id, ``account/name``, or bare name; if there is none, and `deleted`, the last such
    project that was deleted.

    Raises `NoSuchProject`, or `Invalid` if several accounts have a project of that name.
    """
    projects = await directory.projects()
    for project in projects:
        if named in (project.id, f"{project.account}/{project.name}"):
            return project
    found = [project for project in projects if project.name == named]
    if len(found) > 1:
        names = ", ".join(f"{project.account}/{project.name}" for project in found)
        raise Invalid(f"several accounts have a project {named!r}; say which: {names}")
    if not found and deleted:
        found = [
            one
            for one in await directory.projects(deleted=True)
            if named in (one.id, f"{one.account}/{one.name}", one.name)
        ]
    if not found:
        raise NoSuchProject(named)
    return max(found, key=lambda project: project.id)

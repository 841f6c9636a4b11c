"""The use case of the script tag: which key and which script a project's pages use."""

from __future__ import annotations

from dataclasses import dataclass

from ..project import KeyKind, Project
from .errors import NoBrowserKey
from .find import find_project
from .ports import Registry, ScriptArchive
from .scripts import Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """The parts of a script tag; adapters make the tag."""

    project: Project
    key: str
    """The text of the project's newest browser key that is not revoked."""
    script: Script | None
    """The version that the tag pins; None if the tag always loads the shipped version."""


class Snippets:
    """Makes snippets, and keeps every script that one of them pins."""

    def __init__(self, registry: Registry, archive: ScriptArchive) -> None:
        self._registry = registry
        self._archive = archive

    async def make(self, project: str, script: Script | None = None) -> Snippet:
        """Return the snippet of a project. Keep `script`, if there is one, so that every server can serve it for good.

        Raises `NotFound` and `Invalid`. Then nothing is kept.
        """
        found = await find_project(self._registry, project)
        for key in reversed(await self._registry.keys(found.id)):
            if key.kind is KeyKind.BROWSER and not key.revoked:
                if script is not None:
                    await self._archive.keep(script)
                return Snippet(project=found, key=key.text, script=script)
        raise NoBrowserKey(found)

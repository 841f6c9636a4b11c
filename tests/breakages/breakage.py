"""A deliberate breakage: which text becomes which, and which tests must fail with which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class CanNotBreak(Exception):
    """A breakage can't be tried. The text says why."""


@dataclass(frozen=True, slots=True)
class Change:
    """One text in one file that becomes another."""

    file: str
    old: str
    new: str

    def changed(self, checkout: Path) -> str:
        """Return the changed text of the file. Raise `CanNotBreak` if `old` is not there exactly once."""
        path = checkout / self.file
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if text.count(self.old) != 1:
            raise CanNotBreak(f"{self.file} has {text.count(self.old)} times: {self.old.strip()[:60]!r}")
        return text.replace(self.old, self.new)

    def make(self, checkout: Path) -> None:
        """Change the file in a copy."""
        (checkout / self.file).write_text(self.changed(checkout), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Breakage:
    name: str
    about: str
    changes: tuple[Change, ...]
    tests: Mapping[str, str]
    """Tests below `tests/`, the quickest first, each with words of its failure. Each must fail alone."""
    still_green: tuple[str, ...] = ()
    """Tests that must pass all the same: they show that the broken code does the rest of its work."""

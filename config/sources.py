"""Reads the sources of the settings: the TOML file, then the environment, each value with the name of its source."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catchment.core.errors import Misconfigured

PREFIX = "CATCHMENT_"
FILE_VARIABLE = "CATCHMENT_CONFIG"
DEFAULT_FILE = Path("/etc/catchment/catchment.toml")
"""Read if neither `--config` nor CATCHMENT_CONFIG is given, and if it exists."""
DEFAULT = "default"
"""The source of a value that is not set."""


class BadSettings(Misconfigured):
    """Wrong settings, with a line for each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(slots=True, kw_only=True)
class Given:
    """The given settings, before their check."""

    values: dict[str, Any] = field(default_factory=dict)
    """By section and key."""
    sources: dict[str, str] = field(default_factory=dict)
    """The file or the variable of each value, by `section.key`."""
    file: Path | None = None
    """The settings file, if one was read."""
    problems: list[str] = field(default_factory=list)

    @property
    def file_words(self) -> str:
        """The settings file, for a message."""
        return f"settings: {self.file}" if self.file is not None else "no settings file"

    def source(self, name: str) -> str:
        """Return the source of a value, or of the first value of a section."""
        below = (source for key, source in self.sources.items() if key.startswith(f"{name}."))
        return f"from {self.sources.get(name) or next(below, DEFAULT)}"


def read_given(config: str | None, environment: Mapping[str, str], default: Path) -> Given:
    """Read `config`, else the file that CATCHMENT_CONFIG names, else `default` if it exists; then the environment. An
    empty CATCHMENT_CONFIG means no file. Raises `BadSettings` if the file can't be read."""
    named = config if config is not None else environment.get(FILE_VARIABLE)
    given = Given()
    if named:
        given.file = Path(named)
        given.values = _read(given.file)
    elif named is None and (values := _read_if_there(default)) is not None:
        given.file, given.values = default, values
    if given.file is not None:
        _name_sources(given)
    _add_environment(given, environment)
    return given


def _read_if_there(path: Path) -> dict[str, Any] | None:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # it may exist: reading it raises the error
    return _read(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except PermissionError:
        raise BadSettings(
            [f"{path}: Permission denied; run the command as a user who may read it: sudo -u catchment catchment …"]
        ) from None
    except OSError as error:
        raise BadSettings([f"{path}: {error.strerror}"]) from None
    except ValueError as error:  # not TOML, not UTF-8, or a path with a NUL
        raise BadSettings([f"{path}: not TOML: {_place(error)}"]) from None
    except RecursionError:
        raise BadSettings([f"{path}: not TOML: nested too deeply"]) from None


def _place(error: ValueError) -> str:
    """Return the mistake and its place, without the text, which can be a secret."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    return str(error)


def _name_sources(given: Given) -> None:
    for section, values in given.values.items():
        if not isinstance(values, dict):
            given.sources[section] = str(given.file)
            continue
        for key, value in values.items():
            given.sources[f"{section}.{key}"] = str(given.file)
            if section == "plugins" and isinstance(value, dict):
                given.sources.update({f"plugins.{key}.{own}": str(given.file) for own in value})


def _add_environment(given: Given, environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        section, separator, key = name.removeprefix(PREFIX).lower().partition("__")
        if not name.startswith(PREFIX) or not separator:
            continue
        values = given.values.setdefault(section, {})
        plugin, separator, own_key = key.partition("__")
        if separator and section == "plugins" and isinstance(values, dict):
            values, key = values.setdefault(plugin, {}), own_key
            given.sources[f"plugins.{plugin}.{own_key}"] = name
        else:
            given.sources[f"{section}.{key}"] = name
        if isinstance(values, dict):
            values[key] = value
        else:
            given.problems.append(f"{name}: {section} is not a section")

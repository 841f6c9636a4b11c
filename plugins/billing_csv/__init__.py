"""The shipped plugin that bills into a CSV file: one row for each account, project and period.

Pushing a usage again replaces its row. The file is never half written: a new file is written beside it, and replaces
it in one step. The setting `path` is its path; the default is ``catchment-billing.csv`` in the current directory.

If a spreadsheet would take a cell for a formula, a ``'`` is put before it.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..hooks import Invalid, PluginSettingsError, Usage, check_settings, hookimpl, period_text

DEFAULT_PATH = "catchment-billing.csv"
COLUMNS = (
    "idempotency_key",
    "account_id",
    "account",
    "project_id",
    "project",
    "period",
    "events",
    "closed",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class ForeignFile(Invalid):
    """The file exists, but this plugin did not write it."""


class NotWritable(Invalid):
    """The file, or its directory, can't be read or written."""


class CsvBilling:
    def __init__(self) -> None:
        self._path = Path(DEFAULT_PATH)

    @hookimpl
    def catchment_configure(self, settings: Mapping[str, Any]) -> None:
        check_settings(settings, path=str)
        path = settings.get("path", DEFAULT_PATH)
        if not path or os.path.isdir(path) or not os.path.isdir(os.path.dirname(os.path.abspath(path))):
            raise PluginSettingsError(f"path: {path!r} is not a file in a directory that is there")
        self._path = Path(path)

    @hookimpl
    def catchment_bill(self, usage: Usage) -> None:
        path = Path(os.path.realpath(self._path))  # the target of a link is replaced, not the link
        row = _row(usage)
        try:
            with _locked(path):
                rows = _read(path)
                rows[row[0]] = row
                _replace(path, rows)
        except OSError as error:
            raise NotWritable(
                f"{path} can't be written: {error.strerror or error}; whoever runs the command must be able to write "
                "it and its directory, or set another plugins.csv.path"
            ) from error


def _row(usage: Usage) -> list[str]:
    cells = (
        usage.idempotency_key,
        usage.account_id,
        usage.account,
        usage.project_id,
        usage.project,
        period_text(usage.period),
        str(usage.events),
        "true" if usage.closed else "false",
    )
    return [f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file's lock: one run at a time. Another run waits here while the file is written."""
    import fcntl  # not on Windows, where everything but this plugin may run

    with open(path.with_name(f"{path.name}.lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> dict[str, list[str]]:
    """Return the rows of the file, by idempotency key. Raise `ForeignFile`."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            head, *rows = list(csv.reader(file, strict=True)) or [list(COLUMNS)]
    except FileNotFoundError:
        return {}
    except (UnicodeDecodeError, csv.Error):
        head, rows = [], []
    if tuple(head) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise ForeignFile(f"{path} is not a file that this plugin wrote; move it away, or set another path")
    return {row[0]: row for row in rows}


def _replace(path: Path, rows: Mapping[str, list[str]]) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(rows.values())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            os.chmod(name, path.stat().st_mode & 0o777)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


plugin = CsvBilling()

"""The files in which the workers of a server share their counts, so that any of them can tell the sum.

A worker writes its files through memory. If the disk were full at such a moment, the system would kill the worker. So
the room of all files is taken at the start, and never given back: a worker that follows another one uses its files.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from prometheus_client import values

log = logging.getLogger(__name__)

KINDS = ("counter", "gauge_livemax", "gauge_livemin", "gauge_livesum", "histogram")
"""The kinds of metrics that there are; each has a file of its own in every worker."""
SIZE = 64 * 1024
"""Bytes of a file: some hundred series, five times what there are at the start."""
_NOTHING = bytes(8)
"""The beginning of a file without a series."""


class SharedCounts:
    """The counts of so many workers, in files of this folder.

    The parent makes it, and says which worker is gone; each worker calls `join` before it makes its `Metrics`. If the
    folder has no room, each worker counts for itself alone.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder = folder
        files = [self._file(kind, number) for number in range(workers) for kind in KINDS]
        try:
            for file in files:
                file.write_bytes(bytes(SIZE))
        except OSError as error:
            log.error("no room for the metrics in %s (TMPDIR): %s", folder, error.strerror or error)
            for file in files:
                with suppress(OSError):
                    file.unlink(missing_ok=True)

    def join(self, number: int) -> None:
        """Let this process count as the worker of this number. Without its files it counts for itself alone."""
        if not all(self._file(kind, number).is_file() for kind in KINDS):
            log.error("no files for the metrics in %s: /metrics of worker %d has its own alone", self._folder, number)
            return
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self._folder)
        values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]

    def forget(self, number: int) -> None:
        """Forget what a worker that is gone has gauged. What it counted stays: the next one of its number goes on."""
        for kind in KINDS:
            if kind.startswith("gauge"):
                with suppress(OSError), self._file(kind, number).open("r+b") as file:
                    file.write(_NOTHING)

    def _file(self, kind: str, number: int) -> Path:
        return self._folder / f"{kind}_{number}.db"  # as prometheus_client calls them

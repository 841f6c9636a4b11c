"""What processes take: memory that is not counted twice, and processor time by kind."""

from __future__ import annotations

import contextlib
import re
import resource
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

Processes = Callable[[], Iterable[psutil.Process]]


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of several processes. Every page counts once: of one that N processes have, each has an Nth (PSS)."""

    total: int
    shared: int
    """Of that, memory made to be shared: PostgreSQL's buffers, as far as they were ever used."""

    @property
    def own(self) -> int:
        return self.total - self.shared


def memory_of(processes: Iterable[psutil.Process]) -> Memory:
    total = shared = 0
    for process in processes:
        with contextlib.suppress(OSError):  # it has ended
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
            sizes = {name: 1024 * int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
            total += sizes["Pss"]
            shared += sizes.get("Pss_Shmem", 0)
    return Memory(total, shared)


_KINDS = ("autovacuum", "checkpointer", "background writer", "walwriter", "io worker", "logical replication")


def kind_of(process: psutil.Process) -> str:
    """What a process of PostgreSQL does, by the title that it gives itself."""
    title = " ".join(process.cmdline()).removeprefix("postgres: ")
    for kind in _KINDS:
        if title.startswith(kind):
            return kind
    return "postmaster" if title.startswith("/") else "sessions"


class ProcessorTime:
    """Seconds of processor time while a block runs, by kind: the server's, PostgreSQL's, and wrk's, the only program
    that is begun and ended in the block. Looked at twice a second: of a process that ends, what it took since is lost::

        with ProcessorTime(server.processes, bench.postgres) as spent:
            bench.load(…)
        spent.seconds["autovacuum"]
    """

    def __init__(self, server: Processes, postgres: Processes) -> None:
        self.seconds: Counter[str] = Counter()
        self._server = server
        self._postgres = postgres
        self._begun: dict[psutil.Process, float] = {}
        self._last: dict[psutil.Process, tuple[str, float]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._children = _children_seconds()
        self._look()
        self._begun = {process: seconds for process, (_, seconds) in self._last.items()}
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()
        for process, (kind, seconds) in self._last.items():
            self.seconds[kind] += seconds - self._begun.get(process, 0.0)  # all of it where it began in between
        self.seconds["wrk"] = _children_seconds() - self._children

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            self._look()

    def _look(self) -> None:
        for processes, kind in ((self._server, "server"), (self._postgres, None)):
            for process in processes():
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    self._last[process] = (kind or kind_of(process), times.user + times.system)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

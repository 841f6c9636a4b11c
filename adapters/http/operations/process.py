"""Metrics of a worker's use of the machine, under the names that Prometheus's own clients use.

Those clients look at one process; with several workers the one that happens to answer would be all that is seen.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time

from prometheus_client import CollectorRegistry, Counter, Gauge

_EVERY = 10
"""Looks at the whole for one that counts the descriptors: there can be tens of thousands."""


class ProcessMetrics:
    """The `process_…` metrics of this process, for all workers together. What the system does not tell stays 0."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._cpu = Counter("process_cpu_seconds", "CPU time of all workers, ended ones too", registry=registry)
        self._memory = Gauge(
            "process_resident_memory_bytes", "Memory of all workers", registry=registry, multiprocess_mode="livesum"
        )
        self._descriptors = Gauge(
            "process_open_fds", "Open files of the worker that has most", registry=registry, multiprocess_mode="livemax"
        )
        self._most = Gauge(
            "process_max_fds", "Files that a worker may open", registry=registry, multiprocess_mode="livemin"
        )
        self._start = Gauge(
            "process_start_time_seconds", "Start of the youngest worker", registry=registry, multiprocess_mode="livemax"
        )
        self._spent = 0.0
        self._looks = 0

    def begin(self) -> None:
        """Note the start."""
        self._start.set(time.time())
        self._most.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.look()

    def look(self) -> None:
        """Note what is used now; once a second."""
        spent = time.process_time()
        self._cpu.inc(spent - self._spent)
        self._spent = spent
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open("/proc/self/statm", encoding="ascii") as pages:
                self._memory.set(int(pages.read().split()[1]) * resource.getpagesize())
            if self._looks % _EVERY == 0:
                self._descriptors.set(len(os.listdir("/proc/self/fd")))
        self._looks += 1

"""Clients that post without a pause, and know of every request what became of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..support.running import Project, Serving, ask


@dataclass(slots=True)
class Load:
    """Some threads that post to a server until it refuses connections, or until they are told to stop."""

    server: Serving
    project: Project
    became: Counter[str] = field(default_factory=Counter)
    """Requests by what became of them: an outcome, a code, or the name of an error."""
    stored: list[str] = field(default_factory=list)
    """The ids of events that were acknowledged."""
    lost: list[str] = field(default_factory=list)
    """What happened to requests that had no answer, though their connection had been made."""
    refused: int = 0
    """Clients that were refused a connection, and ended."""
    through_refusals: bool = False
    """Whether clients go on when they are refused a connection."""
    _threads: list[threading.Thread] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, *, keeping: int, connecting: int) -> None:
        """Threads that keep their connection, and threads that make a new one for every event."""
        for number in range(keeping + connecting):
            thread = threading.Thread(target=self._run, args=(number < keeping,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        self._end.set()
        self.wait()

    def wait(self) -> None:
        """Until every client has ended."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"

    @property
    def answered(self) -> int:
        return sum(self.became.values())

    def _run(self, keep: bool) -> None:
        connection = self.server.connect(timeout=20)
        while not self._end.is_set():
            try:
                if connection.sock is None:
                    connection.connect()
            except ConnectionRefusedError:
                with self._lock:
                    self.refused += 1
                if self.through_refusals:
                    continue
                return
            self._post(connection)
            if not keep:
                connection.close()
        connection.close()

    def _post(self, connection: http.client.HTTPConnection) -> None:
        event_id = uuid.uuid4().hex
        body = json.dumps(self.project.event(eventId=event_id)).encode()
        try:
            reply = ask(connection, "POST", "/v1/events", body, {"Content-Type": "application/json"})
        except (OSError, http.client.HTTPException) as error:
            with self._lock:
                self.lost.append(f"{type(error).__name__}: {error}")
            connection.close()
            return
        with self._lock:
            self.became[reply.code] += 1
            if reply.code == "stored":
                self.stored.append(event_id)


@contextlib.contextmanager
def loaded(server: Serving, project: Project, *, keeping: int = 4, connecting: int = 4) -> Iterator[Load]:
    """Load for the time of a block."""
    load = Load(server, project)
    load.start(keeping=keeping, connecting=connecting)
    try:
        yield load
    finally:
        load.stop()

"""What a test of the suite works with: a database, servers, clients, and an end that cleans up all of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..support.answers import Answer
from ..support.running import Project, environment, make_projects, run_json
from ..support.waiting import wait_until
from . import oracle
from .book import ORIGIN, Book, faults_of
from .load import Load, NoAnswer, event, new_id, post_once, request_of
from .postgres import ROLE, Cluster
from .processes import Repeatedly
from .proxy import Proxy
from .server import Address, Server

KILLS = int(os.environ.get("CATCHMENT_FAULTS_KILLS", "20"))
"""How often a crash loop kills."""
BACK = 5.0
"""Seconds within which a server works again, once the fault is over."""
DEADLINE = 6.0
"""Seconds within which every request has its answer: the server's 5, and one for a busy machine."""
_TEMPLATE = "faults_template"
_numbers = itertools.count(1)


def prepare(cluster: Cluster) -> tuple[Project, Project]:
    """Makes the database that all are copied of, with two projects in it."""
    cluster.execute("postgres", f"CREATE DATABASE {_TEMPLATE} OWNER {ROLE}")
    dsn = cluster.dsn(_TEMPLATE, ROLE)
    run_json(environment(dsn), "migrate")
    shop, blog = make_projects(dsn, "shop", "blog", origins=[ORIGIN])
    cluster.execute("postgres", "CHECKPOINT")
    return shop, blog


class Rig:
    """One test's own. `servers` are all that were started, ended ones too."""

    def __init__(self, cluster: Cluster, sites: tuple[Project, Project], folder: Path) -> None:
        self.cluster = cluster
        self.site, self.other_site = sites
        self.folder = folder
        self.book = Book()
        self.servers: list[Server] = []
        self.judged = False
        self._cleanup = contextlib.ExitStack()
        self._loads: list[Load] = []
        self._log_start = len(cluster.log_text())
        self.database = f"faults_{os.getpid()}_{next(_numbers)}"
        cluster.execute("postgres", f"CREATE DATABASE {self.database} TEMPLATE {_TEMPLATE} OWNER {ROLE}")

    @property
    def dsn(self) -> str:
        return self.cluster.dsn(self.database, ROLE)

    # parts

    def serve(
        self, dsn: str | None = None, *, workers: int = 1, stderr: BinaryIO | None = None, **settings: object
    ) -> Server:
        """A server that collects (`COLLECT__DEADLINE=2` are settings)."""
        log = self.folder / f"server-{len(self.servers)}.log"
        server = Server(dsn or self.dsn, log, workers=workers, settings=settings, stderr=stderr)
        self.servers.append(server)
        self._cleanup.callback(server.close)
        return server.wait_ready()

    def proxy(self) -> Proxy:
        """A network between a server and the database: `rig.serve(rig.through(proxy))`."""
        made = Proxy(f"{self.cluster.folder}/.s.PGSQL.5432")
        self._cleanup.callback(made.close)
        return made

    def through(self, proxy: Proxy) -> str:
        return proxy.dsn(self.database, ROLE)

    @property
    def targets(self) -> list[Address]:
        """The servers that run."""
        return [server.address for server in self.servers if server.running and server.address[1]]

    def load(self, targets: Callable[[], Sequence[Address]] | None = None, **options: Any) -> Load:
        made = Load(self.book, targets or (lambda: self.targets), self.site.browser_key, **options)
        self._loads.append(made)
        return made

    def health(self) -> Health:
        made = Health(self.servers[-1])
        self._cleanup.callback(made.stop)
        return made

    # requests

    def post(
        self,
        *events: dict[str, Any],
        key: str | None = None,
        server: Server | None = None,
        timeout: float = 15.0,
        batch: bool | None = None,
    ) -> Answer:
        """The answer to these events, or to a new one, on a new connection; noted in the book."""
        sent = list(events) or [event(new_id())]
        ids = [one["eventId"] for one in sent]
        self.book.sent(ids)
        request = request_of(key or self.site.browser_key, sent, batch=batch)
        answer = asyncio.run(post_once((server or self.servers[-1]).address, request, timeout))
        self.book.answered(ids, answer)
        return answer

    def post_without_id(self, server: Server, count: int = 1) -> Answer:
        """The answer to events to which the server has to give ids."""
        request = request_of(self.site.browser_key, [event(None)] * count)
        answer = asyncio.run(post_once(server.address, request, 15.0))
        self.book.wrong += faults_of(answer)
        if answer.status == 503:
            named = answer.json.get("event_ids") or [answer.json.get("event_id")]
            self.book.doubtful.update(filter(None, named))  # none where the body was not read
        return answer

    def post_at_once(
        self, requests: Sequence[Sequence[dict[str, Any]]], *, keys: Sequence[str] = (), timeout: float = 15.0
    ) -> list[Answer]:
        """The answers to requests that are sent at the same moment, with these keys and to the servers in turn;
        without those that were lost, which the book has."""
        addresses = itertools.cycle(self.targets)
        in_turn = itertools.cycle(keys or [self.site.browser_key])

        async def one(address: Address, key: str, sent: Sequence[dict[str, Any]]) -> Answer | None:
            ids = [one["eventId"] for one in sent]
            self.book.sent(ids)
            try:
                answer = await post_once(address, request_of(key, sent), timeout)
            except (OSError, NoAnswer) as error:
                self.book.lost(ids, error)
                return None
            self.book.answered(ids, answer)
            return answer

        async def all_of_them() -> list[Answer | None]:
            return await asyncio.gather(*(one(next(addresses), next(in_turn), sent) for sent in requests))

        return [answer for answer in asyncio.run(all_of_them()) if answer is not None]

    def wait_answers(self) -> None:
        """Waits until PostgreSQL itself is back: the fault is over."""
        wait_until(self.cluster.answers, "PostgreSQL answers", 30)

    def wait_stores(self, within: float = BACK) -> float:
        """Waits until a new event is stored, sending it again; how many seconds that took."""
        started = time.monotonic()
        again = event(new_id())
        wait_until(lambda: self._try(again), "the server stores again", within)
        return time.monotonic() - started

    def _try(self, sent: dict[str, Any]) -> bool:
        return self.post(sent).status == 200

    # the database

    def execute(self, text: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Runs a statement as the superuser, in the test's database."""
        return self.cluster.execute(self.database, text, *parameters)

    def one(self, text: str, *parameters: object) -> Any:
        ((value,),) = self.execute(text, *parameters)
        return value

    def stored(self, event_id: str | None = None) -> int:
        """How many events are stored, or how often one is."""
        if event_id is None:
            return int(self.one("SELECT count(*) FROM catchment.event"))
        return int(self.one("SELECT count(*) FROM catchment.event WHERE event_id = %s", event_id))

    def sessions(self) -> int:
        """How many sessions the servers have with the database."""
        return int(self.one("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", ROLE))

    def wait_for_sessions(self, state: str) -> None:
        """Waits until a writer is in this state (`pg_stat_activity.wait_event_type`, such as Lock)."""
        text = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s AND wait_event_type = %s"
        wait_until(lambda: self.one(text, "catchment writer%", state), f"a writer waits for {state}")

    def terminate_sessions(self) -> None:
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", ROLE)

    @contextlib.contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Holds a table, so that nobody else can use it."""
        with self.cluster.session(self.database) as cursor:
            cursor.execute(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            try:
                yield
            finally:
                with contextlib.suppress(Exception):
                    cursor.execute("ROLLBACK")

    def before_each_event(self, statement: str) -> None:
        """From now on plpgsql's `statement` runs in every transaction that stores events, before they are."""
        self.execute(
            "CREATE OR REPLACE FUNCTION public.fault() RETURNS trigger LANGUAGE plpgsql AS "
            f"$fault$ BEGIN {statement}; RETURN NULL; END $fault$; "
            "DROP TRIGGER IF EXISTS fault ON catchment.event; "
            "CREATE TRIGGER fault BEFORE INSERT ON catchment.event "
            "FOR EACH STATEMENT EXECUTE FUNCTION public.fault()"
        )

    def no_fault(self) -> None:
        self.execute("DROP TRIGGER IF EXISTS fault ON catchment.event")

    def database_log(self) -> str:
        return self.cluster.log_text()[self._log_start :]

    # the end

    def judge(self, *, memory: int = oracle.MEMORY) -> None:
        """The oracle. Every test ends with it."""
        self.judged = True
        oracle.judge(self, memory=memory)

    def close(self) -> None:
        with self._cleanup:
            for load in self._loads:
                load.stop()
        self.cluster.heal()
        self.cluster.execute("postgres", f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")


class Health:
    """Asks `/healthz` again and again: an event loop that stands still is seen here."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.seconds: list[float] = []
        self._asking = Repeatedly(self._ask, pause=0.02)

    def _ask(self) -> None:
        started = time.monotonic()
        status, _ = self._server.ask("/healthz")
        assert status == 200
        self.seconds.append(time.monotonic() - started)

    def stop(self) -> None:
        self._asking.close()

    def judge(self) -> None:
        """Quick all the while: a busy machine may be late now and then, an event loop that waits is late by its
        whole wait."""
        self.stop()
        late = [one for one in self.seconds if one > 0.1]
        assert len(self.seconds) > 10
        assert len(late) <= len(self.seconds) // 50, f"{len(late)} of {len(self.seconds)} answers took over 100 ms"
        assert max(self.seconds) < 0.5, f"/healthz took {max(self.seconds):.2f} s"

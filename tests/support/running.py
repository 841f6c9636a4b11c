"""The command and the server as processes of their own, and what an outsider sees of them."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg2.extras

from catchment.config.management import open_management
from catchment.config.settings import load
from catchment.core.project import KeyKind

from .answers import Answer
from .database import Database
from .waiting import wait_until

COMMAND = [sys.executable, "-m", "catchment.config.main"]
COMMAND_SECONDS = 60.0
"""A command that takes longer hangs."""
ORIGIN = "https://yourdomain.com"
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
LISTENING = re.compile(r"Listening on [^:]+:(\d+)")
"""In a server's log, once it listens."""


def environment(dsn: str, **settings: object) -> dict[str, str]:
    """Return the environment of a command: none of this process's settings, these instead (`COLLECT__DEADLINE=2`)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CATCHMENT_", "PG"))}
    chosen = {"CONFIG": "", "DATABASE__URL": dsn, **settings}  # and no settings file of the machine
    return {**kept, "PYTHONUNBUFFERED": "1", **variables(chosen)}


def variables(settings: Mapping[str, object]) -> dict[str, str]:
    """Return the environment variables of settings. One of None keeps its default."""
    return {f"CATCHMENT_{name}": str(value) for name, value in settings.items() if value is not None}


def run(
    env: Mapping[str, str], *arguments: str, folder: Path | None = None, seconds: float = COMMAND_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=folder,
        check=False,
    )


def run_json(env: Mapping[str, str], *arguments: str, folder: Path | None = None) -> Any:
    """Run a command, and return what it prints with `--json`."""
    done = run(env, *arguments, "--json", folder=folder)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    (line,) = done.stdout.splitlines()
    return json.loads(line)


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request on a connection, which is kept."""
    connection.request(method, path, body, dict(headers or {}))
    response = connection.getresponse()
    return Answer(response.status, dict(response.getheaders()), response.read())


@dataclass(slots=True, kw_only=True)
class Project:
    """A project, and a key of each kind."""

    id: str
    name: str
    browser_key: str
    server_key: str

    def event(self, **fields: object) -> dict[str, Any]:
        """A good event of a browser."""
        return {
            "projectKey": self.browser_key,
            "event_name": "ButtonClick",
            "url": f"{ORIGIN}/page",
            "userAgent": BROWSER,
            **fields,
        }


def make_projects(
    dsn: str, *names: str, account: str | None = None, origins: Sequence[str] = (ORIGIN,)
) -> list[Project]:
    """Make projects in a new account, which is named as the first unless told otherwise.

    Without a process: how commands make projects is tested elsewhere."""

    async def make() -> list[Project]:
        made = []
        async with open_management(load(None, {"CATCHMENT_DATABASE__URL": dsn}), dsn) as management:
            await management.administer.create_account(account or names[0])
            for name in names:
                project, browser = await management.administer.create_project(name, account or names[0], origins)
                server = await management.administer.create_key(project.id, KeyKind.SERVER)
                made.append(Project(id=project.id, name=name, browser_key=browser.text, server_key=server.text))
        return made

    return asyncio.run(make())


@dataclass(slots=True)
class Installation:
    """A database, and the settings under which commands and servers run on it."""

    dsn: str
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def env(self, **settings: object) -> dict[str, str]:
        """Return the environment of a command, with these settings too."""
        return {**environment(self.dsn), **self.environment, **variables(settings)}

    def run(self, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return run(self.env(**settings), *arguments, folder=self.folder)

    def json(self, *arguments: str) -> Any:
        """Run a command, and return what it prints with `--json`."""
        return run_json(self.env(), *arguments, folder=self.folder)

    def project(self, *origins: str) -> Project:
        """Make a project of a new account."""
        (project,) = make_projects(self.dsn, f"p-{uuid.uuid4().hex[:8]}", origins=origins or (ORIGIN,))
        return project

    @contextlib.contextmanager
    def serving(self, workers: int = 1, *, port: int = 0, wait: bool = True, **settings: object) -> Iterator[Serving]:
        """A server, ended at the end whatever happened to it. `port` 0: a free one. `wait`: until it is ready."""
        env = self.env(**settings)
        log = self.folder / f"log-{uuid.uuid4().hex[:8]}"
        command = [*COMMAND, "serve", "--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
        with log.open("wb") as written:
            process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=written,
                cwd=self.folder,
                start_new_session=True,
            )
        server = Serving(process, log)
        try:
            if wait:
                server.find_port()
            yield server
        finally:
            server.end()


@dataclass(slots=True)
class Serving:
    """One `catchment serve`."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int = 0

    def find_port(self) -> None:
        """Waits until it says where it listens, and is ready."""

        self.port = int(wait_until(self.said, "the server says where it listens")[1])
        wait_until(self.ready, "the server is ready")

    def said(self) -> re.Match[str] | None:
        """Where it says that it listens, once it does."""
        assert self.process.poll() is None, f"it ended: {self.log.read_text()}"
        return LISTENING.search(self.log.read_text(encoding="utf-8"))

    def ready(self) -> bool:
        assert self.process.poll() is None, f"it ended: {self.log.read_text()}"
        return self.get("/readyz").status == 200

    def end(self) -> None:
        """Its end, whatever state it is in, with all its workers."""
        try:
            everybody = [psutil.Process(self.process.pid), *self.workers()]
        except psutil.NoSuchProcess:
            everybody = []
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        for one in everybody:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait(20)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Asks it to end, and returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def workers(self) -> list[psutil.Process]:
        """Its living children."""
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children()
            return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        return []

    def connect(self, timeout: float = 30.0) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """One request on a connection of its own. Header names have `_` for `-`."""
        content = None
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            named.setdefault("Content-Type", "application/json")
        connection = self.connect()
        try:
            return ask(connection, method, path, content, named)
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, body: object, path: str = "/v1/events", **headers: str) -> Answer:
        return self.ask("POST", path, body, **headers)

    def lines(self) -> list[dict[str, Any]]:
        """Its log."""
        text = self.log.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


@dataclass(slots=True)
class Collector:
    """A server, as a website knows it, a project of a test's own, and what the database has of it."""

    database: Database
    installation: Installation
    project: Project
    server: Serving

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def rows(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return the project's events as they happened, or those of one name."""
        with contextlib.closing(self.database.connect()) as connection:
            cursor = connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor)
            cursor.execute(
                "SELECT * FROM catchment.event WHERE project_id = %s ORDER BY occurred_at, event_id",
                (self.project.id,),
            )
            found = [dict(row) for row in cursor.fetchall()]
        return [row for row in found if name is None or row["name"] == name]

    def row(self, event_id: str) -> dict[str, Any]:
        """Return the only row with this id."""
        (row,) = [row for row in self.rows() if row["event_id"] == event_id]
        return row

    def ids(self) -> list[str]:
        """Return the ids of all rows, sorted. An event that is stored twice is here twice."""
        return sorted(row["event_id"] for row in self.rows())

    def losses(self) -> dict[str, int]:
        """Return what senders of the project say that they lost, by reason."""
        return dict(
            self.database.execute(
                "SELECT reason, sum(events)::int FROM catchment.loss WHERE project_id = %s GROUP BY reason",
                self.project.id,
            )
        )

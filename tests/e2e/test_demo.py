"""`catchment demo`: the main job in one go."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.database import Database
from ..support.running import COMMAND, Installation
from ..support.sessions import locked
from ..support.waiting import wait_until


@pytest.fixture(scope="module")
def fresh() -> Iterator[Installation]:
    """An installation without anything: not even its database is there."""
    # directly in the temporary folder: the embedded database's user must be able to get there
    folder = Path(tempfile.mkdtemp(prefix="catchment-demo-")).resolve()
    folder.chmod(0o755)
    try:
        yield Installation("embedded", folder, {"CATCHMENT_DATABASE__DIRECTORY": str(folder / "postgresql")})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_no_other_command_makes_a_database(fresh: Installation) -> None:
    for words in (["usage"], ["account", "create", "acme"], ["migrate"], ["audit", "--json"], ["maintain"]):
        done = fresh.run(*words)
        assert done.returncode == 1, words
        (line,) = done.stderr.splitlines()
        assert f"there is no embedded database in {fresh.folder / 'postgresql'}: `catchment serve`" in line
        assert "no settings file" in line
    assert not (fresh.folder / "postgresql").exists()


def test_demo_check_holds_twice(fresh: Installation) -> None:
    for first in (True, False):
        done = fresh.run("demo", "--check", "--json")
        assert (f"new embedded database in {fresh.folder / 'postgresql'}" in done.stderr) is first
        found = json.loads(done.stdout)
        assert found["ok"] is True
        assert found["checked"] > 10
    assert (fresh.folder / "postgresql").stat().st_mode & 0o777 == 0o700


def test_the_embedded_database_needs_no_migrate_and_is_there_for_commands(fresh: Installation) -> None:
    assert fresh.json("account", "list") == []  # the checks left nothing
    assert fresh.json("migrate") == {"applied": []}
    assert fresh.json("audit") == {"ok": True, "differences": []}


@contextlib.contextmanager
def demonstrating(fresh: Installation) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`catchment demo` for a person, and what it has printed so far."""
    printed = fresh.folder / "printed"
    with printed.open("wb") as written:
        process = subprocess.Popen(
            [*COMMAND, "demo", "--port", "0", "--site-port", "0"],
            env=fresh.env(),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            cwd=fresh.folder,
            start_new_session=True,
        )
    try:
        yield process, printed
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
        if process.poll() is None:
            process.kill()
        process.wait(20)


def test_the_demo_prints_a_curl_and_a_line_for_each_receipt(fresh: Installation) -> None:
    with demonstrating(fresh) as (process, printed):
        text = wait_until(lambda: "Receipts" in printed.read_text() and printed.read_text(), "the demo is there")
        (curl,) = re.findall(r"^curl .*?; echo$", text, re.MULTILINE | re.DOTALL)
        words = shlex.split(curl.removesuffix("; echo"))
        address = next(word for word in words if word.endswith("/v1/events"))
        event = json.loads(words[words.index("-d") + 1])
        assert event["url"].startswith("https://yourdomain.com")
        assert {"eventId", "timestamp", "userAgent", "projectKey"} <= set(event)
        outcomes = [post(address, event) for _ in range(2)]
        assert outcomes == ["stored", "duplicate"]
        wait_until(lambda: len(re.findall(rf"hello .*{event['eventId']}", printed.read_text())) == 2, "both are shown")
        refused = {**event, "url": "https://evil.example/", "event_name": "Refused\x1b[2J"}
        assert post(address, refused) == "refused"
        wait_until(
            lambda: re.search(r"origin_not_allowed hello Refused", printed.read_text()), "the refused event is named"
        )
        assert "\x1b" not in printed.read_text()
        for line in re.findall(r"^/.* (?:usage --project demo/hello|audit)$", text, re.MULTILINE):
            done = subprocess.run(  # noqa: S602
                line, shell=True, env=fresh.env(), cwd="/", capture_output=True, text=True, timeout=60, check=True
            )
            assert ("1" if "usage" in line else "Usage equals") in done.stdout
        (site,) = re.findall(r"http://localhost:\d+/$", text, re.MULTILINE)
        with urllib.request.urlopen(site, timeout=20) as page:  # noqa: S310
            html = page.read().decode()
        assert address.removesuffix("/v1/events") in html.replace("\\/", "/")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert "Traceback" not in printed.read_text()


def post(address: str, event: object) -> str:
    request = urllib.request.Request(  # noqa: S310
        address, json.dumps(event).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:  # noqa: S310
            return str(json.load(reply)["outcome"])
    except urllib.error.HTTPError as error:
        return str(error.headers["X-Catchment-Outcome"])


def rows_of(database: Database) -> dict[str, int]:
    """How many rows every table has, partitions' among them."""
    tables = database.execute(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'catchment'::regnamespace AND relkind IN ('r', 'p')"
    )
    return {name: database.one(f"SELECT count(*) FROM catchment.{name}") for (name,) in tables}  # noqa: S608


@pytest.mark.parametrize("ending", [None, signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=str)
def test_a_check_leaves_nothing_behind_however_it_ends(
    embedded_database: Database, tmp_path: Path, ending: signal.Signals | None
) -> None:
    database = embedded_database
    installation = Installation(database.dsn, tmp_path)
    installation.json("account", "create", "acme")
    before = rows_of(database)
    if ending is not None:
        with subprocess.Popen(
            [*COMMAND, "demo", "--check"], env=installation.env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            with locked(
                database, "catchment.deleted_count"
            ):  # the audit reads it, so that the check does not end before
                wait_until(lambda: database.one("SELECT count(*) FROM catchment.event") > 0, "it has stored something")
                process.send_signal(ending)
            said, _ = process.communicate(timeout=60)
            assert process.returncode == (128 + ending if ending is not signal.SIGKILL else -ending)
            assert b"Traceback" not in said
    if ending in (None, signal.SIGKILL):  # the next check takes away what a killed one left
        assert installation.json("demo", "--check")["ok"] is True
    after = rows_of(database)
    left = {name: count for name, count in after.items() if before.get(name, 0) != count}
    left.pop("salt", None)  # the day's, for all projects; maintenance deletes it
    assert left == {}
    assert installation.json("billing", "push", "--backend", "csv")["pushed"] == 0


def test_an_account_of_this_name_that_is_not_the_demo_s_is_left_alone(installation: Installation) -> None:
    installation.json("account", "create", "demo")
    for words in (["demo", "--port", "0", "--site-port", "0"], ["demo", "--remove"]):
        done = installation.run(*words)
        assert done.returncode == 1
        assert "demo did not make" in done.stderr or "not made by the demo" in done.stderr
    assert installation.json("project", "list") == []

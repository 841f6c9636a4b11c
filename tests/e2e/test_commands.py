"""What commands say on a real database, and when they refuse."""

from __future__ import annotations

import contextlib
import csv
import json
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ..support.database import Server
from ..support.running import COMMAND, ORIGIN, Installation, Project, Serving


def test_refusals_on_a_real_database_are_one_line_with_exit_code_1(
    installation: Installation, project: Project
) -> None:
    again = ["project", "create", project.name, "--account", project.name, "--origin", ORIGIN, "--json"]
    for words in (
        ["account", "create", project.name],
        again,
        ["project", "show", "nothing"],
        ["key", "revoke", "nothing"],
        ["quota", "set", "--account", "nothing", "--window", "day", "--hard", "1"],
        ["billing", "push", "--backend", "nothing"],
        ["usage", "--project", "nothing", "--json"],
        ["project", "set", project.id, "--remove-origin", "https://never.example"],
    ):
        done = installation.run(*words)
        assert done.returncode == 1, words
        (line,) = done.stderr.splitlines()
        assert line.startswith("catchment: ")
        assert "no settings file" in line
        assert "postgresql://" in line
        if "--json" in words:
            error = json.loads(done.stdout)["error"]
            assert error["code"] in ("already_exists", "not_found")
            assert error["message"] in line
        else:
            assert done.stdout == ""


def test_a_project_of_two_origins_of_which_one_is_bad_is_not_made_at_all(
    installation: Installation, project: Project
) -> None:
    words = ["project", "create", "half", "--account", project.name, "--origin", ORIGIN, "--origin", "nonsense"]
    assert installation.run(*words).returncode == 1
    assert "half" not in [one["name"] for one in installation.json("project", "list")]


def test_the_database_is_brought_to_this_version_once(server: Server, tmp_path: Path) -> None:
    with server.empty() as database:
        installation = Installation(database.dsn, tmp_path)
        first = installation.json("migrate")["applied"]
        assert len(first) >= 3
        assert installation.json("migrate") == {"applied": []}
        assert installation.json("account", "list") == []
        assert installation.json("audit") == {"ok": True, "differences": []}
        assert installation.json("maintain") == {"partitions": [], "ids_forgotten": 0, "moved": {}}


@pytest.mark.parametrize("words", [["serve", "--port", "0"], ["usage", "--json"]])
def test_a_database_that_is_behind_is_refused_and_the_command_is_named(
    embedded_server: Server, tmp_path: Path, words: list[str]
) -> None:
    with embedded_server.empty() as database:
        done = Installation(database.dsn, tmp_path).run(*words)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "catchment migrate" in line


def test_a_database_of_a_later_version_is_refused(server: Server, tmp_path: Path) -> None:
    with server.copy() as database:
        database.execute(
            "INSERT INTO catchment._yoyo_migration (migration_hash, migration_id) VALUES ('x', '9999.later')"
        )
        done = Installation(database.dsn, tmp_path).run("serve", "--port", "0")
    assert done.returncode == 1
    assert "9999.later" in done.stderr
    assert "migrate`" not in done.stderr


def test_a_database_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and does not listen: nobody else gets the port meanwhile
        address = f"postgresql://u:hunter2@127.0.0.1:{silent.getsockname()[1]}/nothing"
        done = Installation(address, tmp_path).run("serve", "--port", "0")
    assert (done.returncode, done.stdout) == (1, "")
    assert all(line.startswith("catchment: ") for line in done.stderr.splitlines())
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_a_port_that_is_taken_is_one_line(installation: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = installation.run("serve", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert str(port) in line


def test_serve_prints_one_document_with_json(installation: Installation) -> None:
    """Where it listens; as every command does with `--json`, and nothing else on standard output."""
    command = [*COMMAND, "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, env=installation.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            readable, _, _ = select.select([process.stdout], [], [], 15)
            assert readable, "nothing is printed"
            document = json.loads(process.stdout.readline())
            assert isinstance(document["port"], int)
            process.terminate()
            said, _ = process.communicate(timeout=30)
            assert said == b""
        finally:
            process.kill()


def test_bad_settings_stop_the_server_with_exit_code_2(installation: Installation, tmp_path: Path) -> None:
    config = tmp_path / "bad.toml"
    config.write_text('[http]\nport = "http"\nspeed = 1\n')
    done = installation.run("--config", str(config), "serve")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 2


def test_billing_writes_what_usage_says_and_again_the_same(
    shared: Installation, shared_server: Serving, shared_project: Project, tmp_path: Path
) -> None:
    assert shared_server.post(shared_project.event()).code == "stored"
    bill = tmp_path / "usage.csv"
    billing = Installation(shared.dsn, tmp_path, {"CATCHMENT_PLUGINS__CSV__PATH": str(bill)})
    pushed = [billing.json("billing", "push", "--backend", "csv") for _ in range(2)]
    assert pushed[0] == pushed[1]
    with bill.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if shared_project.id in row.values()]
    assert len(rows) == 1
    assert "1" in rows[0].values()


CASES = {
    "the help, on a full disk": (["--help"], {}, "/dev/full", 1),
    "a result, on a full disk": (["config", "show"], {}, "/dev/full", 1),
    "a document, on a full disk": (["config", "show", "--json"], {}, "/dev/full", 1),
    "a terminal of ASCII alone": (["config", "show", "--json"], {"PYTHONIOENCODING": "ascii"}, None, 0),
    "a table in ASCII alone": (["plugins"], {"PYTHONIOENCODING": "ascii:strict"}, None, 0),
    "no home": (["config", "show"], {"HOME": None}, None, 0),
}


@pytest.mark.parametrize(("words", "environment", "output", "code"), CASES.values(), ids=CASES)
def test_nothing_around_a_command_ends_in_a_traceback(
    installation: Installation,
    words: list[str],
    environment: dict[str, str | None],
    output: str | None,
    code: int,
) -> None:
    env = {**installation.env(), "CATCHMENT_PLUGINS__CSV__PATH": "ä€.csv", **environment}
    given = {name: value for name, value in env.items() if value is not None}
    with contextlib.ExitStack() as files:
        target = files.enter_context(open(output, "wb")) if output else subprocess.PIPE
        process = files.enter_context(
            subprocess.Popen([*COMMAND, *words], env=given, stdout=target, stderr=subprocess.PIPE)
        )
        stdout, stderr = process.communicate(timeout=60)
    assert b"Traceback" not in stderr
    assert process.returncode == code, stderr
    if "--json" in words and not output:
        assert json.loads(stdout)["plugins"]["csv"]["path"] == "ä€.csv"
    if output:
        assert b"No space left on device" in stderr


def test_a_reader_that_goes_away_and_ctrl_c_end_a_command_without_a_word(installation: Installation) -> None:
    with subprocess.Popen(
        [*COMMAND, "config", "show"], env=installation.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        assert process.communicate(timeout=60)[1] == b""
    # While modules are imported, SIGINT has its default: the process ends at once.
    script = "import signal, sys; from catchment.config import main; sys.meta_path.insert(0, main)\n"
    script += "main.find_spec = lambda *_: signal.raise_signal(signal.SIGINT); main.main()"
    done = subprocess.run([sys.executable, "-c", script], env=installation.env(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")

"""Breaks Catchment on purpose, in a copy of the checkout, and expects the suite to notice.

    python tests/faults/breakages.py             all of them
    python tests/faults/breakages.py no_drain    these

Each breakage is made in a copy of its own, never in the work tree; then the quickest tests that must notice it are run
there. A breakage that stays green, and one that can't be made any more because the code has changed, is an error:
exit 1. The tests must be green without a breakage, so that red means something: that is looked at first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
KILLS = "4"
_LEFT_OUT = (".git", ".venv", ".lock-venv", "node_modules", "build", "dist", "__pycache__", "*_cache", "*.egg-info")
_SECONDS = 300


class CanNotBreak(Exception):
    """The text that a breakage changes is not there, or not once."""


@dataclass(frozen=True, slots=True)
class Change:
    """One text in one file that becomes another."""

    file: str
    old: str
    new: str

    def make(self, checkout: Path) -> None:
        path = checkout / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise CanNotBreak(f"{self.file} has {text.count(self.old)} times: {self.old.strip()[:60]!r}")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Breakage:
    name: str
    about: str
    changes: tuple[Change, ...]
    tests: tuple[str, ...]
    """Each alone must notice."""


_SINK = "adapters/postgres/sink.py"
_PROCEDURE = "sql/migrations/0003.log_events_v1.sql"

BREAKAGES = (
    Breakage(
        "synchronous_commit_off",
        "synchronous_commit off",
        (Change("sql/queries/running.sql", "'synchronous_commit', 'on'", "'synchronous_commit', 'off'"),),
        (
            "test_postgres_killed.py::test_no_acknowledged_event_is_lost_when_postgresql_is_killed_again_and_again",
            "test_postgres_killed.py::test_the_server_asks_for_commits_that_are_on_disk",
        ),
    ),
    Breakage(
        "synchronous_commit_unset",
        "synchronous_commit left to the server's default",
        (Change("sql/queries/running.sql", "set_config('synchronous_commit', 'on', false), ", ""),),
        ("test_postgres_killed.py::test_no_acknowledged_event_is_lost_when_postgresql_is_killed_again_and_again",),
    ),
    Breakage(
        "answer_before_commit",
        "answer before commit",
        (
            Change(
                _SINK,
                '"""One call, one transaction; then every request of the group has its answer."""\n',
                '"""One call, one transaction."""\n'
                "        for waiting in group:\n"
                "            _succeed(waiting, [StoreOutcome.STORED] * len(waiting.events))\n",
            ),
        ),
        (
            "test_postgres_killed.py::test_no_acknowledged_event_is_lost_when_postgresql_is_killed_again_and_again",
            "test_refusals.py::test_a_locked_table_is_answered_503_and_stores_nothing_by_halves[event]",
        ),
    ),
    Breakage(
        "on_conflict_removed",
        "ON CONFLICT removed",
        (
            Change(
                _PROCEDURE,
                "        ON CONFLICT DO NOTHING\n        RETURNING project_id, key_kind, event_id\n",
                "        RETURNING project_id, key_kind, event_id\n",
            ),
        ),
        (
            "test_answers_lost.py::test_a_commit_whose_answer_is_lost_is_unknown_and_its_retry_a_duplicate",
            "test_same_id.py::test_the_same_id_at_the_same_moment_on_two_servers_is_stored_once",
        ),
    ),
    Breakage(
        "usage_in_a_second_transaction",
        "usage in a second transaction",
        (
            Change(
                _PROCEDURE,
                "    WITH stored AS (\n        INSERT INTO catchment.event (",
                "    INSERT INTO catchment.event (",
            ),
            Change(
                _PROCEDURE,
                """        RETURNING project_id, received_at
    )
    INSERT INTO catchment.usage_count AS known (project_id, period, slot, events)
    SELECT project_id, date_trunc('month', received_at AT TIME ZONE 'UTC')::date, pg_backend_pid() % 16, count(*)
    FROM stored GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (project_id, period, slot) DO UPDATE SET events = known.events + excluded.events;
""",
                "        ;\n",
            ),
            Change(
                "sql/queries/collect.sql",
                "-- name: find_access\n",
                """-- name: add_usage
-- Adds what was stored a moment ago.
INSERT INTO catchment.usage_count AS known (project_id, period, slot, events)
SELECT project_id, date_trunc('month', received_at AT TIME ZONE 'UTC')::date, pg_backend_pid() %% 16, count(*)
FROM ROWS FROM (jsonb_to_recordset(%(batch)s::jsonb) AS (project_id uuid, received_at timestamptz))
    WITH ORDINALITY AS sent (project_id, received_at, n)
WHERE (%(outcomes)s::text[])[n] = 'stored' GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (project_id, period, slot) DO UPDATE SET events = known.events + excluded.events

-- name: find_access
""",
            ),
            Change(
                _SINK,
                "                    limits=limit_rows(limits.items()),\n                )\n",
                "                    limits=limit_rows(limits.items()),\n                )\n"
                '                await link.run("add_usage", batch=batch, outcomes=answer[0][0])\n',
            ),
        ),
        ("test_refusals.py::test_a_locked_table_is_answered_503_and_stores_nothing_by_halves[usage_count]",),
    ),
    Breakage(
        "a_new_id_on_retry",
        "a new id on retry: a 503 names other ids than were written",
        (
            Change(
                "core/collect.py",
                "replace(unavailable(error), event_ids=ids)",
                "replace(unavailable(error), event_ids=self.ids_of([None] * len(ids)))",
            ),
        ),
        (
            "test_answers_lost.py::test_the_id_that_a_503_names_is_the_one_that_is_stored",
            "test_answers_lost.py::test_the_ids_that_a_503_names_for_a_batch_are_those_that_are_stored",
            "test_refusals.py::test_a_missing_procedure_is_held_and_an_alert_until_it_is_back",
        ),
    ),
    Breakage(
        "queue_dropped_on_reconnect",
        "queue dropped on reconnect",
        (
            Change(
                _SINK,
                "        while self._queue:\n            _fail(self._leave_queue(), error)\n",
                "        while self._queue:\n            self._leave_queue()\n",
            ),
        ),
        ("test_postgres_killed.py::test_what_waits_when_the_database_goes_is_answered_at_once",),
    ),
    Breakage(
        "class_53_is_bad_data",
        "class 53 (disk full) taken for bad data",
        (
            Change("adapters/postgres/errors.py", '_RETRY_CLASSES = ("08", "53", ', '_RETRY_CLASSES = ("08", '),
            Change("adapters/postgres/errors.py", '_BAD_DATA_CLASSES = ("22"', '_BAD_DATA_CLASSES = ("53", "22"'),
        ),
        ("test_refusals.py::test_what_the_database_can_t_do_now_is_sent_again_and_never_taken_for_bad_data[53100]",),
    ),
    Breakage(
        "a_503_without_cors",
        "503 without CORS",
        (
            Change(
                "adapters/http/application.py",
                "        if origin is not None and origin.isascii()",
                "        if response.status != 503 and origin is not None and origin.isascii()",
            ),
        ),
        ("test_refusals.py::test_a_look_up_of_a_locked_table_is_answered_503",),
    ),
    Breakage(
        "no_drain",
        "no drain: the socket is closed, and the loop ends",
        (
            Change(
                "config/running.py",
                "        await server.drain(",
                "        for sock in sockets:\n"
                "            asyncio.get_running_loop().remove_reader(sock)\n"
                "            sock.close()\n"
                "        _ = server.drain  # (",
            ),
        ),
        (
            "test_server_killed.py::test_what_waits_in_the_sockets_queue_is_answered_before_the_end[1]",
            "test_server_killed.py::test_a_rolling_restart_cuts_and_loses_no_request[1]",
        ),
    ),
    Breakage(
        "ids_without_their_project",
        "ids known without their project",
        (
            Change(
                "sql/migrations/0001.schema.sql",
                "PRIMARY KEY (project_id, key_kind, event_id)\n) PARTITION BY HASH",
                "PRIMARY KEY (key_kind, event_id)\n) PARTITION BY HASH",
            ),
        ),
        ("test_same_id.py::test_the_same_id_of_another_project_is_its_own_event",),
    ),
)


def copy_checkout(to: Path) -> Path:
    shutil.copytree(CHECKOUT, to, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    return to


def run_tests(checkout: Path, tests: Iterable[str]) -> tuple[bool, str]:
    """Whether these tests of a copy are green, and what pytest says of it in a line."""
    # found before the installed package, which is the work tree
    environment = {**os.environ, "PYTHONPATH": str(checkout / ".importroot"), "CATCHMENT_FAULTS_KILLS": KILLS}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "faults", "--tb=line"]
    command += [f"tests/faults/{test}" for test in tests]
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    said = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["nothing"]
    if done.returncode not in (0, 1):
        raise CanNotBreak(f"pytest ended with {done.returncode}: {said[-1]}")
    reason = next((line[1:].strip() for line in said if line.startswith("E  ")), said[-1])
    if done.returncode == 0 and "skipped" in said[-1]:
        raise CanNotBreak(f"tests were skipped: {said[-1]}")
    return done.returncode == 0, reason


def check_imports(checkout: Path) -> None:
    """The copy's code is what runs there."""
    program = "import catchment.core as core; print(core.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(checkout / ".importroot")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).resolve().is_relative_to(checkout.resolve()), done.stdout


def notices(breakage: Breakage, folder: Path) -> list[tuple[str, bool, str]]:
    """For each of its tests: its name, whether it noticed, and how. Raises `CanNotBreak`."""
    checkout = copy_checkout(folder / breakage.name)
    for change in breakage.changes:
        change.make(checkout)
    found = []
    for test in breakage.tests:
        green, how = run_tests(checkout, [test])
        found.append((test, not green, how))
    shutil.rmtree(checkout)
    return found


def chosen(names: list[str]) -> list[Breakage]:
    known = {breakage.name: breakage for breakage in BREAKAGES}
    unknown = set(names) - known.keys()
    if unknown:
        sys.exit(f"there is no breakage {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return [known[name] for name in names] or list(BREAKAGES)


def say_row(word: str, name: str, words: str) -> None:
    print(f"{word:<8}{name:<32}{words[:160]}", flush=True)


def main(names: list[str], *, now: Callable[[], float] = time.monotonic) -> int:
    breakages = chosen(names)
    bad = 0
    with tempfile.TemporaryDirectory(prefix="breakages-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        whole = copy_checkout(folder / "whole")
        check_imports(whole)
        started = now()
        green, how = run_tests(whole, dict.fromkeys(test for breakage in breakages for test in breakage.tests))
        say_row("green" if green else "RED", "(nothing broken)", f"{now() - started:.0f} s; {how}")
        if not green:
            return 1
        for breakage in breakages:
            try:
                rows = notices(breakage, folder)
            except CanNotBreak as error:
                say_row("STUCK", breakage.name, str(error))
                bad += 1
                continue
            for test, noticed, how in rows:
                say_row("red" if noticed else "GREEN", breakage.name, f"{test.partition('::')[2]}: {how}")
                bad += not noticed
    print(f"{len(breakages)} breakages; {bad} not noticed" if bad else f"{len(breakages)} breakages, all noticed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

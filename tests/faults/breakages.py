"""Breaks Catchment on purpose, in a copy of the checkout, and expects the suite to notice.

    python tests/faults/breakages.py             all of them
    python tests/faults/breakages.py no_drain    these
    python tests/faults/breakages.py --quick     each on its quickest test alone: the form for CI

Each breakage is made in a copy of its own, never in the work tree; then the quickest tests that must notice it are run
there. Red is not enough: a test must fail with the words that belong to the breakage, or else the broken code only
crashed, and nothing was proved (WRONG). A breakage that stays green (GREEN), and one that can't be made any more since
the code has changed (STUCK), are errors as well: exit 1. The tests must be green without a breakage, so that red means
something: that is looked at first, but not by --quick, which CI runs after the suite itself.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

CHECKOUT = Path(__file__).resolve().parents[2]
KILLS = "4"
_LEFT_OUT = (".git", ".venv", ".lock-venv", "node_modules", "build", "dist", "__pycache__", "*_cache", "*.egg-info")
_SECONDS = 600
_AT_A_TIME = 2
"""Most of a quick run is a database being made."""


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
    tests: Mapping[str, str]
    """Each alone must notice, and says so in these words: the oracle's, or those of an assertion of its own. The first
    is the quickest."""
    still_green: tuple[str, ...] = ()
    """What works as before: the broken code does its work, but for what is broken."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a test of a copy ended: green, or `failure`, all that pytest says of it."""

    test: str
    failure: str | None

    @property
    def in_a_line(self) -> str:
        return " | ".join((self.failure or "passed").split("\n"))


_GROUP_COMMIT = "core/collecting/group_commit.py"
_WRITER = "adapters/postgres/batch_writer.py"
_PROCEDURE = "sql/migrations/0004.collecting.sql"
_KILLED_AGAIN_AND_AGAIN = (
    "test_postgres_killed.py::test_no_acknowledged_event_is_lost_when_postgresql_is_killed_again_and_again"
)
_ON_DISK = "test_postgres_killed.py::test_the_server_asks_for_commits_that_are_on_disk"
_LOCKED = "test_refusals.py::test_a_locked_table_is_answered_503_and_stores_nothing_by_halves"
_ANSWER_LOST = "test_answers_lost.py::test_a_commit_whose_answer_is_lost_is_unknown_and_its_retry_a_duplicate"

BREAKAGES = (
    Breakage(
        "synchronous_commit_off",
        "synchronous_commit off",
        (Change("sql/queries/session.sql", "'synchronous_commit', 'on'", "'synchronous_commit', 'off'"),),
        {
            _ON_DISK: "commits are answered that are not on disk",
            _KILLED_AGAIN_AND_AGAIN: "LOST:",
        },
    ),
    Breakage(
        "synchronous_commit_unset",
        "synchronous_commit left to the server's default",
        (Change("sql/queries/session.sql", "set_config('synchronous_commit', 'on', false), ", ""),),
        {
            _ON_DISK: "commits are answered that are not on disk",
            _KILLED_AGAIN_AND_AGAIN: "LOST:",
        },
    ),
    Breakage(
        "answer_before_commit",
        "answer before commit",
        (
            Change(
                _GROUP_COMMIT,
                '"""Write a group and answer each of its requests."""\n',
                '"""Write a group."""\n'
                "        for waiting in group:\n"
                "            waiting.succeed([StoreOutcome.STORED] * len(waiting.events))\n",
            ),
        ),
        {
            f"{_LOCKED}[event]": "an event that can't be stored is answered stored",
            _KILLED_AGAIN_AND_AGAIN: "LOST:",
        },
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
        {
            _ANSWER_LOST: "what is stored is answered invalid_event",
            "test_same_id.py::test_the_same_id_at_the_same_moment_on_two_servers_is_stored_once": ("'invalid_event'"),
        },
    ),
    Breakage(
        "usage_in_a_second_transaction",
        "usage in a second transaction",
        (
            Change(
                _PROCEDURE,
                """    INSERT INTO catchment.usage_count AS known (project_id, period, slot, events)
    SELECT project_id, period, pg_backend_pid() % 16, events
    FROM catchment.store_rows(batch, CASE WHEN cardinality(kept) < total THEN kept END)
    ORDER BY 1, 2
    ON CONFLICT (project_id, period, slot) DO UPDATE SET events = known.events + excluded.events;
""",
                "    PERFORM catchment.store_rows(batch, CASE WHEN cardinality(kept) < total THEN kept END);\n",
            ),
            Change(
                "sql/queries/collect.sql",
                "-- name: find_access\n",
                """-- name: add_usage
-- Adds what was stored a moment ago.
INSERT INTO catchment.usage_count AS known (project_id, period, slot, events)
SELECT project_id, date_trunc('month', received_at AT TIME ZONE 'UTC')::date, pg_backend_pid() %% 16, count(*)
FROM catchment.sent(%(batch)s::jsonb) AS sent
WHERE (%(outcomes)s::text[])[n] = 'stored' GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (project_id, period, slot) DO UPDATE SET events = known.events + excluded.events

-- name: find_access
""",
            ),
            Change(
                _WRITER,
                'answer = await self._link.run("log_events", left, batch=batch, limits=quotas)\n',
                'answer = await self._link.run("log_events", left, batch=batch, limits=quotas)\n'
                '                await self._link.run("add_usage", batch=batch, outcomes=answer[0][0])\n',
            ),
        ),
        {
            _ANSWER_LOST: "MISCOUNTED:",
            f"{_LOCKED}[usage_count]": "events are stored that can't be counted",
        },
        still_green=(
            "test_same_id.py::test_the_same_id_in_one_batch_is_stored_once",
            "test_same_id.py::test_the_same_id_at_the_same_moment_on_two_servers_is_stored_once",
        ),
    ),
    Breakage(
        "a_new_id_on_retry",
        "a new id on retry: a 503 names other ids than were written",
        (
            Change(
                "core/collecting/collect.py",
                "replace(unavailable(error), event_ids=ids)",
                "replace(unavailable(error), event_ids=self.ids_of([None] * len(ids)))",
            ),
        ),
        {
            "test_answers_lost.py::test_the_id_that_a_503_names_is_the_one_that_is_stored": (
                "the id that was named is answered stored"
            ),
            "test_answers_lost.py::test_the_ids_that_a_503_names_for_a_batch_are_those_that_are_stored": (
                "the ids that were named are answered {'stored': 7"
            ),
            "test_refusals.py::test_a_missing_procedure_is_held_and_an_alert_until_it_is_back": (
                "it names other event ids than were sent"
            ),
        },
    ),
    Breakage(
        "queue_dropped_on_reconnect",
        "queue dropped on reconnect",
        (
            Change(
                _GROUP_COMMIT,
                "        while self._queue:\n            self._queue.pop().fail(error)\n",
                "        while self._queue:\n            self._queue.pop()\n",
            ),
        ),
        {
            "test_postgres_killed.py::test_what_waits_when_the_database_goes_is_answered_at_once": (
                "requests that waited were never answered"
            )
        },
    ),
    Breakage(
        "class_53_is_bad_data",
        "class 53 (disk full) taken for bad data",
        (
            Change("adapters/postgres/errors.py", '_RETRY_CLASSES = ("08", "53", ', '_RETRY_CLASSES = ("08", '),
            Change("adapters/postgres/errors.py", '_BAD_DATA_CLASSES = ("22"', '_BAD_DATA_CLASSES = ("53", "22"'),
        ),
        {
            "test_refusals.py::test_what_the_database_can_t_do_now_is_sent_again_and_never_taken_for_bad_data[53100]": (
                "good events are answered {'invalid_event'}"
            )
        },
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
        {"test_refusals.py::test_a_look_up_of_a_locked_table_is_answered_503": "no Access-Control-Allow-Origin"},
    ),
    Breakage(
        "no_drain",
        "no drain: the socket is closed, and the loop ends",
        (
            Change(
                "config/server.py",
                "            await server.drain(",
                "            for sock in sockets:\n"
                "                asyncio.get_running_loop().remove_reader(sock)\n"
                "                sock.close()\n"
                "            _ = server.drain  # (",
            ),
        ),
        {
            "test_server_killed.py::test_what_waits_in_the_sockets_queue_is_answered_before_the_end[1]": (
                "connections that waited were cut"
            ),
            "test_server_killed.py::test_a_rolling_restart_cuts_and_loses_no_request[1]": "requests were cut",
        },
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
        {
            "test_same_id.py::test_the_same_id_of_another_project_is_its_own_event": (
                "another project's event is answered duplicate"
            )
        },
    ),
)


def copy_checkout(to: Path) -> Path:
    shutil.copytree(CHECKOUT, to, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    return to


def run_tests(checkout: Path, tests: Sequence[str]) -> Iterator[Run]:
    """Runs tests of a copy. Raises `CanNotBreak` where they do not come to an end by themselves."""
    # found before the installed package, which is the work tree
    environment = {**os.environ, "PYTHONPATH": str(checkout / ".importroot"), "CATCHMENT_FAULTS_KILLS": KILLS}
    report = checkout / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "faults", "--tb=short"]
    command += [f"--junitxml={report}", *(f"tests/faults/{test}" for test in tests)]
    try:
        done = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise CanNotBreak(f"the tests took longer than {_SECONDS} s") from None
    if done.returncode not in (0, 1):
        raise CanNotBreak(f"pytest ended with {done.returncode}: {(done.stdout + done.stderr).strip()[-200:]}")
    for case in ElementTree.parse(report).getroot().iter("testcase"):  # noqa: S314 - pytest wrote it
        name = case.get("name", "")
        for skipped in case.iter("skipped"):
            raise CanNotBreak(f"{name} was skipped: {skipped.get('message')}")
        said = [found.get("message", "") for found in case if found.tag in ("failure", "error")]
        yield Run(name, "\n".join(said) if said else None)


def check_imports(checkout: Path) -> None:
    """The copy's code is what runs there."""
    program = "import catchment.core as core; print(core.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(checkout / ".importroot")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).resolve().is_relative_to(checkout.resolve()), done.stdout


@dataclass(frozen=True, slots=True)
class Row:
    """What is said of one test."""

    word: str
    """green, red (for the reason that belongs to it), or what is an error: GREEN, RED, WRONG, STUCK."""
    name: str
    words: str

    @property
    def bad(self) -> bool:
        return self.word.isupper()

    def say(self) -> None:
        print(f"{self.word:<8}{self.name:<32}{self.words[:240]}", flush=True)


def look_at_whole(folder: Path, tests: Iterable[str]) -> Iterator[Row]:
    """The tests, with nothing broken."""
    whole = copy_checkout(folder / "whole")
    check_imports(whole)
    for run in run_tests(whole, list(dict.fromkeys(tests))):
        yield Row("green" if run.failure is None else "RED", "(nothing broken)", f"{run.test}: {run.in_a_line}")
    shutil.rmtree(whole)


def look_at(breakage: Breakage, folder: Path, *, quick: bool) -> list[Row]:
    """A breakage's tests, in a copy that is broken."""
    rows = []
    checkout = copy_checkout(folder / breakage.name)
    try:
        for change in breakage.changes:
            change.make(checkout)
        check_imports(checkout)
        for test, words in list(breakage.tests.items())[: 1 if quick else None]:
            (run,) = run_tests(checkout, [test])
            rows.append(_judged(breakage, run, words))
        if breakage.still_green and not quick:
            runs = run_tests(checkout, breakage.still_green)
            rows += [
                Row("WRONG", breakage.name, f"{run.test} is to stay green: {run.in_a_line}")
                for run in runs
                if run.failure is not None
            ]
    except CanNotBreak as error:
        rows.append(Row("STUCK", breakage.name, str(error)))
    shutil.rmtree(checkout)
    return rows


def _judged(breakage: Breakage, run: Run, words: str) -> Row:
    if run.failure is None:
        return Row("GREEN", breakage.name, f"{run.test} does not notice")
    if words not in run.failure:
        return Row("WRONG", breakage.name, f"{run.test}: not {words!r}, but: {run.in_a_line}")
    return Row("red", breakage.name, f"{run.test}: {words}")


def chosen(names: Sequence[str]) -> list[Breakage]:
    known = {breakage.name: breakage for breakage in BREAKAGES}
    unknown = set(names) - known.keys()
    if unknown:
        sys.exit(f"there is no breakage {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return [known[name] for name in names] or list(BREAKAGES)


def main(arguments: Sequence[str], *, now: Callable[[], float] = time.monotonic) -> int:
    parser = argparse.ArgumentParser(prog="make breakages", description="Breaks Catchment on purpose, in copies.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which breakages; all unless given")
    parser.add_argument("--quick", action="store_true", help="each on its quickest test alone, the form for CI")
    asked = parser.parse_args(arguments)
    breakages = chosen(asked.names)
    started = now()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="breakages-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        if not asked.quick:
            for row in look_at_whole(folder, (test for one in breakages for test in (*one.tests, *one.still_green))):
                row.say()
                bad += row.bad
            if bad:
                return 1
        with ThreadPoolExecutor(_AT_A_TIME if asked.quick else 1) as pool:
            for rows in pool.map(partial(look_at, folder=folder, quick=asked.quick), breakages):
                for row in rows:
                    row.say()
                    bad += row.bad
    told = f"{bad} things are wrong" if bad else "all noticed, for the right reasons"
    print(f"{len(breakages)} breakages in {now() - started:.0f} s: {told}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

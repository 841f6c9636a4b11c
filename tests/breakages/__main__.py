"""Break Catchment on purpose, in a copy of the checkout, and expect the tests to notice.

    python -m tests.breakages             all breakages
    python -m tests.breakages no_drain    these
    python -m tests.breakages --quick     each with its quickest test alone: the form for CI

Each breakage is made in its own copy, never in the work tree. Then the tests that must notice it run there. A failure
is not enough: the test must fail with the words that belong to the breakage. With other words the broken code only
crashed, and nothing is proved (WRONG). It is also an error if no test fails (GREEN), or if the breakage can't be made
because the code has changed (STUCK). Any error exits with 1. The same tests must pass in an unbroken copy, which is
checked first. --quick leaves that out: CI has run the suites already.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from . import BREAKAGES
from .breakage import Breakage, CanNotBreak

CHECKOUT = Path(__file__).resolve().parents[2]
KILLS = "4"
_LEFT_OUT = (".git", ".venv", ".lock-venv", "node_modules", "build", "dist", "__pycache__", "*_cache", "*.egg-info")
_SECONDS = 600
_AT_A_TIME = 3
"""More than cores: most of a quick run is a database being made."""
_TRACKER = "clients/js/src/"


@dataclass(frozen=True, slots=True)
class Run:
    """The result of a test in a copy: `failure` is what pytest says of it, None if it passed."""

    test: str
    failure: str | None

    @property
    def in_a_line(self) -> str:
        return " | ".join((self.failure or "passed").split("\n"))


def copy_checkout(to: Path) -> Path:
    shutil.copytree(CHECKOUT, to, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    return to


def break_copy(breakage: Breakage, checkout: Path) -> None:
    """Make the breakage's changes in a copy. Build the scripts of the tracker again if it changes their source."""
    for change in breakage.changes:
        change.make(checkout)
    if any(change.file.startswith(_TRACKER) for change in breakage.changes):
        (checkout / "node_modules").symlink_to(CHECKOUT / "node_modules")
        command = ["node", "clients/js/build.js", "adapters/http/tracker/scripts"]
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CanNotBreak(f"the tracker can't be built: {done.stderr.strip()[-200:]}")


def run_tests(checkout: Path, tests: Sequence[str]) -> Iterator[Run]:
    """Run tests of a copy. Raise `CanNotBreak` if pytest does not run them to their end."""
    # found before the installed package, which is the work tree
    environment = {**os.environ, "PYTHONPATH": str(checkout / ".importroot"), "CATCHMENT_FAULTS_KILLS": KILLS}
    report = checkout / "report.xml"
    command = [sys.executable, "-m", "pytest", "-vv", "-p", "no:cacheprovider", "-m", "", "--tb=short"]
    command += [f"--junitxml={report}", *(f"tests/{test}" for test in tests)]
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
    """Check that the code of the copy runs there, not the installed package."""
    program = "import catchment.core as core; print(core.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(checkout / ".importroot")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).resolve().is_relative_to(checkout.resolve()), done.stdout


@dataclass(frozen=True, slots=True)
class Row:
    """The line about one test."""

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
    """Run the tests in an unbroken copy."""
    whole = copy_checkout(folder / "whole")
    check_imports(whole)
    for run in run_tests(whole, list(dict.fromkeys(tests))):
        yield Row("green" if run.failure is None else "RED", "(nothing broken)", f"{run.test}: {run.in_a_line}")
    shutil.rmtree(whole)


def look_at(breakage: Breakage, folder: Path, *, quick: bool) -> list[Row]:
    """Run a breakage's tests in a broken copy."""
    rows = []
    checkout = copy_checkout(folder / breakage.name)
    try:
        break_copy(breakage, checkout)
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

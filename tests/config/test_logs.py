"""Logs: one JSON object a line, and never the text of an error."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator

import pytest

from catchment.config import logs

Written = Callable[[], str]


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """What was logged, under the configuration of the server; the machinery of the tests gets its own back after."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("catchment", *logs._TALKATIVE)}
    yield lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_a_record_is_one_line_of_json(written: Written) -> None:
    logs.configure("info")
    logging.getLogger("catchment.x").warning("two\nlines and an %s", "\u2028 ä \x1b[31m")
    (line,) = written().split("\n")[:-1]
    record = json.loads(line)
    assert record["message"] == "two\nlines and an \u2028 ä \x1b[31m"
    assert (record["level"], record["logger"]) == ("warning", "catchment.x")
    assert record["time"].endswith("+00:00")
    assert "\x1b" not in line


def test_an_error_is_logged_by_its_type_and_place_and_not_its_text(written: Written) -> None:
    logs.configure("info")

    def fails() -> None:
        raise ValueError("hunter2")

    try:
        fails()
    except ValueError:
        logging.getLogger("catchment.x").exception("it failed")
    line = written()
    record = json.loads(line)
    assert record["error"] == "ValueError"
    assert any(where.endswith(" fails") for where in record["at"])
    assert "hunter2" not in line


def test_libraries_that_log_addresses_and_statements_are_silent_below_error(written: Written) -> None:
    logs.configure("debug")
    for name in ("tornado.general", "tornado.access", "aiopg", "asyncio"):
        logging.getLogger(name).warning("203.0.113.9")
    logging.getLogger("catchment.x").debug("shown")
    assert [json.loads(line)["message"] for line in written().splitlines()] == ["shown"]


def test_a_log_that_can_t_be_written_costs_nothing(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stderr", Full())
    logs.configure("info")
    logging.getLogger("catchment.x").error("lost")


@pytest.mark.parametrize(("level", "shown"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_is_the_settings(written: Written, level: str, shown: int) -> None:
    logs.configure(level)
    log = logging.getLogger("catchment.x")
    for say in (log.debug, log.info, log.warning, log.error):
        say("x")
    assert len(written().splitlines()) == shown


def test_a_pipe_that_nobody_reads_costs_lines_and_no_time(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "w") as stderr:
            monkeypatch.setattr(sys, "stderr", stderr)
            logs.configure("info")
            for number in range(2_000):
                logging.getLogger("catchment.x").warning("%d %s", number, "x" * 100)
            taken = os.read(reading, 2**20)
            logging.getLogger("catchment.x").warning("again")
            after = os.read(reading, 2**20)
    finally:
        os.close(reading)
    kept = len(taken.splitlines())
    assert 0 < kept < 2_000
    assert [json.loads(line)["message"] for line in after.splitlines()] == [
        f"{2_000 - kept} line(s) of this log were lost: nobody took them",
        "again",
    ]

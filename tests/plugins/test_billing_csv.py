"""The shipped plugin `csv`."""

from __future__ import annotations

import csv
import os
import stat
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from catchment.plugins.billing_csv import COLUMNS, CsvBilling, ForeignFile, NotWritable
from catchment.plugins.hooks import PluginSettingsError
from catchment.plugins.testkit import BillingFailed, check_plugin, run_hook, sample_usage

from .support import extensions, run

USAGE = sample_usage()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "billing.csv"


def bill(path: Path, **changes: object) -> None:
    done = run_hook(CsvBilling(), "catchment_bill", sample_usage(**changes), settings={"path": str(path)})
    for error in done.errors:
        raise error


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_it_is_a_plugin() -> None:
    assert check_plugin(CsvBilling()) == ("catchment_configure", "catchment_bill")


def test_one_row_for_a_usage(path: Path) -> None:
    bill(path)
    assert path.read_text().splitlines() == [
        ",".join(COLUMNS),
        f"{USAGE.idempotency_key},{USAGE.account_id},acme,{USAGE.project_id},shop,2025-08,1234,true",
    ]


def test_pushing_again_replaces_the_row_and_never_adds_one(path: Path) -> None:
    bill(path, events=10, closed=False)
    bill(path, project_id="p2", project="blog", events=1)
    bill(path, period=date(2025, 9, 1), events=3, closed=False)
    bill(path, events=11)
    assert [(row["project"], row["period"], row["events"], row["closed"]) for row in rows(path)] == [
        ("shop", "2025-08", "11", "true"),
        ("blog", "2025-08", "1", "true"),
        ("shop", "2025-09", "3", "false"),
    ]


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_cell_is_no_formula_and_stays_as_it_is_when_written_again(path: Path, name: str) -> None:
    bill(path, account=name, account_id=f"={name}")
    for _ in range(3):
        bill(path, project_id="another")
    bill(path, account=name, account_id=f"={name}", events=5)
    first, second = rows(path)
    assert (first["account"], first["account_id"], first["events"]) == (f"'{name}", f"'={name}", "5")
    assert second["project_id"] == "another"


@pytest.mark.parametrize("name", ["a,b", 'say "x"', "two\nlines", "naïve ☃", ""])
def test_a_name_of_any_kind_is_read_back(path: Path, name: str) -> None:
    bill(path, account=name)
    bill(path, project_id="another")
    assert rows(path)[0]["account"] == name


def test_two_runs_at_once_lose_nothing(path: Path) -> None:
    script = (
        "import sys\n"
        "from catchment.plugins.testkit import sample_usage\n"
        "from catchment.plugins.billing_csv import CsvBilling\n"
        "plugin = CsvBilling()\n"
        "plugin.catchment_configure({'path': sys.argv[1]})\n"
        "for n in range(30):\n"
        "    plugin.catchment_bill(sample_usage(project_id=f'{sys.argv[2]}-{n}'))\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", script, str(path), name]) for name in "abc"]
    assert [run.wait() for run in runs] == [0, 0, 0]
    assert sorted(row["project_id"] for row in rows(path)) == sorted(f"{run}-{n}" for run in "abc" for n in range(30))


def test_a_file_of_somebody_else_is_left_alone(path: Path) -> None:
    for content in (b"name,price\nshoes,10\n", b"\xff\xfe", ",".join(COLUMNS).encode() + b"\nshort,row\n"):
        path.write_bytes(content)
        with pytest.raises(ForeignFile, match="is not a file that this plugin wrote"):
            bill(path)
        assert path.read_bytes() == content


def test_an_empty_file_is_begun(path: Path) -> None:
    path.touch()
    bill(path)
    assert len(rows(path)) == 1


def test_a_failure_in_between_leaves_the_old_file_and_no_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bill(path)
    before = path.read_bytes()

    def fail(source: object, target: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(NotWritable, match="can't be written: disk full"):
        bill(path, events=5)
    assert path.read_bytes() == before
    assert sorted(file.name for file in path.parent.iterdir()) == ["billing.csv", "billing.csv.lock"]


def test_a_link_stays_a_link_and_the_mode_stays(path: Path) -> None:
    real = path.with_name("real.csv")
    path.symlink_to(real)
    bill(path)
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    real.chmod(0o640)
    bill(path, events=9)
    assert path.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert rows(real)[0]["events"] == "9"


def test_without_settings_it_writes_into_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_hook(CsvBilling(), "catchment_bill", USAGE)
    assert len(rows(tmp_path / "catchment-billing.csv")) == 1


@pytest.mark.parametrize("bad", ["", "{tmp}", "{tmp}/none/billing.csv", 3])
def test_a_bad_path_stops_the_start(tmp_path: Path, bad: object) -> None:
    settings = {"path": bad.format(tmp=tmp_path) if isinstance(bad, str) else bad}
    [error] = run_hook(CsvBilling(), "catchment_configure", settings).errors
    assert isinstance(error, PluginSettingsError)
    assert str(error).startswith("path: ")


def test_a_file_that_can_t_be_written_is_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    backend = CsvBilling()
    backend.catchment_configure({"path": "/proc/billing.csv"})
    with pytest.raises(BillingFailed, match=r"after 0 it took: /proc/billing\.csv can't be written: ") as raised:
        run(extensions({"csv": backend}).bill("csv", [sample_usage()]))
    assert "plugins.csv.path" in str(raised.value)
    assert caplog.text == ""

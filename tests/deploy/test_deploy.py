"""What is in deploy/ works: systemd reads the units, Prometheus the rules, and every metric that is used exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from catchment.adapters.http.operations.metrics import Metrics
from catchment.config.settings import load

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "catchment.rules.yml"
UNITS = sorted(file.name for file in (DEPLOY / "systemd").iterdir() if file.suffix in (".service", ".socket", ".timer"))


def metric_names() -> set[str]:
    """Every name that `/metrics` has, those that Prometheus adds to counters and histograms too."""
    names = {"up"}
    for family in Metrics().registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        names |= {family.name + suffix for suffix in suffixes}
    return names


def expressions() -> Iterator[str]:
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"].keys() == {"summary", "action"}
            yield rule["expr"]
    board = json.loads((DEPLOY / "grafana" / "catchment.json").read_text(encoding="utf-8"))
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for variable in board["templating"]["list"]:
        yield str(variable["query"])
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def test_rules_and_the_dashboard_use_metrics_that_there_are_and_every_metric_is_looked_at() -> None:
    used = {name for text in expressions() for name in re.findall(r"\b(?:catchment|process)_[a-z_]+|\bup\b", text)}
    assert used - metric_names() == set()
    overlooked = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in metric_names()}
    overlooked -= {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in used}
    assert overlooked == {"catchment_queue_bytes", "catchment_loss_reports_total"}  # which tell no more than others do


def test_prometheus_reads_the_rules_and_its_settings(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        [promtool, "check", "config", "prometheus.yml"], cwd=RULES.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units, with a command that is there: systemd looks for it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    folder = tmp_path_factory.mktemp("units")
    for name in UNITS:
        text = (DEPLOY / "systemd" / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace("/opt/catchment/bin/catchment", sys.executable), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", UNITS)
def test_systemd_reads_the_unit_and_finds_it_hardened(units: Path, name: str) -> None:
    # systemd's files that are not installed are no fault of the unit
    done = subprocess.run(["systemd-analyze", "verify", str(units / name)], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "catchment" in line and "man page" not in line]
    assert ours == []
    if name.endswith(".service"):
        security = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(units / name)]
        assert subprocess.run(security, capture_output=True).returncode == 0, "an exposure of over 2.0"


def test_the_settings_file_of_the_example_can_be_read() -> None:
    example = DEPLOY / "catchment.toml"
    settings = load(str(example), {})
    assert settings.database.url.startswith("postgresql://")
    assert (settings.http.port, settings.http.host) == (8080, "127.0.0.1")

"""A plugin of somebody else's, installed by pip beside Catchment: the one of the documentation's example."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..support.database import Database
from ..support.running import Installation, Project

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "plugin-package"


@pytest.fixture(scope="module")
def site_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the example is installed, from a copy: a build leaves files beside what it builds."""
    source = tmp_path_factory.mktemp("source") / "plugin-package"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    target = tmp_path_factory.mktemp("site-packages")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--target", str(target), str(source)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.fixture
def extended(installation: Installation, site_packages: Path) -> Installation:
    """An installation with the example in it."""
    path = os.pathsep.join([str(site_packages), *filter(None, [os.environ.get("PYTHONPATH")])])
    return Installation(installation.dsn, installation.folder, {"PYTHONPATH": path})


def test_an_installed_plugin_is_found_and_one_that_is_not_installed_is_not(
    installation: Installation, extended: Installation
) -> None:
    shipped = {one["name"] for one in installation.json("plugins")}
    found = {one["name"]: one for one in extended.json("plugins")}
    assert shipped == {"bots", "campaigns", "csv", "geography", "useragent"}
    assert set(found) - shipped == {"hello"}
    hello = found["hello"]
    assert (hello["distribution"], hello["version"], hello["module"]) == ("catchment-hello", "0.1.0", "catchment_hello")
    assert {"catchment_enrich", "catchment_locate", "catchment_validate"} <= set(hello["hooks"])


def test_an_installed_plugin_adds_refuses_filters_and_locates(
    extended: Installation, embedded_database: Database, project: Project
) -> None:
    with extended.serving() as server:
        stored = server.post(project.event(eventId="e-1"))
        assert stored.json == {
            "outcome": "stored",
            "event_id": "e-1",
            "session_id": stored.json["session_id"],
            "warnings": [],
        }
        refused = server.post(project.event(event_name="Forbidden"))
        assert (refused.status, refused.json["code"], refused.json["plugin_code"]) == (
            422,
            "refused_by_plugin",
            "forbidden_name",
        )
        filtered = server.post(project.event(event_name="Noise"))
        assert (filtered.status, filtered.json["outcome"]) == (200, "filtered")
        assert filtered.json["reason"].startswith("plugin:hello:")
        assert filtered.headers["X-Catchment-Reason"] == filtered.json["reason"]
        names = ["A", "Forbidden", "Noise"]
        batch = server.post([project.event(event_name=name) for name in names], "/v1/batch").json
        assert [one["outcome"] for one in batch["results"]] == ["stored", "refused", "filtered"]
    rows = embedded_database.execute(
        "SELECT name, properties, country, region, city FROM catchment.event ORDER BY name"
    )
    assert [name for name, *_ in rows] == ["A", "ButtonClick"]
    for _, properties, *place in rows:
        assert properties["greeting"]
        assert all(place)
    assert [one["events"] for one in extended.json("usage")] == [2]


def test_an_installed_plugin_has_settings_and_can_be_disabled(extended: Installation, project: Project) -> None:
    extended.environment["CATCHMENT_PLUGINS__HELLO__GREETING"] = "good day"
    key = extended.json("key", "create", project.id, "--kind", "server")["key"]
    with extended.serving() as server:
        row = server.post(project.event(), "/v1/events?dry_run=1").json["row"]
        assert "properties" not in row
        row = server.post(project.event(projectKey=key), "/v1/events?dry_run=1").json["row"]
        assert row["properties"] == {"greeting": "good day"}
    extended.environment["CATCHMENT_PLUGINS__HELLO__NONSENSE"] = "1"
    done = extended.run("serve", "--port", "0")
    assert done.returncode == 2
    assert any("hello" in line and "nonsense" in line for line in done.stderr.splitlines())
    assert "Traceback" not in done.stderr
    extended.environment["CATCHMENT_PLUGINS__DISABLED"] = "hello"
    [hello] = [one for one in extended.json("plugins") if one["name"] == "hello"]
    assert (hello["state"], hello["hooks"]) == ("disabled", [])

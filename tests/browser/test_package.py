"""The npm package where there is no browser, and its types."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from .site import CHECKOUT, PACKAGE

CALLS = """
import * as catchment from "@catchment-collector/tracker";
catchment.track("Before");
catchment.init({ key: "pk_x", endpoint: "https://collector.example" });
catchment.track("After", { value: 1 });
catchment.page();
catchment.identify("ann");
catchment.optOut();
catchment.optIn();
console.log(Object.keys(catchment).sort().join(" "));
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the package in it, out of the tarball that `make npm` makes."""
    subprocess.run(
        ["npm", "pack", "--offline", "--silent", "--pack-destination", tmp_path, PACKAGE],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=60,
    )
    (tarball,) = tmp_path.glob("*.tgz")
    target = tmp_path / "node_modules" / "@catchment-collector" / "tracker"
    target.mkdir(parents=True)
    with tarfile.open(tarball) as packed:
        packed.extractall(target, filter="data")
    for path in (target / "package").iterdir():
        path.rename(target / path.name)
    return tmp_path


def test_importing_and_calling_do_nothing_where_there_is_no_page(project: Path) -> None:
    (project / "server.mjs").write_text(CALLS)
    done = subprocess.run(
        ["node", "server.mjs"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["identify", "init", "optIn", "optOut", "page", "track"]


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        ('track("SignUp", { value: 1 });', True),
        ('init({ key: "pk_x", endpoint: "/stats", doNotTrack: true, storage: "none", downloads: "pdf" });', True),
        ("init({});", False),
        ("track();", False),
    ],
)
def test_the_types_say_what_fits(project: Path, line: str, fits: bool) -> None:
    (project / "page.mts").write_text(
        f'import {{ init, track }} from "@catchment-collector/tracker";\nvoid init, track;\n{line}\n'
    )
    tsc = CHECKOUT / "node_modules" / ".bin" / "tsc"
    command = [tsc, "--noEmit", "--strict", "--module", "nodenext", "page.mts"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0) == fits, done.stdout

"""What is installed is what stands in the checkout: every package, every data file, and nothing else."""

import ast
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path, PurePosixPath

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_setup() -> ConfigParser:
    parser = ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    return parser


SETUP = read_setup()
PACKAGES = lines(SETUP["options"]["packages"])
ROOTS = {
    package.strip(): folder.strip()
    for package, folder in (line.split("=") for line in lines(SETUP["options"]["package_dir"]))
}


def path_in_wheel(file: Path) -> str:
    """The checkout's `core/ports.py` is `catchment/core/ports.py` in the wheel."""
    return str(PurePosixPath("catchment") / file.relative_to(CHECKOUT).as_posix())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of what the build reads, so that a stale build/ cannot help it."""
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.cfg", "pyproject.toml", "LICENSE", *ROOTS.values()):
        (source / name).symlink_to(CHECKOUT / name)
    target = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(target.glob("catchment-*.whl"))


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_every_package_of_the_checkout_is_listed() -> None:
    found = {
        ".".join(("catchment", *marker.parent.relative_to(CHECKOUT).parts))
        for folder in ROOTS.values()
        for marker in (CHECKOUT / folder).rglob("__init__.py")
    }
    assert sorted(found) == sorted(PACKAGES)


def test_every_module_is_in_a_package() -> None:
    modules = [module for folder in ROOTS.values() for module in (CHECKOUT / folder).rglob("*.py")]
    assert [module for module in modules if not (module.parent / "__init__.py").exists()] == []


@pytest.mark.parametrize("folder", ROOTS.values())
def test_every_root_folder_is_a_typed_package(folder: str) -> None:
    assert (CHECKOUT / folder / "__init__.py").is_file()
    assert (CHECKOUT / folder / "py.typed").is_file()


def test_the_wheel_holds_every_file_of_the_folders(names: set[str]) -> None:
    """A data file that no line of package_data names would be missing from the wheel without a word."""
    expected = {
        path_in_wheel(file)
        for folder in ROOTS.values()
        for file in (CHECKOUT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith(".")
    }
    assert expected - names == set()


def test_the_wheel_holds_the_map_of_countries(names: set[str]) -> None:
    assert "catchment/plugins/geography/data/geo-whois-asn-country.mmdb" in names


def test_the_wheel_holds_nothing_beside_the_package(names: set[str]) -> None:
    version = SETUP["metadata"]["version"]
    assert {name.split("/")[0] for name in names} == {"catchment", f"catchment-{version}.dist-info"}


def test_every_package_imports_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    # The editable install's finder knows the checkout; without it only the unpacked wheel can answer.
    script = """
import importlib, sys
unpacked, *packages = sys.argv[1:]
sys.meta_path[:] = [finder for finder in sys.meta_path if "__editable__" not in finder.__module__]
sys.path_hooks[:] = [hook for hook in sys.path_hooks if "__editable__" not in getattr(hook, "__module__", "")]
sys.path.insert(0, unpacked)
for package in packages:
    module = importlib.import_module(package)
    assert module.__file__.startswith(unpacked), module.__file__
"""
    command = [sys.executable, "-I", "-c", script, str(tmp_path), *PACKAGES]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", sorted((CHECKOUT / "core").rglob("*.py")), ids=lambda file: file.name)
def test_the_core_imports_only_the_standard_library(file: Path) -> None:
    """Import-linter can only forbid what it is told of; this forbids everything else."""
    imported = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add((node.module or "").split(".")[0])
    assert imported - sys.stdlib_module_names == set()

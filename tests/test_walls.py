"""The walls that import-linter cannot check: no circles of imports, and no long modules."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
CLIENT = CHECKOUT / "clients" / "python" / "src"
SCRIPTS = CHECKOUT / "clients" / "js" / "src"
MOST_LINES = 400


def module_files() -> dict[str, Path]:
    """Return the file of every module of the server and of the Python client, by the module's name."""
    setup = ConfigParser(delimiters=("=",))
    setup.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    roots = [line.split("=")[1].strip() for line in setup["options"]["package_dir"].split("\n") if line.strip()]
    files = {_name("catchment", path.relative_to(CHECKOUT)): path for root in roots for path in _python(root)}
    client = {_name("", path.relative_to(CLIENT)): path for path in CLIENT.rglob("*.py")}
    return files | client


def _python(root: str) -> Iterator[Path]:
    return (CHECKOUT / root).rglob("*.py")


def _name(package: str, path: Path) -> str:
    parts = [part for part in (package, *path.with_suffix("").parts) if part]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(name: str, text: str, *, is_package: bool, known: set[str]) -> set[str]:
    """Return the known modules that a module imports: at its top, in functions, or for type checkers alone."""
    found: set[str] = set()
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # One dot is the package itself; each further dot goes up one level.
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            members = {f"{source}.{alias.name}" for alias in node.names}
            modules = members & known
            found |= modules
            # `from package import module` is an import of the module alone: the package does nothing at import.
            if modules != members:
                found.add(source)
    return (found & known) - {name}


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Return the groups of modules that can all reach one another (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: set[frozenset[str]] = set()

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in order:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], order[other])
        if lowest[name] == order[name]:
            at = stack.index(name)
            group = frozenset(stack[at:])
            del stack[at:]
            if len(group) > 1:
                found.add(group)

    for name in sorted(graph):
        if name not in order:
            visit(name)
    return found


def test_modules_do_not_import_one_another_in_circles() -> None:
    files = module_files()
    graph = {
        name: imported_by(
            name, path.read_text(encoding="utf-8"), is_package=path.name == "__init__.py", known=set(files)
        )
        for name, path in files.items()
    }
    assert "catchment.config.settings" in graph["catchment.config.main"]
    assert "catchment_client.client" in graph["catchment_client"]
    found = circles(graph)
    assert [sorted(circle) for circle in found] == [], "modules import one another in a circle"


@pytest.mark.parametrize(
    "text",
    [
        "from .other import Thing",
        "from . import other",
        "import catchment.part.other",
        "from catchment.part import other",
        "def later():\n    from .other import Thing",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..part.other import Thing",
    ],
)
def test_every_form_of_an_import_is_seen(text: str) -> None:
    known = {"catchment.part", "catchment.part.one", "catchment.part.other"}
    assert imported_by("catchment.part.one", text, is_package=False, known=known) == {"catchment.part.other"}


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": {"f"}, "f": {"e"}, "g": {"d"}}
    assert circles(graph) == {frozenset("abc"), frozenset("ef")}


def test_no_module_is_long() -> None:
    files = [*module_files().values(), *SCRIPTS.rglob("*.js")]
    counts = {path.relative_to(CHECKOUT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in files}
    assert "core/event.py" in counts
    assert "clients/js/src/sender.js" in counts
    assert {name for name, count in counts.items() if count > MOST_LINES} == set()


COMMAND = re.compile(
    r"\bcatchment (?:account|project|key|quota|usage|losses|audit|billing|serve|migrate|maintain|demo)\b"
)


def test_the_core_names_no_command() -> None:
    """What to do about an error is said by each adapter, in the words of its users."""
    texts = {path.relative_to(CHECKOUT).as_posix(): path.read_text("utf-8") for path in _python("core")}
    assert COMMAND.search("add it with `catchment project set P`")
    assert {name for name, text in texts.items() if COMMAND.search(text)} == set()


def test_the_walls_within_the_core_are_those_that_are_written_down() -> None:
    """A part of the core that is in neither the table nor the contracts would have no walls at all."""
    table = re.findall(
        r"^\| `core/(\w+)/` \| (.+) \|$", (CHECKOUT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE
    )
    written = {part: set(re.findall(r"`(\w+)`", modules)) for part, modules in table}
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))
    contracts = {contract["id"]: contract for contract in project["tool"]["importlinter"]["contracts"]}
    parts = {marker.parent.name for marker in (CHECKOUT / "core").glob("*/__init__.py")}
    assert set(contracts["core-shared"]["protected_modules"]) == {f"catchment.core.{part}" for part in parts}
    assert set(written) == parts
    for part, modules in written.items():
        assert set(contracts[f"core-{part}"]["ignore_imports"]) == {
            f"catchment.core.*.* -> catchment.core.{part}.{module}" for module in modules
        }
        assert all((CHECKOUT / "core" / part / f"{module}.py").is_file() for module in modules)

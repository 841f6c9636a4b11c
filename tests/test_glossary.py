"""The glossary (docs/glossary.md) names what is in the code, and the code has none of the words that it rules out."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
ROOTS = ("core", "plugins", "adapters", "config", "sql")
_ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|([^|]*)\|$", re.MULTILINE)
ROWS = [
    tuple(cell.strip() for cell in row)
    for row in _ROW.findall((CHECKOUT / "docs" / "glossary.md").read_text(encoding="utf-8"))
    if row[0] not in ("term", "---")
]


def words(name: str) -> list[str]:
    """Split an identifier: `LossReport`, `loss_report` and `--loss-report` are the same words."""
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)


def _names_a_type(name: str) -> bool:
    return name[:1].isupper() and not name.isupper()


def _public(body: list[ast.stmt]) -> Iterator[str]:
    """Yield the public names of a module or a class, as deep as classes are nested."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.name
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and _names_a_type(node.targets[0].id):
            yield node.targets[0].id
        if isinstance(node, ast.ClassDef):
            yield from _public(node.body)
            is_settings = node.name.endswith(("Settings", "Limits"))
            is_enum = any(isinstance(base, ast.Name) and base.id.endswith("Enum") for base in node.bases)
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    if is_settings or field.target.id.endswith("_id"):
                        yield field.target.id
                elif is_enum and isinstance(field, ast.Assign) and isinstance(field.value, ast.Constant):
                    yield str(field.value.value)


def _options(tree: ast.Module) -> Iterator[str]:
    """Yield the command line's options."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"^--[a-z-]+|(?<=/)--[a-z-]+", node.value)


def _tables(text: str) -> Iterator[str]:
    """Yield the tables, views, functions and columns of the schema."""
    yield from re.findall(r"CREATE (?:OR REPLACE )?(?:TABLE|VIEW|FUNCTION|PROCEDURE) (catchment\.\w+)", text)
    yield from re.findall(
        r"^    ([a-z_]+) (?:uuid|text|jsonb|bigint|integer|boolean|date|timestamptz|bytea)\b", text, re.M
    )


def public_names() -> dict[str, str]:
    """Return every public name of the product, and one place of it."""
    found: dict[str, str] = {}
    for path in (path for root in ROOTS for path in sorted((CHECKOUT / root).rglob("*.py"))):
        place = path.relative_to(CHECKOUT)
        module = place.parent if path.name == "__init__.py" else place.with_suffix("")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [f"catchment.{'.'.join(module.parts)}", *_public(tree.body)]
        if "cli" in place.parts:
            names += _options(tree)
        found |= dict.fromkeys(names, str(place))
    for path in (CHECKOUT / "sql" / "migrations").glob("*.sql"):
        found |= dict.fromkeys(_tables(path.read_text(encoding="utf-8")), path.name)
    return found


NAMES = public_names()


def test_the_code_is_read_in_all_its_parts() -> None:
    for name in (
        "Event",
        "read_batch",
        "catchment.core.ports",
        "--if-missing",
        "catchment.event",
        "idle_seconds",
        "StepResult",
    ):
        assert name in NAMES


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_term_is_in_the_code_by_its_name(row: tuple[str, str, str, str]) -> None:
    term, _, in_code, _ = row
    named = re.findall(r"`([^`]+)`", in_code)
    assert named, f"{term}: say where it is"
    assert [name for name in named if name not in NAMES] == []


@pytest.mark.parametrize("row", [row for row in ROWS if row[3]], ids=lambda row: row[0])
def test_a_word_that_is_ruled_out_is_no_part_of_a_public_name(row: tuple[str, str, str, str]) -> None:
    ruled_out = {tuple(word.split()) for word in row[3].lower().split(", ")}
    used = [
        f"{name} ({place})"
        for name, place in NAMES.items()
        for those in ruled_out
        if _holds([word.lower() for word in words(name)], those)
    ]
    assert used == [], f"say {row[0]}"


def _holds(name: list[str], phrase: tuple[str, ...]) -> bool:
    return any(tuple(name[at : at + len(phrase)]) == phrase for at in range(len(name)))


def test_every_term_stands_in_the_glossary_once() -> None:
    terms = [row[0] for row in ROWS]
    assert len(terms) > 40
    assert len(terms) == len(set(terms))

"""The SQL of Catchment: migrations, stored procedures and named queries.

`query` reads a named query from ``queries/*.sql``. A section begins with ``-- name: NAME``; the comment lines after
it are its documentation. No SQL stands in Python, and no logic stands here.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_SECTION = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def queries() -> dict[str, str]:
    """All named queries, by name. Raises ValueError where a name stands twice."""
    found: dict[str, str] = {}
    for file in sorted(resources.files(__name__).joinpath("queries").iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".sql"):
            continue
        _, *sections = _SECTION.split(file.read_text(encoding="utf-8"))
        for name, text in zip(sections[::2], sections[1::2], strict=True):
            if name in found:
                raise ValueError(f"the query {name} stands twice, the second time in {file.name}")
            found[name] = text.strip()
    return found


def query(name: str) -> str:
    """The text of a named query. Raises KeyError."""
    return queries()[name]


def migrations() -> str:
    """The folder of the migrations."""
    return str(resources.files(__name__).joinpath("migrations"))

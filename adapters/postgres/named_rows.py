"""Rows whose columns have names."""

from __future__ import annotations

from collections import namedtuple
from functools import cache
from typing import Any

Rows = list[Any]
"""Named tuples: `row.name`. A column without a name of its own can be read by place alone."""


def fetch(cursor: Any) -> Rows:
    """Return the rows of the statement that a cursor has run; none if the statement returns no rows."""
    if cursor.description is None:
        return []
    make = _row_type(tuple(column.name for column in cursor.description))._make
    return [make(row) for row in cursor.fetchall()]


@cache
def _row_type(names: tuple[str, ...]) -> Any:
    """Return the type of rows with these columns. There are as many as there are named queries."""
    return namedtuple("Row", names, rename=True)

"""Tables that fit the terminal. Ids, keys and other texts that people copy are never cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from catchment.core.plain import plain

_WHOLE = ("id", "key", "quotas")
"""Columns that people copy from, or that mean something else if they are cut. Numbers stay whole as well."""
_GAP = 2
_LEAST_WIDTH = 12
"""Texts are not shortened below this width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A table, or a list of records, that fits the terminal."""

    table: RenderableType
    is_list: bool = False
    left_out: tuple[str, ...] = ()
    """The headings of the columns that did not fit."""


@dataclass(slots=True)
class _Column:
    name: str
    heading: str
    cells: list[list[str]]
    """Each has its lines."""
    is_number: bool

    @property
    def is_whole(self) -> bool:
        return self.is_number or self.name in _WHOLE or self.name.endswith("_id")

    @property
    def width(self) -> int:
        lines = (line for cell in self.cells for line in cell)
        return max(cell_len(self.heading), *map(cell_len, lines), 0)

    @property
    def least_width(self) -> int:
        least = self.width if self.is_whole else min(self.width, _LEAST_WIDTH)
        return max(least, cell_len(self.heading))


def fitted(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], width: int, droppable: Sequence[str] = ()
) -> Fitted:
    """Return a table of these columns (headings by name) that is at most `width` wide.

    If there is not room for all: texts are shortened, then `droppable` columns are left out one by one. If that does
    not help, each row becomes a record of one line for each column, with nothing left out.
    """
    shown = [_column(name, heading, rows) for name, heading in columns.items()]
    left_out: list[_Column] = []
    for name in (None, *droppable):
        left_out += [column for column in shown if column.name == name]
        shown = [column for column in shown if column.name != name]
        if _sum([column.least_width for column in shown]) <= width:
            headings = tuple(column.heading for column in left_out)
            return Fitted(table=_table(shown, _widths(shown, width)), left_out=headings)
    return Fitted(table=_records([_column(name, heading, rows) for name, heading in columns.items()]), is_list=True)


def _column(name: str, heading: str, rows: Sequence[Mapping[str, Any]]) -> _Column:
    values = [row[name] for row in rows]
    numbers = [isinstance(value, int) and not isinstance(value, bool) for value in values]
    number = all(is_one or value is None for is_one, value in zip(numbers, values, strict=True)) and any(numbers)
    return _Column(name, heading, [_lines(value) for value in values], number)


def _lines(value: Any) -> list[str]:
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, list | tuple):
        return [line for item in value for line in _lines(item)] or [""]
    if value is None:
        return ["-"]
    return [plain(f"{value:,}" if isinstance(value, int) else str(value))]


def _sum(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _widths(columns: Sequence[_Column], width: int) -> list[int]:
    """Return the width of each column. The widest texts give way first, down to one common width."""
    widths = [column.width for column in columns]
    while (over := _sum(widths) - width) > 0:
        yielding = [n for n, column in enumerate(columns) if widths[n] > column.least_width]
        widest = max(widths[n] for n in yielding)
        at_widest = [n for n in yielding if widths[n] == widest]
        for n in at_widest[:over]:
            widths[n] -= 1
    return widths


def _table(columns: Sequence[_Column], widths: Sequence[int]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(
            Text(column.heading), justify="right" if column.is_number else "left", width=width, no_wrap=True
        )
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(
            *(
                Text("\n".join(_shortened(line, width) for line in cell))
                for cell, width in zip(cells, widths, strict=True)
            )
        )
    return table


def _shortened(line: str, width: int) -> str:
    return line if cell_len(line) <= width else set_cell_size(line, width - 1).rstrip() + "…"


def _records(columns: Sequence[_Column]) -> Text:
    """Return a line `Heading: value` for everything, and an empty line between records."""
    records = []
    for cells in zip(*(column.cells for column in columns), strict=True):
        lines = []
        for column, cell in zip(columns, cells, strict=True):
            lines += [Text.assemble((f"{column.heading}:", "bold"), f" {line}") for line in cell]
        records.append(Text("\n").join(lines))
    return Text("\n\n").join(records)

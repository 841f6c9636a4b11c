"""What commands print: tables for people, one JSON document for machines."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

_WIDE = 10_000
"""Columns for a pipe: what is cut into lines can't be copied."""


@dataclasses.dataclass(frozen=True, slots=True)
class Output:
    """Where a command's result goes. Words for people go to standard error, so that standard output stays a result."""

    as_json: bool

    def document(self, document: Any, words: str) -> None:
        """One result: the document for machines, the words for people."""
        click.echo(json.dumps(document, ensure_ascii=False, default=str) if self.as_json else words)

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], empty: str) -> None:
        """Many results: an array of objects, or a table of some of their keys under these headings."""
        if self.as_json:
            click.echo(json.dumps(list(rows), ensure_ascii=False, default=str))
            return
        if not rows:
            click.echo(empty)
            return
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name, heading in columns.items():
            number = all(isinstance(row[name], int) and not isinstance(row[name], bool) for row in rows)
            table.add_column(heading, justify="right" if number else "left", overflow="fold")
        for row in rows:
            table.add_row(*(_cell(row[name]) for name in columns))
        width = None if sys.stdout.isatty() else _WIDE
        Console(highlight=False, width=width).print(table)

    @contextlib.contextmanager
    def waiting(self, words: str) -> Iterator[None]:
        """What goes on while something may take minutes, and for how long: on a terminal, and gone at the end."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        console = Console(stderr=True)
        with Progress(
            *columns, console=console, transient=True, disable=self.as_json or not console.is_terminal
        ) as bar:
            bar.add_task(words, total=None)
            yield

    def say(self, words: str) -> None:
        """Progress, for people."""
        if not self.as_json:
            with contextlib.suppress(OSError):  # a full disk behind it stops nothing
                click.echo(words, err=True)


def _cell(value: Any) -> Text:
    """A cell as it is: no markup, and nothing that a terminal would obey."""
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, list | tuple):
        return Text("\n").join(_cell(item) for item in value)
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return Text("".join(letter if letter.isprintable() else "\ufffd" for letter in text))

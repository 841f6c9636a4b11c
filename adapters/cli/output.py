"""What commands print: tables for people, one JSON document for machines."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from catchment.core.plain import plain_json, plain_lines

from . import tables

_WIDE = 10_000
"""Columns for a pipe: what is cut into lines can't be copied."""


@dataclasses.dataclass(frozen=True, slots=True)
class Output:
    """Where a command's result goes. Words for people go to standard error, so that standard output stays a result.

    Whatever is printed here is made safe for a terminal first.
    """

    as_json: bool

    def document(self, document: Any, words: str) -> None:
        """One result: the document for machines, the words for people."""
        click.echo(plain_json(document) if self.as_json else plain_lines(words))

    def table(
        self,
        rows: Sequence[Mapping[str, Any]],
        columns: Mapping[str, str],
        empty: str,
        *,
        droppable: Sequence[str] = (),
    ) -> None:
        """Print many results: an array of objects, or a table of some of their keys under these headings.

        A narrow terminal gets less: see `tables.fitted`. `droppable` names the columns that may be left out, the least
        important one first.
        """
        if self.as_json:
            click.echo(plain_json(list(rows)))
            return
        if not rows:
            click.echo(plain_lines(empty))
            return
        console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
        fitted = tables.fitted(rows, columns, console.width, droppable)
        console.print(fitted.table, soft_wrap=fitted.is_list)
        if fitted.left_out:
            self.say(f"Not shown, for want of room: {', '.join(fitted.left_out)}. --json has all of it.")

    @contextlib.contextmanager
    def waiting(self, words: str, total: int | None = None) -> Iterator[Callable[[int], object]]:
        """Show what goes on while something may take minutes, and for how long: on a terminal, and gone at the end.

        Yields a function that is told how much of the total is done.
        """
        columns = (SpinnerColumn(), TextColumn("{task.description}"), *((BarColumn(),) if total else ()))
        console = Console(stderr=True)
        with Progress(
            *columns,
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=self.as_json or not console.is_terminal,
        ) as bar:
            task = bar.add_task(words, total=total)
            yield lambda done: bar.update(task, completed=done)

    def say(self, words: str) -> None:
        """Progress, for people."""
        if not self.as_json:
            with contextlib.suppress(OSError):  # a full disk behind it stops nothing
                click.echo(plain_lines(words), err=True)

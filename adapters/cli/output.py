"""Prints results: tables for people, one JSON document for machines."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from catchment.core.plain import plain_lines

from .failures import NotWritten, json_line

_WIDE = 10_000
"""The width for a pipe, in columns. A wide one, because text that is cut into lines can't be copied."""


@dataclasses.dataclass(frozen=True, slots=True)
class Output:
    """Prints the result of a command. Messages for people go to standard error, so standard output has only the result.

    All text is made safe for a terminal first.
    """

    as_json: bool

    def document(self, document: Any, words: str | None) -> None:
        """Print one result: the document for machines, the text for people. None prints nothing."""
        with _written():
            if self.as_json:
                click.echo(json_line(document))
            elif words is not None:
                click.echo(plain_lines(words))

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
            self.document(list(rows), "")
            return
        if not rows:
            self.document(None, empty)
            return
        from rich.console import Console  # rich takes longer to import than most commands to run

        from . import tables

        console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
        fitted = tables.fitted(rows, columns, console.width, droppable)
        with _written():
            console.print(fitted.table, soft_wrap=fitted.is_list)
        if fitted.left_out:
            self.say(f"Not shown, for want of room: {', '.join(fitted.left_out)}. --json has all of it.")

    @contextlib.contextmanager
    def waiting(self, words: str, total: int | None = None) -> Iterator[Callable[[int], object]]:
        """Show progress on a terminal while something may take minutes, and remove it at the end.

        Yields a function that takes the finished part of the total.
        """
        if self.as_json or sys.stderr is None or not sys.stderr.isatty():
            yield lambda done: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), *((BarColumn(),) if total else ()))
        console = Console(stderr=True)
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
            task = bar.add_task(words, total=total)
            yield lambda done: bar.update(task, completed=done)

    def say(self, words: str) -> None:
        """Progress, for people."""
        if not self.as_json:
            with contextlib.suppress(OSError):  # a full disk must not stop the work
                click.echo(plain_lines(words), err=True)


@contextlib.contextmanager
def _written() -> Iterator[None]:
    """Write a result. Raise `NotWritten`. click handles a reader that has closed the pipe."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise NotWritten(error) from None

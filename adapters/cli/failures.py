"""Reports of failed commands: a line on standard error, with `--json` a document on standard output too."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import click

from catchment.core.errors import (
    AlreadyExists,
    CatchmentError,
    CommitUnknown,
    Invalid,
    Misconfigured,
    NotFound,
    NotPossible,
    Unavailable,
)
from catchment.core.plain import plain, plain_json, plain_lines

from .advice import with_advice

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells count it: 128 and the signal's number."""

_CODES: tuple[tuple[type[CatchmentError], str], ...] = (
    (Misconfigured, "bad_settings"),
    (AlreadyExists, "already_exists"),
    (NotFound, "not_found"),
    (Invalid, "invalid"),
    (NotPossible, "not_possible"),
    (CommitUnknown, "commit_unknown"),
    (Unavailable, "unavailable"),
)


class NotWritten(NotPossible):
    """The result could not be written."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"the command was carried out, but its result could not be written: {error.strerror or error}")


def json_line(document: Any) -> str:
    """Return a document as one line of JSON, in ASCII if standard output can't take more."""
    text = plain_json(document)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return plain_json(document, ascii_only=True)
    return text


def fail(error: CatchmentError, as_json: bool) -> int:
    """Print the failure, and the database and settings if the error's notes name them. Return the exit code."""
    code = next((name for kind, name in _CODES if isinstance(error, kind)), "failed")
    notes = "; ".join(getattr(error, "__notes__", ()))
    lines = with_advice(error).splitlines() or [type(error).__name__]
    about: dict[str, Any] = {"code": code, "message": "\n".join(lines)}
    if notes:
        about["where"] = notes
        lines[-1] += f" [{notes}]"
    _say(lines, about if as_json else None)
    return 2 if isinstance(error, Misconfigured) else 1


class Root(click.Group):
    """The root of the command line. A terminal, a pipe, a disk or Ctrl-C never causes a traceback."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        as_json = "--json" in (sys.argv[1:] if args is None else args)
        _take_any_letter()
        try:
            result = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            code = result if isinstance(result, int) else 0
        except click.Abort:  # Ctrl-C
            code = INTERRUPTED
            if as_json:
                _say([], {"code": "interrupted", "message": "interrupted"})
        except click.ClickException as error:
            with contextlib.suppress(OSError):
                _show(error)
            code = error.exit_code
            if as_json:
                _say([], {"code": "usage", "message": error.format_message()})
        except OSError as error:
            code = 1
            if error.errno != errno.EPIPE:
                place = f"{error.filename}: " if error.filename else ""
                message = f"{place}{error.strerror or error}"
                _say([message], {"code": "failed", "message": message} if as_json else None)
        finally:
            _let_go()
        sys.exit(code)


def _show(error: click.ClickException) -> None:
    """Print an error of the arguments, which may come from a script that passes on a stranger's text."""
    text = io.StringIO()
    error.show(text)
    click.echo(plain_lines(text.getvalue()), err=True, nl=False)


def _say(lines: list[str], about: dict[str, Any] | None) -> None:
    with contextlib.suppress(OSError):
        for line in lines:
            click.echo(f"catchment: {plain(line)}", err=True)
    if about is not None:
        with contextlib.suppress(OSError):
            click.echo(json_line({"error": about}))


def _take_any_letter() -> None:
    """Print a character that the terminal can't show as its number, instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _let_go() -> None:
    """Drop the output that can't be written. Otherwise Python would try again at its end, and complain."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not _flushes(stream):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _flushes(stream: TextIO) -> bool:
    try:
        stream.flush()
    except (OSError, ValueError):
        return False
    return True

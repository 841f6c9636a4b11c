"""Standard error as a log, and what others print. If nobody reads the pipe, lines are lost, but never an event."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import select
import stat
import sys
from typing import Any, TextIO


class NeverBlocks(logging.StreamHandler[TextIO]):
    """Writes each line at once, or drops it. Dropped lines are counted, and reported with the next line that can be
    written. If the disk of the log is full, lines are dropped, too."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._lost = 0
        self._descriptor = _own_descriptor(self.stream)

    def emit(self, record: logging.LogRecord) -> None:
        if self._descriptor is None:
            super().emit(record)
            return
        try:
            encoding = getattr(self.stream, "encoding", None) or "utf-8"
            self._write(self._descriptor, f"{self.format(record)}\n".encode(encoding, "backslashreplace"), record)
        except Exception:
            self.handleError(record)

    def _write(self, descriptor: int, line: bytes, record: logging.LogRecord) -> None:
        if self._lost:
            words = f"{self._lost} line(s) of this log were lost: nobody took them"
            told = logging.makeLogRecord({**record.__dict__, "msg": words, "args": None, "exc_info": None, "facts": {}})
            line = f"{self.format(told)}\n".encode() + line
        try:
            if not _takes_more(descriptor):
                raise BlockingIOError
            os.write(descriptor, line)
            self._lost = 0
        except OSError:
            self._lost += 1

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        return


class _DropsTheRest(io.RawIOBase):
    """Writes to a descriptor what it takes at once, and drops the rest."""

    def __init__(self, descriptor: int, shown: int) -> None:
        self._descriptor = descriptor
        self._shown = shown

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._shown

    def isatty(self) -> bool:
        return os.isatty(self._shown)

    def write(self, data: Any) -> int:
        with contextlib.suppress(OSError):
            if _takes_more(self._descriptor):
                os.write(self._descriptor, data)
        return len(data)


def never_block_prints() -> None:
    """Let `print`, in a plugin perhaps, and Python's own complaints never wait for a pipe that nobody reads."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        descriptor = _own_descriptor(stream)
        if descriptor is not None and descriptor != stream.fileno():  # a pipe
            stream.flush()
            raw: Any = _DropsTheRest(descriptor, stream.fileno())
            setattr(sys, name, io.TextIOWrapper(raw, stream.encoding, "backslashreplace", write_through=True))


def _own_descriptor(stream: TextIO | None) -> int | None:
    """Return a new descriptor for a pipe, otherwise the stream's own. Non-blocking mode belongs to the open file, which
    other processes share."""
    try:
        descriptor = stream.fileno()  # type: ignore[union-attr]
        is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except (OSError, ValueError, AttributeError):
        return None
    if is_pipe:
        with contextlib.suppress(OSError):
            return os.open(f"/dev/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return descriptor


def _takes_more(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(event & (select.POLLOUT | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))

"""A small TCP proxy in front of PostgreSQL's socket: a network that is slow, silent, cut, or loses one answer."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from ..support.waiting import wait_until
from .server import Address

_READY_FOR_QUERY = b"Z\x00\x00\x00\x05I"
"""Ends the reply to a statement whose transaction is over: what comes before it is committed."""
_COMMIT = b"log_events("
Result = TypeVar("Result")


@dataclass(eq=False, slots=True)
class _Session:
    writers: list[asyncio.StreamWriter]
    asked: bool = False
    """Whether a commit was asked for, and its reply has not come yet."""
    silenced: bool = False


class Proxy:
    """Runs in a thread of its own until it is closed. What is set holds for sessions that are open, too."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._sessions: set[_Session] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.silent = False
        """A black hole: sessions stay open, connections are taken, nothing goes through, either way."""
        self.delay = 0.0
        """Seconds that every reply takes longer."""
        self.to_swallow = 0
        """Replies to commits that will not arrive; each is followed by the end of its session, unless `mute`."""
        self.mute = False
        self.to_hold = 0
        """Commits that will not reach the database; their sessions stay open, and silent."""
        self.swallowed = 0
        self.held = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listening = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.address: Address = self._listening.sockets[0].getsockname()[:2]

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def dsn(self, database: str, user: str) -> str:
        host, port = self.address
        return f"postgresql://{user}@{host}:{port}/{database}?sslmode=disable&gssencmode=disable"

    def cut(self) -> None:
        """Ends all sessions at once, by a reset."""
        self._call(self._cut())

    async def _cut(self) -> None:
        for session in list(self._sessions):
            _abort(session)

    def wait_swallowed(self, count: int) -> None:
        wait_until(lambda: self.swallowed >= count, f"{count} replies to commits are swallowed")

    def wait_held(self, count: int) -> None:
        wait_until(lambda: self.held >= count, f"{count} commits are held back")

    def close(self) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        self._listening.close()
        await self._cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session([writer])
        self._sessions.add(session)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._while_silent()
            upstream_reader, upstream = await asyncio.open_unix_connection(self._socket)
            session.writers.append(upstream)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._ask(session, reader, upstream))
                pumps.create_task(self._reply(session, upstream_reader, writer))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            _abort(session)
            for one in session.writers:
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await one.wait_closed()
            self._sessions.discard(session)
            self._tasks.discard(task)

    async def _while_silent(self, session: _Session | None = None) -> None:
        while self.silent or (session is not None and session.silenced):  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)

    async def _ask(self, session: _Session, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            if _COMMIT in chunk:
                session.asked = True
                if self.to_hold > 0:
                    self.to_hold -= 1
                    self.held += 1
                    session.silenced = True
            await self._while_silent(session)
            upstream.write(chunk)
            await upstream.drain()
        _abort(session)

    async def _reply(self, session: _Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            over = _READY_FOR_QUERY in chunk
            if session.asked and self.to_swallow > 0:
                if over:
                    self.to_swallow -= 1
                    self.swallowed += 1
                    session.asked = False
                    if not self.mute:
                        break
                    session.silenced = True
                continue
            if over:
                session.asked = False
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._while_silent(session)
            writer.write(chunk)
            await writer.drain()
        _abort(session)


def _abort(session: _Session) -> None:
    for writer in session.writers:
        writer.transport.abort()

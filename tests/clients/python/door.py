"""The way to a server: an address that stays while servers behind it come and go, and that can lose answers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Door:
    """A TCP proxy in a thread of its own. What is set holds for connections that are open, too."""

    def __init__(self) -> None:
        self.target: int | None = None
        """The port of the server behind it; None: connections are ended at once."""
        self.to_swallow = 0
        """Answers that will not arrive; each is followed by the end of its connection."""
        self.is_silent = False
        """Answers are held back, for ever."""
        self.swallowed = 0
        self.held = 0
        self.connections = 0
        """How many were ever made."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listening = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._listening.sockets[0].getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def cut(self) -> None:
        """Ends all connections."""
        self._call(self._cut())

    async def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def close(self) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        self._listening.close()
        await asyncio.sleep(0)  # a connection accepted just now is closed by its task only if that has begun
        await self._cut()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writers = [writer]
        self._writers.add(writer)
        try:
            if self.target is None:
                return
            behind, upstream = await asyncio.open_connection("127.0.0.1", self.target)
            writers.append(upstream)
            self._writers.add(upstream)
            pumps = [
                asyncio.ensure_future(self._ask(reader, upstream)),
                asyncio.ensure_future(self._reply(behind, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in writers:
                one.transport.abort()
                self._writers.discard(one)
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await one.wait_closed()

    async def _ask(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            upstream.write(chunk)
            await upstream.drain()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            if self.to_swallow > 0:
                self.to_swallow -= 1
                self.swallowed += 1
                return
            if self.is_silent:
                self.held += 1
                await asyncio.sleep(3600)
            writer.write(chunk)
            await writer.drain()

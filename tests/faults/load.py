"""Load: a few dozen clients, some that keep their connections and some that make a new one for every request, who
post events with ids of their own, send again what was not acknowledged, and note all of it in a `Book`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ..support.answers import Answer
from ..support.waiting import wait_until
from .book import ORIGIN, Book
from .oracle import CANARY
from .server import Address

_numbers = itertools.count(1)
_MOST_EVENTS = 300_000
_MOST_SECONDS = 1800.0


def new_id() -> str:
    """An event's id that was never used in this process."""
    return f"event-{next(_numbers):08d}"


def event(event_id: str | None, **fields: Any) -> dict[str, Any]:
    """A good event of a browser."""
    made = {"event_name": "Fault", "url": f"{ORIGIN}/page", "event_data": {"note": CANARY}, **fields}
    return made if event_id is None else {**made, "eventId": event_id}


def request_of(
    key: str, events: Sequence[dict[str, Any]], *, batch: bool | None = None, headers: Sequence[str] = ()
) -> bytes:
    """The bytes of a request that posts one event, or a batch of them."""
    batch = len(events) > 1 if batch is None else batch
    path = "/v1/batch" if batch else "/v1/events"
    body = json.dumps({"events": events} if batch else events[0]).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: collector.example",
        f"Origin: {ORIGIN}",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


class NoAnswer(ConnectionError):
    """The connection ended in good order, and without an answer."""


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> Answer:
    """Sends a request on a connection and reads its answer. Raises `NoAnswer` or OSError where none came."""
    writer.write(request)
    await writer.drain()
    started = time.monotonic()
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except asyncio.IncompleteReadError as error:
        raise NoAnswer(f"{len(error.partial)} bytes came") from None
    return Answer(int(status_line.split()[1]), headers, body, time.monotonic() - started)


async def connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*address, limit=2**22)


async def post_once(address: Address, request: bytes, timeout: float) -> Answer:
    """One request on a connection of its own."""
    async with asyncio.timeout(timeout):
        reader, writer = await connect(address)
        try:
            return await exchange(reader, writer, request)
        finally:
            await hang_up(writer)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        await asyncio.wait_for(writer.wait_closed(), 1)


class Load:
    """Runs in a thread from its making until `stop`; no longer than half an hour, no more than 300,000 events.

    `targets` are the addresses that take requests now, as a balancer knows them. `rate`: requests a second of all
    clients together, at most. Every fifth request is a batch of five.
    """

    def __init__(
        self,
        book: Book,
        targets: Callable[[], Sequence[Address]],
        key: str,
        *,
        clients: int = 24,
        rate: float = 400,
        patience: float = 15.0,
        again: bool = True,
    ) -> None:
        self._book = book
        self._targets = targets
        self._key = key
        self._clients = clients
        self._pause = clients / rate
        self._patience = patience
        self._again: deque[list[str]] | None = deque() if again else None
        self._ending = threading.Event()
        self._settling = threading.Event()
        self._sent = 0
        self._open = 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_for(self, more: int, within: float = 30.0) -> None:
        """Waits until so many more events are acknowledged."""
        goal = len(self._book.acknowledged) + more
        wait_until(
            lambda: self._check() and len(self._book.acknowledged) >= goal,
            f"{more} more events are acknowledged:",
            within,
            state=self._book,
        )

    def stop(self) -> None:
        """Ends at once: what was not acknowledged stays so."""
        self._ending.set()
        self._thread.join(self._patience + 15)
        self._check()
        assert not self._thread.is_alive(), "the load does not end: a request hangs"

    def settle(self, within: float = 30.0) -> None:
        """Sends nothing new, and the rest again until all of it is acknowledged; then ends."""
        assert self._again is not None, "this load sends nothing again"
        self._settling.set()
        wait_until(
            lambda: self._check() and not self._open,
            "all that was sent is acknowledged in the end:",
            within,
            state=self._book,
        )
        self.stop()

    def _check(self) -> bool:
        if self._error is not None:
            raise AssertionError("the load failed") from self._error
        return True

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as error:
            self._error = error

    async def _all(self) -> None:
        async with asyncio.timeout(_MOST_SECONDS), asyncio.TaskGroup() as clients:
            for number in range(self._clients):
                clients.create_task(self._client(number))

    async def _client(self, number: int) -> None:
        keeps = number % 2 == 0
        open_connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        await asyncio.sleep(self._pause * number / self._clients)  # not all at the same moment
        try:
            for turn in itertools.count(number):
                if self._ending.is_set():
                    return
                ids = self._next(turn)
                if ids is None:
                    await asyncio.sleep(0.01)
                    continue
                open_connection = await self._post(ids, open_connection, keeps=keeps, turn=turn)
                await asyncio.sleep(self._pause)
        finally:
            if open_connection is not None:
                await hang_up(open_connection[1])

    def _next(self, turn: int) -> list[str] | None:
        if self._again:
            return self._again.popleft()
        if self._settling.is_set() or self._sent >= _MOST_EVENTS:
            return None
        ids = [new_id() for _ in range(5 if turn % 5 == 0 else 1)]
        self._sent += len(ids)
        self._open += 1
        return ids

    async def _post(
        self,
        ids: list[str],
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None,
        *,
        keeps: bool,
        turn: int,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """One request; the connection, where it can be used again."""
        self._book.sent(ids)
        settled = False
        try:
            async with asyncio.timeout(self._patience):
                connection = connection or await self._connected(turn)
                if connection is None:
                    self._book.refused(ids)
                    return None
                answer = await exchange(*connection, request_of(self._key, [event(one) for one in ids]))
                self._book.answered(ids, answer)
                settled = answer.status == 200
        except (OSError, NoAnswer) as error:  # TimeoutError among them: nobody may hang
            self._book.lost(ids, error)
            answer = None
        finally:
            if settled:
                self._open -= 1
            elif self._again is not None:
                self._again.append(ids)
        if connection is None or (keeps and answer is not None and answer.headers.get("connection") != "close"):
            return connection
        await hang_up(connection[1])
        return None

    async def _connected(self, turn: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection with one of the targets; the next one where one refuses, as a balancer does it."""
        targets = list(self._targets())
        for offset in range(len(targets)):
            try:
                return await connect(targets[(turn + offset) % len(targets)])
            except ConnectionRefusedError:
                continue
        return None

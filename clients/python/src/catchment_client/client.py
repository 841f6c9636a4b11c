"""The clients: `Client`, and `AsyncClient` for asyncio. They differ only in how they wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ._background import Background
from ._delivery import Delivery, Nowhere, result_of
from ._events import Fields, Item, build
from ._ids import new_id
from ._logs import switch_on
from ._losses import INVALID
from ._process import watch
from ._sending import Sending
from ._settings import Options, Settings, read_endpoint, read_key
from ._transport import Transport
from .errors import InvalidEvent, Unavailable
from .receipts import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self, Unpack

    Ask = Callable[[Item, float, threading.Event], Receipt]

SEND_TIMEOUT = 10.0
"""Seconds that `send` tries by default."""
CHECK = "CatchmentCheck"
"""The name of the event by which `check` asks. It is never stored."""
SENDERS = 8
"""Threads of an `AsyncClient` that run `send`. They are started when they are needed."""


class _Real:
    """Both ways to the server: the queue, and sending at once."""

    def __init__(self, endpoint: str, key: str, settings: Settings) -> None:
        connect = partial(Transport, read_endpoint(endpoint), read_key(key), settings.ssl_context)
        self._background = Background(settings, connect, endpoint)
        self._sending = Sending(settings, connect)
        self.add = self._background.add
        self.lose = self._background.lose
        self.send = self._sending.send
        self.check = self._sending.check
        self.settled = self._background.settled
        self.begin_close = self._background.begin_close

    def finish_close(self, *, wait: bool) -> None:
        self._background.finish_close(wait=wait)
        self._sending.close()

    @property
    def losses(self) -> Mapping[str, int]:
        return self._background.losses

    @property
    def refused(self) -> Mapping[str, int]:
        return dict(self._background.refused)

    @property
    def pending(self) -> int:
        return self._background.pending


class _Tracking:
    """The common part of both clients: everything that does not wait."""

    def __init__(self, endpoint: str, key: str, **options: Unpack[Options]) -> None:
        self._endpoint = str(endpoint)
        self._settings = Settings(**options)
        switch_on(self._settings.log)
        self._delivery = self._make_delivery(endpoint, key)

    def _make_delivery(self, endpoint: str, key: str) -> Delivery:
        return Nowhere() if self._settings.is_disabled else _Real(endpoint, key, self._settings)

    def track(self, name: str, data: Mapping[str, Any] | None = None, **fields: Unpack[Fields]) -> str:
        """Queue an event, to be sent in the background. Return its id at once.

        It never blocks, and never raises because of delivery. A loss is counted in `losses`, logged, and passed to
        `on_error`; by this call if the event is lost at once. Call it from any thread, and from asyncio without
        `await`.

        `name`: what happened, such as ``Invoice``, up to 120 characters. `data`: your own values, as JSON has them;
        dates, times, UUIDs and addresses become text, a Decimal becomes a number. `category` and `label` (text) and
        `value` (a number) get columns of their own.

        `fields`, all optional: `user_id`, `session_id`, `url`, `ip`, `user_agent`, `language`, `timestamp` (a datetime
        with a time zone, or ISO 8601; default: now), `event_id` (your own: an event that is sent twice with it is
        stored once), `page_title`, `page_path`, `referrer`.

        Raises `InvalidEvent` if an argument is wrong. With `strict=False` the event is lost instead.
        """
        try:
            item = build(name, data, fields)
        except InvalidEvent as error:
            if self._settings.strict:
                raise
            sent = fields.get("event_id")
            event_id = str(sent) if isinstance(sent, (str, UUID)) else new_id()
            self._delivery.lose(event_id, INVALID, str(error))
            return event_id
        self._delivery.add(item)
        return item.event_id

    @property
    def losses(self) -> Mapping[str, int]:
        """The number of lost events of `track`, by reason: ``queue_full``, ``too_large``, ``expired``, ``gave_up``,
        ``closed``, ``invalid``. They will never be stored, but no server refused them. It counts this process, since
        its start or its fork."""
        return self._delivery.losses

    @property
    def refused(self) -> Mapping[str, int]:
        """The number of events of `track` that the server refused, by code. It counts this process, since its start or
        fork."""
        return self._delivery.refused

    @property
    def pending(self) -> int:
        """The number of events of `track` without an answer."""
        return self._delivery.pending

    def __repr__(self) -> str:
        counts = {"pending": self.pending, "refused": sum(self.refused.values()), "lost": sum(self.losses.values())}
        said = ", ".join(f"{count} {what}" for what, count in counts.items() if count or what == "pending")
        return f"<{type(self).__name__} {self._endpoint}, {said}>"


class Client(_Tracking):
    """Sends events to a Catchment server.

        client = Client("https://events.example.com", "sk_…")
        client.track("Invoice", {"value": 12.5, "currency": "EUR"}, user_id="42")

    Make one client for the whole program, and keep it. All threads may use it, it survives a fork (gunicorn, celery),
    and it flushes when the process ends. `endpoint` is the server's address, `key` a server key; for the options see
    `Options`. Raises `ConfigurationError`. It connects at the first event.
    """

    def send(
        self,
        name: str,
        data: Mapping[str, Any] | None = None,
        *,
        timeout: float = SEND_TIMEOUT,
        **fields: Unpack[Fields],
    ) -> Receipt:
        """Send an event now, without the queue, and return its receipt: `stored` means that it is committed.

        It tries again, with the same id, for `timeout` seconds. The arguments are those of `track`.

        Raises `InvalidEvent`; `Refused` if the server does not accept it; `Unavailable` if there was no answer in time
        (send it again with the exception's `event_id`); `ClientClosed`.
        """
        return self._delivery.send(build(name, data, fields), timeout, threading.Event())

    def check(self, timeout: float = SEND_TIMEOUT) -> Receipt:
        """Ask the server, by a dry run, if this client's events would be stored. Return the receipt.

        It stores nothing. Raises as `send` does: `Refused` if the key is unknown or revoked, or the project is
        disabled; `Unavailable` if the server can't be reached.
        """
        return self._delivery.check(build(CHECK, None, {}), timeout, threading.Event())

    def flush(self, timeout: float | None = 10.0) -> bool:
        """Wait until everything that was tracked before is answered. Return False if that takes too long, or if an
        event was lost since the last complete flush. `timeout`: in seconds; None: no limit."""
        return result_of(self._delivery.settled(), timeout)

    def close(self, timeout: float | None = None) -> bool:
        """Send the remaining events for `timeout` seconds (the option `close_timeout`), and end. Return as `flush`
        does.

        Events without an answer are lost then, and counted as ``gave_up``. You may close twice.
        """
        seconds = self._settings.close_timeout if timeout is None else timeout
        answered = result_of(self._delivery.begin_close(seconds), seconds)
        self._delivery.finish_close(wait=answered)
        return answered

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Tracking):
    """`Client` for asyncio.

        async with AsyncClient("https://events.example.com", "sk_…") as client:
            client.track("Invoice", {"value": 12.5})
            receipt = await client.send("SignUp", user_id="42")

    `track` needs no `await`, because it waits for nothing. A thread delivers, as in `Client`: a loop that is busy or
    ends early delays and loses nothing. The client is not bound to a loop.
    """

    def __init__(self, endpoint: str, key: str, **options: Unpack[Options]) -> None:
        super().__init__(endpoint, key, **options)
        self._threads: ThreadPoolExecutor | None = None
        watch(self)

    async def send(
        self,
        name: str,
        data: Mapping[str, Any] | None = None,
        *,
        timeout: float = SEND_TIMEOUT,
        **fields: Unpack[Fields],
    ) -> Receipt:
        """Do the same as `Client.send`. If the task is cancelled, there is no further attempt; the event may be stored
        or not."""
        return await self._in_thread(self._delivery.send, build(name, data, fields), timeout)

    async def check(self, timeout: float = SEND_TIMEOUT) -> Receipt:
        """Do the same as `Client.check`."""
        return await self._in_thread(self._delivery.check, build(CHECK, None, {}), timeout)

    async def _in_thread(self, ask: Ask, item: Item, timeout: float) -> Receipt:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(SENDERS, thread_name_prefix="catchment-client-send")
        stop = threading.Event()
        begun = time.monotonic()
        try:
            return await asyncio.wrap_future(self._threads.submit(self._ask, ask, item, timeout, begun, stop))
        finally:
            stop.set()

    @staticmethod
    def _ask(ask: Ask, item: Item, timeout: float, begun: float, stop: threading.Event) -> Receipt:
        """Send in a thread of the pool. If the threads were busy, the time may already be over."""
        waited = time.monotonic() - begun
        if 0 < timeout <= waited or stop.is_set():
            raise Unavailable(item.event_id, "timeout")
        return ask(item, max(0.0, timeout - waited), stop)

    async def flush(self, timeout: float | None = 10.0) -> bool:
        """Do the same as `Client.flush`."""
        return await _wait_async(self._delivery.settled(), timeout)

    async def close(self, timeout: float | None = None) -> bool:
        """Do the same as `Client.close`. If the task is cancelled, the remaining events are given up at once."""
        seconds = self._settings.close_timeout if timeout is None else timeout
        answered = False
        try:
            answered = await _wait_async(self._delivery.begin_close(seconds), seconds)
        finally:
            self._delivery.finish_close(wait=answered)
            threads, self._threads = self._threads, None
            if threads is not None:
                threads.shutdown(wait=False)
        return answered

    def after_fork(self) -> None:
        self._threads = None

    def begin_exit(self) -> None:
        pass

    def at_exit(self) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _wait_async(future: Future[bool], timeout: float | None) -> bool:
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), timeout)
    except asyncio.TimeoutError:
        return False

"""The clients: `Client`, and `AsyncClient` for asyncio, which differs in how it waits and in nothing else."""

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
"""Threads of an `AsyncClient` that send at once; they are started when they are needed."""


class _Real:
    """Both ways to the server."""

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
    """What both clients have in common: everything that does not wait."""

    def __init__(self, endpoint: str, key: str, **options: Unpack[Options]) -> None:
        self._endpoint = str(endpoint)
        self._settings = Settings(**options)
        switch_on(self._settings.log)
        self._delivery = self._make_delivery(endpoint, key)

    def _make_delivery(self, endpoint: str, key: str) -> Delivery:
        return Nowhere() if self._settings.is_disabled else _Real(endpoint, key, self._settings)

    def track(self, name: str, data: Mapping[str, Any] | None = None, **fields: Unpack[Fields]) -> str:
        """Sends an event as soon as there is time, and returns its id at once.

        Never blocks, and never raises for reasons of delivery: those are counted in `losses`, logged, and given to
        `on_error`, here and now where the event is lost at once. Call it from any thread, and from asyncio without
        `await`.

        `name`: what happened, such as ``Invoice``, up to 120 characters. `data`: your own values, as JSON has them;
        dates, times, UUIDs and addresses become text, a Decimal becomes a number. `category` and `label` (text) and
        `value` (a number) get columns of their own.

        `fields`, all optional: `user_id`, `session_id`, `url`, `ip`, `user_agent`, `timestamp` (a datetime with a time
        zone, or ISO 8601; now, where it is missing), `event_id` (your own: what is sent with it twice is stored once),
        `page_title`, `page_path`, `referrer`.

        Raises `InvalidEvent` if an argument is wrong, unless the option `strict` is off: then the event is lost.
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
        """Events of `track` that will never be stored though no server refused them, by reason: ``queue_full``,
        ``too_large``, ``expired``, ``gave_up``, ``closed``, ``invalid``. Of this process, since it started or was
        forked."""
        return self._delivery.losses

    @property
    def refused(self) -> Mapping[str, int]:
        """Events of `track` that the server refused, by its code. Of this process, since it started or was forked."""
        return self._delivery.refused

    @property
    def pending(self) -> int:
        """Events of `track` that have no answer yet."""
        return self._delivery.pending

    def __repr__(self) -> str:
        counts = {"pending": self.pending, "refused": sum(self.refused.values()), "lost": sum(self.losses.values())}
        said = ", ".join(f"{count} {what}" for what, count in counts.items() if count or what == "pending")
        return f"<{type(self).__name__} {self._endpoint}, {said}>"


class Client(_Tracking):
    """Sends events to a Catchment server.

        client = Client("https://events.example.com", "sk_…")
        client.track("Invoice", {"value": 12.5, "currency": "EUR"}, user_id="42")

    Make one for the whole program, at any time, and keep it: it is for all threads, bears a fork (gunicorn, celery),
    and flushes when the process ends. `endpoint` is the server's address, `key` a server key; the options are those
    of `Options`. Raises `ConfigurationError`. It connects to nothing before the first event.
    """

    def send(
        self,
        name: str,
        data: Mapping[str, Any] | None = None,
        *,
        timeout: float = SEND_TIMEOUT,
        **fields: Unpack[Fields],
    ) -> Receipt:
        """Sends an event now, past the queue, and returns its receipt: `stored` means that it is committed.

        Tries again, with the same id, for `timeout` seconds. Arguments as those of `track`.

        Raises `InvalidEvent`; `Refused` where the server will not have it; `Unavailable` where there was no answer in
        time (send it again with the exception's `event_id`); `ClientClosed`.
        """
        return self._delivery.send(build(name, data, fields), timeout, threading.Event())

    def check(self, timeout: float = SEND_TIMEOUT) -> Receipt:
        """Asks the server, by a dry run, whether this client's events would be stored, and returns the receipt.

        Stores nothing. Raises as `send` does: `Refused` for a key that is unknown or revoked, or a project that is
        switched off, `Unavailable` if the server can't be reached.
        """
        return self._delivery.check(build(CHECK, None, {}), timeout, threading.Event())

    def flush(self, timeout: float | None = 10.0) -> bool:
        """Waits until everything tracked before is answered. False where that is not in time, and where an event was
        lost since the last flush that came to its end. `timeout`: seconds, None for no end."""
        return result_of(self._delivery.settled(), timeout)

    def close(self, timeout: float | None = None) -> bool:
        """Sends what is left, for `timeout` seconds (the option `close_timeout`), and ends. Returns as `flush` does.

        What is not answered then is lost, and counted as ``gave_up``. Closing twice does no harm.
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

    `track` needs no `await`, since it waits for nothing. Delivery has a thread of its own, as in `Client`: a loop that
    is busy or ends early delays and loses nothing. The client is not bound to a loop.
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
        """As `Client.send`. Where the task is cancelled no further attempt is made; the event may be stored or not."""
        return await self._in_thread(self._delivery.send, build(name, data, fields), timeout)

    async def check(self, timeout: float = SEND_TIMEOUT) -> Receipt:
        """As `Client.check`."""
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
        """In a thread of the pool: those may have had so much to do that the time is over."""
        waited = time.monotonic() - begun
        if 0 < timeout <= waited or stop.is_set():
            raise Unavailable(item.event_id, "timeout")
        return ask(item, max(0.0, timeout - waited), stop)

    async def flush(self, timeout: float | None = 10.0) -> bool:
        """As `Client.flush`."""
        return await _wait_async(self._delivery.settled(), timeout)

    async def close(self, timeout: float | None = None) -> bool:
        """As `Client.close`. Where the task is cancelled what is left is given up at once."""
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

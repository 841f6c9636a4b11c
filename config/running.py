"""Running the server: one process, or a parent and its workers."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial

from catchment.adapters.http.engine.activation import inherited_sockets
from catchment.adapters.http.engine.last_resort import LastResort
from catchment.adapters.http.engine.listening import bind
from catchment.adapters.http.engine.logs import RateLimitedLog
from catchment.adapters.http.engine.signals import ending, ignore_others
from catchment.adapters.http.engine.workers import Workers
from catchment.adapters.http.operations.metrics_folder import metrics_folder
from catchment.adapters.http.operations.shared_counts import SharedCounts
from catchment.adapters.postgres.embedded import start_embedded
from catchment.adapters.postgres.session_checks import PrimaryMemory
from catchment.core.errors import Invalid

from .database import refuse_shared_sessions
from .plugins import try_plugins
from .server import CollectingServer
from .settings import EMBEDDED, Settings
from .stderr import never_block_prints

log = logging.getLogger(__name__)

_PARENT_SECONDS = 1.0
_PULSE_SECONDS = 1.0
_END_SECONDS = 5.0
"""After the drain, for everything else at the end."""
_LEFT_SECONDS = 2.0
"""For tasks and threads of others, when the work is over."""
_OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""More than the events that are in flight at a time consist of."""


def prepare() -> None:
    """Prepare the process of a server: ignore signals that mean nothing, let nothing that is printed wait for a reader,
    and raise the limit of open files as far as the system lets it."""
    ignore_others()
    never_block_prints()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):  # some systems have a lower bound of their own
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def bind_sockets(settings: Settings) -> list[socket.socket]:
    """Return the sockets that were handed in, else those of the settings' host and port. Raises `Invalid`."""
    try:
        inherited = inherited_sockets()
    except OSError as error:
        raise Invalid(f"can't use the sockets of LISTEN_FDS: {error.strerror or error}") from None
    if inherited:
        return inherited
    try:
        return bind(settings.http.host, settings.http.port)
    except OSError as error:
        raise Invalid(f"can't listen on {settings.http.host}:{settings.http.port}: {error.strerror or error}") from None


def serve(settings: Settings, dsn: str, listening: Callable[[str, int], None]) -> int:
    """Serves until SIGTERM, SIGINT, SIGHUP or SIGQUIT; returns the exit code. `listening` is told the address and port.
    Raises `Misconfigured` before it listens."""
    try_plugins(settings)
    asyncio.run(refuse_shared_sessions(dsn))
    sockets = bind_sockets(settings)
    listening(*sockets[0].getsockname()[:2])
    primary = PrimaryMemory()
    if settings.http.workers == 1:
        return run_worker(settings, dsn, sockets, primary)
    with ExitStack() as stack:
        try:
            counts = SharedCounts(stack.enter_context(metrics_folder()), settings.http.workers)
        except OSError as error:
            raise Invalid(f"can't make a temporary folder for metrics (TMPDIR): {error.strerror or error}") from None

        def work(number: int, beat: Callable[[], None]) -> int:
            counts.join(number)
            return run_worker(settings, dsn, sockets, primary, parent=os.getppid(), beat=beat)

        end_seconds = settings.http.drain_seconds + _END_SECONDS
        return Workers(settings.http.workers, work, sockets, counts.forget, end_seconds).run()


def run_worker(
    settings: Settings,
    dsn: str,
    sockets: list[socket.socket],
    primary: PrimaryMemory,
    parent: int | None = None,
    beat: Callable[[], None] | None = None,
) -> int:
    """One worker, on an event loop of its own. One that has a parent ends when that is gone, and calls `beat` as long
    as its event loop turns. What others leave running (a task that takes no end, a thread) does not keep it."""
    # Events are freed when their request ends; looking for cycles among them all the while was a tenth of their cost.
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    last_resort = LastResort()
    try:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            work = loop.create_task(_work(settings, dsn, sockets, primary, parent, beat, last_resort), name="worker")
            return run_to_its_end(loop, work)
    finally:
        last_resort.disarm()


def run_to_its_end(loop: asyncio.AbstractEventLoop, work: asyncio.Task[int]) -> int:
    """Run the event loop until the work is done. A plugin's own task or callback that calls `sys.exit`, or stops the
    loop, does not end the server: the loop goes on."""
    warnings = RateLimitedLog()
    while True:
        try:
            return loop.run_until_complete(work)
        except (SystemExit, KeyboardInterrupt, RuntimeError) as error:  # the last one: somebody stopped the loop
            started = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
            if work.done() or loop.is_closed() or (isinstance(error, KeyboardInterrupt) and not started):
                raise
            what = type(error).__name__
            warnings.warn("a task or callback, of a plugin perhaps, ended the event loop (%s): it goes on", what)


async def _orphaned(parent: int) -> None:
    while True:
        await asyncio.sleep(_PARENT_SECONDS)
        if os.getppid() != parent:
            break
    log.error("the parent process is gone: ending")


async def _beats(beat: Callable[[], None]) -> None:
    while True:
        beat()
        await asyncio.sleep(_PULSE_SECONDS)


async def _work(
    settings: Settings,
    dsn: str,
    sockets: list[socket.socket],
    primary: PrimaryMemory,
    parent: int | None,
    beat: Callable[[], None] | None,
    last_resort: LastResort,
) -> int:
    stop = asyncio.Event()
    died: list[BaseException] = []

    def on_death(error: BaseException) -> None:
        died.append(error)
        stop.set()

    # Also while the event loop stands still: a handler of Python's own runs in the middle of a plugin.
    def on_signal(number: int, frame: object) -> None:
        last_resort.arm(settings.http.drain_seconds + _END_SECONDS, 1)

    loop = asyncio.get_running_loop()
    beating = None if beat is None else loop.create_task(_beats(beat), name="pulse of the worker")
    for number in ending():
        loop.add_signal_handler(number, stop.set)
        signal.signal(number, on_signal)  # asyncio's own handler does nothing; it is woken by another way
    watch = None if parent is None else loop.create_task(_orphaned(parent), name="parent watch")
    if watch is not None:
        watch.add_done_callback(lambda _: stop.set())
    server = CollectingServer(settings, dsn, on_death=on_death, revive=reviver(settings), primary=primary)

    async def stopped() -> None:
        await stop.wait()
        last_resort.arm(settings.http.drain_seconds + _END_SECONDS, 1)

    code = 1
    try:
        await server.run(sockets, stopped, shared=parent is not None)
        code = 1 if died else 0
    finally:
        last_resort.arm(_LEFT_SECONDS, code)
        del beating  # it goes on until the loop ends
    return code


def reviver(settings: Settings) -> Callable[[], object] | None:
    """Return a function that starts the embedded database again. None: the database is not ours to look after."""
    if settings.database.url != EMBEDDED:
        return None
    return partial(start_embedded, settings.database.directory)

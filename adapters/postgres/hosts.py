"""Where the database is, found without stopping the event loop: libpq looks names up while everybody waits.

`places` says where to connect in libpq's own words: the name stays, for TLS and for the password file, and beside it
stands its address (``hostaddr``). Each of several hosts or addresses is a place of its own, since aiopg does not follow
libpq from one to the next: it goes on watching the first one's socket. What libpq may know better is left to it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import threading

import psycopg2
from psycopg2.extensions import parse_dsn

_ELSEWHERE = ("PGHOSTADDR", "PGSERVICE")
"""Variables by which libpq gets addresses that are not in the DSN."""


class Lookups:
    """Looks names up in threads of its own, one a name: one that hangs is not begun again, and neither holds up what
    else runs in threads, nor the end of the process."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Future[list[str]]] = {}

    async def addresses(self, name: str) -> list[str]:
        """The addresses of a host, in the resolver's order. Raises OSError."""
        future = self._running.get(name)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._running[name] = loop.create_future()
            threading.Thread(target=self._look_up, args=(name, loop), name=f"look up {name}", daemon=True).start()
        return await asyncio.shield(future)

    def _look_up(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        found: list[str] | OSError
        try:
            answers = socket.getaddrinfo(name.encode(), None, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(address[0]) for *_, address in answers))
        except OSError as error:
            found = error
        try:
            loop.call_soon_threadsafe(self._answer, name, found)
        except RuntimeError:  # the loop ended meanwhile
            return

    def _answer(self, name: str, found: list[str] | OSError) -> None:
        future = self._running.pop(name)
        if isinstance(found, OSError):
            future.set_exception(found)
            future.exception()  # else asyncio complains where nobody waits any more
        else:
            future.set_result(found)


async def places(dsn: str, lookups: Lookups) -> list[dict[str, str]]:
    """Where to try to connect, one place after the other: what to say beside the DSN, which is nothing where it names
    but one place, or where in doubt. Raises OSError where no name has an address."""
    try:
        parts = parse_dsn(dsn)
    except psycopg2.Error:  # who connects will say it
        return [{}]
    if "hostaddr" in parts or "service" in parts or any(os.environ.get(name) for name in _ELSEWHERE):
        return [{}]
    hosts, ports = parts.get("host", "").split(","), parts.get("port", os.environ.get("PGPORT", "")).split(",")
    if len(ports) not in (1, len(hosts)) or (len(hosts) == 1 and not _is_name(hosts[0])):
        return [{}]
    found: list[dict[str, str]] = []
    failure: OSError | None = None
    for host, port in zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=True):
        try:
            addresses = await lookups.addresses(host) if _is_name(host) else [""]
        except OSError as error:
            failure = error
            continue
        named = {"host": host, "port": port} if port else {"host": host}
        found += [{**named, "hostaddr": address} if address else named for address in addresses]
    if failure is not None and not found:
        raise failure
    return found


def _is_name(host: str) -> bool:
    """Whether it must be looked up: not a socket's folder, not an address."""
    if not host or host[0] in "/@":
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False

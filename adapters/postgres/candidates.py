"""Finds the database's addresses without stopping the event loop. libpq itself would stop it while it looks up a name.

`candidates` returns the connection parameters to try. The host's name stays, for TLS and the password file, and its
address (``hostaddr``) is added. Each of several hosts or addresses is a candidate of its own: aiopg does not follow
libpq from one to the next, and goes on watching the first one's socket. Addresses that only libpq knows are left to it.
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
"""Variables that give libpq addresses that are not in the DSN."""


class Lookups:
    """Looks up names in threads of its own, one for each name. A look-up that hangs is not begun again. It does not
    hold up other threads, nor the end of the process."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Future[list[str]]] = {}

    async def addresses(self, name: str) -> list[str]:
        """Return the addresses of a host, in the resolver's order. Raise OSError."""
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
            future.exception()  # else asyncio complains if nobody waits any more
        else:
            future.set_result(found)


async def candidates(dsn: str, lookups: Lookups) -> list[dict[str, str]]:
    """Return extra connection parameters for each candidate, in the order to try them. They are empty if the DSN names
    only one, or if in doubt. Raise OSError if no name has an address."""
    try:
        parts = parse_dsn(dsn)
    except psycopg2.Error:  # the connection will report it
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
    """Return True if a host must be looked up: it is no socket's folder and no address."""
    if not host or host[0] in "/@":
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False

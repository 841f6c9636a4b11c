"""Checks whether a port of this machine is free, and finds the Catchment or the process that has it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
from pathlib import Path

_SECONDS = 2.0
_LISTENS = "0A"
_SOCKET = re.compile(r"socket:\[(\d+)\]")


def try_port(host: str, port: int) -> None:
    """Bind the port for a moment, without listening on it: nobody can connect meanwhile. Raise OSError."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, protocol, _, address in dict.fromkeys(found):
        with socket.socket(family, kind, protocol) as trying:
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                trying.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            trying.bind(address)


def catchment_at(host: str, port: int) -> str | None:
    """Return the version of the Catchment that answers there ('' if it does not tell it), or None if there is none."""
    reached = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    connection = http.client.HTTPConnection(reached, port, timeout=_SECONDS)
    try:
        connection.request("GET", "/healthz")
        if json.loads(connection.getresponse().read(4096)) != {"status": "alive"}:
            return None
        connection.request("GET", "/readyz")
        said = json.loads(connection.getresponse().read(65536))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return str(said.get("version", "")) if isinstance(said, dict) else None


def who_listens(port: int) -> str | None:
    """Return the process that listens on a port, such as ``nginx (process 812)``; None if that can't be seen."""
    inodes = {inode for table in ("tcp", "tcp6") for inode in _listening(Path("/proc/net") / table, port)}
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            for descriptor in (process / "fd").iterdir():
                found = _SOCKET.fullmatch(os.readlink(descriptor))
                if found and found[1] in inodes:
                    name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                    return f"{name} (process {process.name})"
    return None


def _listening(table: Path, port: int) -> list[str]:
    try:
        lines = table.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    columns = [line.split() for line in lines]
    return [one[9] for one in columns if one[3] == _LISTENS and int(one[1].rpartition(":")[2], 16) == port]

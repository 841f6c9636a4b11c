"""Listening sockets: opens them, and stops new connections before they are closed."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from collections.abc import Iterable

_BACKLOG = 1024

HANDSHAKE_SECONDS = 0.1
"""For handshakes that had begun when new ones were stopped: a round trip."""

_SO_ATTACH_FILTER = 26  # linux/asm-generic/socket.h; Python has no name for it
_DROP_SYN = (
    (0x30, 0, 0, 13),  # load the byte of the TCP flags
    (0x45, 0, 1, 0x02),  # is SYN set?
    (0x06, 0, 0, 0),  # yes: drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # no: keep all of it
)
"""A packet filter (BPF, linux/filter.h): operation, steps to jump if true and if false, value."""


class _Listener(socket.socket):
    """A socket that this server has bound itself: nobody else listens on it once the server ends."""


def bind(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets for a host and port (0: any free one, the same for all). Raises `OSError`."""
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            if sockets and port == 0:
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            sockets.append(_listen(family, kind, protocol, address))
    except BaseException:
        for bound in sockets:
            bound.close()
        raise
    return sockets


def _listen(family: int, kind: int, protocol: int, address: tuple[object, ...]) -> socket.socket:
    listening = _Listener(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setblocking(False)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def stop_handshakes(sockets: Iterable[socket.socket]) -> None:
    """Let no client begin a connection any more; those that have begun one can still be accepted.

    Closing a socket resets what the kernel accepted for it, and between the last `accept` and `close` there is always a
    moment. Here the kernel drops the first packet of a new connection. The client sends it again after a second. By
    then the port is closed, and the client is refused, or the next server listens.

    Sockets that were handed in stay as they are: systemd goes on listening on them. Without packet filters (not Linux)
    nothing happens, and the moment remains.
    """
    program = b"".join(struct.pack("HBBI", *step) for step in _DROP_SYN)
    steps = ctypes.create_string_buffer(program, len(program))
    for listening in sockets:
        if isinstance(listening, _Listener):
            with contextlib.suppress(OSError):  # closed already, or no Linux
                listening.setsockopt(
                    socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_DROP_SYN), ctypes.addressof(steps))
                )

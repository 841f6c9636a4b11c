"""Sockets that are handed in: systemd binds and listens, so that nobody is turned away while the server restarts.

See ``man sd_listen_fds``: the sockets are the descriptors from 3 on, LISTEN_FDS of them, for the process LISTEN_PID.
"""

from __future__ import annotations

import os
import socket

_FIRST = 3


def inherited_sockets() -> list[socket.socket]:
    """Return the listening sockets that this process was started with; none if it was not. They are returned once.
    Raises OSError for a descriptor that is no listening TCP socket."""
    if os.environ.pop("LISTEN_PID", None) != str(os.getpid()):
        return []
    os.environ.pop("LISTEN_FDNAMES", None)
    count = os.environ.pop("LISTEN_FDS", "")
    sockets = [socket.socket(fileno=_FIRST + number) for number in range(int(count) if count.isdecimal() else 0)]
    for one in sockets:
        listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if one.family not in (socket.AF_INET, socket.AF_INET6) or one.type != socket.SOCK_STREAM or not listens:
            raise OSError("a socket that was handed in is no listening TCP socket (ListenStream= with a port)")
        one.setblocking(False)
        one.set_inheritable(False)
    return sockets

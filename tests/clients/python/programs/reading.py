"""Forks while the sending thread reads an answer of which half has come. Run as a program; standard library and client
alone."""

import os
import socket
import sys
import threading

from catchment_client import Client
from catchment_client._settings import _checksum

ANSWER = b'{"results":[{"index":0,"outcome":"stored","event_id":"a","session_id":"s","warnings":[]}]}'


def serve(listening: socket.socket, has_begun: threading.Event, go_on: threading.Event) -> None:
    connection, _ = listening.accept()
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER[:10])
    has_begun.set()
    go_on.wait(30)
    connection.sendall(ANSWER[10:])
    connection.close()


KEY = "sk_0000000" + _checksum("sk_0000000")


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    has_begun, go_on = threading.Event(), threading.Event()
    server = threading.Thread(target=serve, args=(listening, has_begun, go_on))
    server.start()
    client = Client(f"http://127.0.0.1:{listening.getsockname()[1]}", KEY, linger=0)
    client.track("Ping", event_id="a")
    has_begun.wait(30)
    for way in ("exit", "_exit"):
        pid = os.fork()
        if pid == 0:
            assert client.pending == 0
            if way == "exit":
                sys.exit(0)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert status == 0, status
    go_on.set()
    assert client.flush(30)
    server.join()
    listening.close()


main()

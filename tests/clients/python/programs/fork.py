"""Tracks before and after forks, as servers that load the program first and fork then. Run as a program."""

import multiprocessing
import os
import sys

from catchment_client import Client

if sys.argv[3:] == ["without-hooks"]:  # the client's, which it registers when it is made
    os.register_at_fork = lambda **hooks: None


def in_child(client: Client, name: str) -> None:
    assert client.pending == 0
    assert client.losses == {}
    for number in range(10):
        client.track("Ping", event_id=f"{name}-{number}")
    client.send("Ping", event_id=f"{name}-sent")


def main(endpoint: str, key: str) -> None:
    client = Client(endpoint, key, linger=3600)
    client.track("Ping", event_id="connected")
    assert client.flush(30)
    client.send("Ping", event_id="connected-too")
    for number in range(10):
        client.track("Ping", event_id=f"parent-{number}")
    # a web server's worker: ends by sys.exit
    workers = []
    for worker in range(2):
        pid = os.fork()
        if pid == 0:
            in_child(client, f"worker{worker}")
            sys.exit(0)
        workers.append(pid)
    # one that ends without atexit
    context = multiprocessing.get_context("fork")
    process = context.Process(target=in_child, args=(client, "multiprocessing"))
    process.start()
    # in the midst of work
    for number in range(200):
        client.track("Ping", event_id=f"busy-{number}")
        if number % 50 == 0:
            pid = os.fork()
            if pid == 0:
                in_child(client, f"inner{number}")
                assert client.flush(30)
                os._exit(0)
            workers.append(pid)
    for pid in workers:
        _, status = os.waitpid(pid, 0)
        assert status == 0, status
    process.join()
    assert process.exitcode == 0


main(*sys.argv[1:3])

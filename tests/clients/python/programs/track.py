"""Tracks events and ends in the way that it is told to. Run as a program; standard library and client alone."""

import os
import sys

from catchment_client import Client


def main(endpoint: str, key: str, way: str) -> None:
    client = Client(endpoint, key, linger=3600)
    for number in range(20):
        client.track("Ping", {"n": number}, event_id=f"{way}-{number}")
    if way == "exception":
        raise RuntimeError("on purpose")
    if way == "exit":
        sys.exit(3)
    if way == "thread":
        import threading

        threading.Thread(target=client.track, args=("Ping",), kwargs={"event_id": "thread-20"}).start()
    if way == "atexit":
        import atexit

        # registered later, so called earlier; and a client that is made when the process ends already
        atexit.register(lambda: client.track("Ping", event_id="atexit-20"))
        late = []
        atexit.register(lambda: late.append(Client(endpoint, key)))
        atexit.register(lambda: late or client.track("Ping", event_id="atexit-21"))
    if way == "no-thread":
        import threading

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        threading.Thread.start = refuse
        other = Client(endpoint, key, linger=3600)
        other.track("Ping", event_id="no-thread-20")
    if way == "many":
        clients = [Client(endpoint, key, linger=3600) for _ in range(10)]
        for one in clients:
            one.track("Ping")
    if way == "interrupted":
        import signal
        import time

        signal.signal(signal.SIGINT, signal.default_int_handler)  # a script that runs tests beside itself ignores it
        print("tracked", flush=True)
        time.sleep(60)
    if way == "_exit":
        client.flush()
        os._exit(0)


main(*sys.argv[1:])

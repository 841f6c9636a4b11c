"""How the client reaches a server: TLS, proxies, and what its log says on the way."""

from __future__ import annotations

import contextlib
import select
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from catchment_client import Client, ConfigurationError, Unavailable
from catchment_client._logs import Tally

from ...support.waiting import wait_until
from .conftest import KEY
from .stub import Says, Stub, problem

MakeClient = Callable[..., Client]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of `localhost` that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("this machine has no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("certificate")
    made, key = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(made)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    return made, key


@pytest.fixture
def secure_stub(certificate: tuple[Path, Path]) -> Iterator[Stub]:
    with contextlib.closing(Stub(certificate=certificate)) as stub:
        yield stub


def test_a_certificate_is_verified(
    secure_stub: Stub, certificate: tuple[Path, Path], make_client: MakeClient, log: pytest.LogCaptureFixture
) -> None:
    endpoint = secure_stub.endpoint.replace("127.0.0.1", "localhost")
    assert endpoint.startswith("https://")
    doubting = make_client(endpoint)
    with pytest.raises(Unavailable, match="tls"):
        doubting.send("Ping", timeout=3)
    doubting.track("Ping")
    wait_until(lambda: "(tls: certificate verify failed" in log.text, "the log says why")
    assert secure_stub.asked == []
    context = ssl.create_default_context(cafile=str(certificate[0]))
    trusting = make_client(endpoint, ssl_context=context)
    assert trusting.send("Ping", timeout=30).outcome == "stored"
    trusting.track("Ping")
    assert trusting.flush(30)
    elsewhere = make_client(secure_stub.endpoint, ssl_context=context)
    with pytest.raises(Unavailable, match="tls"):
        elsewhere.send("Ping", timeout=3)


def test_the_environment_s_proxy_is_used(stub: Stub, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", stub.endpoint.replace("http://", "http://user:p%40ss@"))
    client = make_client("http://events.example:8080/stats")
    assert client.send("Ping", timeout=30).outcome == "stored"
    (asked,) = stub.asked
    assert asked.path == "http://events.example:8080/stats/v1/events"
    assert asked.headers["host"] == "events.example:8080"
    assert asked.headers["proxy-authorization"] == "Basic dXNlcjpwQHNz"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1,.example")
    assert make_client(stub.endpoint).send("Ping", timeout=30).outcome == "stored"


class Tunnel:
    """A proxy that tunnels one connection (CONNECT) to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.asked = b""
        self._port = port
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        one, _ = self._listening.accept()
        with one, socket.create_connection(("127.0.0.1", self._port)) as other:
            while b"\r\n\r\n" not in self.asked:
                self.asked += one.recv(4096)
            one.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            ways = {one: other, other: one}
            while True:
                for ready in select.select(list(ways), [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    ways[ready].sendall(data)

    def close(self) -> None:
        self._listening.close()
        self._thread.join(10)


def test_a_proxy_of_https_sees_neither_key_nor_event(
    secure_stub: Stub, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(secure_stub.endpoint.rpartition(":")[2])
    with contextlib.closing(Tunnel(port)) as tunnel:
        monkeypatch.setenv("https_proxy", tunnel.url)
        context = ssl.create_default_context(cafile=str(certificate[0]))
        with Client("https://localhost:4433", KEY, ssl_context=context) as client:
            assert client.send("Ping", timeout=30).outcome == "stored"
    assert tunnel.asked.startswith(b"CONNECT localhost:4433 ")
    assert KEY.encode() not in tunnel.asked
    assert secure_stub.asked[0].headers["host"] == "localhost:4433"


@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nobody listens there", "(network: connection refused)"),
        ("a foreign certificate", "(tls: certificate verify failed: "),
        ("a revoked key", "1 event refused: revoked_key"),
        ("a wrong path", "1 event refused: not_found"),
        ("a warning", "1 event taken with a warning: dropped userId (longer than 200 characters)"),
        ("a wrong argument", "1 event lost: invalid: data: "),
    ],
)
def test_a_program_that_does_nothing_for_it_is_told_on_standard_error_once(
    stub: Stub, secure_stub: Stub, what: str, said: str, listens: bool
) -> None:
    endpoint, data = stub.endpoint, "{}"
    if what == "nobody listens there":
        endpoint = "http://127.0.0.1:9"
    elif what == "a foreign certificate":
        endpoint = secure_stub.endpoint
    elif what == "a wrong argument":
        data = "{1, 2}"
    elif what == "a warning":
        warning = {"code": "dropped", "field": "userId", "detail": "longer than 200 characters"}
        result = {"index": 0, "outcome": "stored", "event_id": "a", "session_id": "s", "warnings": [warning]}
        stub.answer = lambda asked: Says(200, {"results": [result]})
    else:
        stub.answer = lambda asked: problem(*((401, "revoked_key") if what == "a revoked key" else (404, "not_found")))
    script = f"""
import logging
from catchment_client import Client
{'logging.basicConfig(filename="/dev/null")' if listens else ""}
client = Client({endpoint!r}, {KEY!r}, close_timeout=5, strict=False)
client.track('Ping', {data})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.count(said) == (0 if listens else 1), done.stderr
    assert KEY not in done.stderr
    assert not listens or done.stderr == ""


@pytest.mark.parametrize("by", ["environment", "option"])
def test_the_log_is_switched_on_by_environment_or_option(stub: Stub, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    options = "" if by == "environment" else ", log='debug'"
    script = f"""
from catchment_client import Client
with Client({stub.endpoint!r}, {KEY!r}{options}) as client:
    client.track('Ping', {{'secret': 'hush'}}, user_id='hush', event_id='hush')
"""
    if by == "environment":
        monkeypatch.setenv("CATCHMENT_CLIENT_LOG", "debug")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "catchment_client DEBUG a batch of 1 events" in done.stderr
    assert "hush" not in done.stderr
    assert done.stdout == ""


def test_a_level_that_there_is_not_is_said_and_in_the_environment_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"^log: "):
        Client("https://events.example.com", KEY, log="loud")
    monkeypatch.setenv("CATCHMENT_CLIENT_LOG", "loud")
    Client("https://events.example.com", KEY).close()


def test_a_repeated_loss_is_logged_once_a_minute(
    stub: Stub, make_client: MakeClient, log: pytest.LogCaptureFixture
) -> None:
    client = make_client(stub.endpoint, event_bytes=10)
    for _ in range(1000):
        client.track("Large")
    lines: list[Any] = [record.getMessage() for record in log.records if "too_large" in record.getMessage()]
    assert lines == ["1 event lost: too_large"]
    client.close()
    lines = [record.getMessage() for record in log.records if "too_large" in record.getMessage()]
    assert lines == ["1 event lost: too_large", "999 events lost: too_large"]
    assert client.losses == {"too_large": 1000}


class Dripping:
    """A server that says its first words, and then the same piece again and again, until nobody listens."""

    def __init__(self, first: bytes, piece: bytes) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._first = first
        self._piece = piece
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(self._first)
            while not self._is_over.wait(0.05):
                connection.sendall(self._piece)

    def close(self) -> None:
        self._is_over.set()
        self._thread.join(10)
        self._listening.close()


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X-Y: z\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["length", "chunked", "close", "headers", "continue"],
)
def test_an_answer_that_comes_in_drops_for_ever_is_waited_for_no_longer_than_the_timeout(
    make_client: MakeClient, first: bytes, piece: bytes
) -> None:
    with contextlib.closing(Dripping(first, piece)) as server:
        client = make_client(server.endpoint, timeout=0.5)
        with pytest.raises(Unavailable) as caught:
            client.send("Ping", timeout=0.6)
        assert caught.value.reason == "timeout"


@pytest.mark.parametrize("form", ["chunked", "close", "short"])
def test_an_answer_is_read_in_each_of_its_forms(
    make_client: MakeClient, log: pytest.LogCaptureFixture, form: str
) -> None:
    said = b'{"outcome":"stored","event_id":"a","session_id":"s","warnings":[]}'
    answers = {
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(said), said),
        "close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + said,
        "short": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + said,
    }
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            asked = b""
            while not asked.endswith(b"}"):  # what is left unread would reset the connection
                asked += connection.recv(65536)
            connection.sendall(answers[form])

    thread = threading.Thread(target=serve)
    thread.start()
    client = make_client(f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=30)
    try:
        if form == "short":
            client.track("Ping")
            wait_until(lambda: "(network)" in log.text, "it is seen that the end is missing")
        else:
            assert client.send("Ping", timeout=30).outcome == "stored"
    finally:
        thread.join(10)
        listening.close()


def test_one_who_interrupts_the_count_of_what_is_logged_may_count_himself() -> None:
    """A signal handler that tracks runs in the midst of whatever its thread does."""
    tally = Tally()

    def work() -> None:
        with tally._lock:
            tally.warn("lost", "queue_full", 1)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()

"""A small HTTP server that answers what a test wants: for what the real one can't be made to say."""

from __future__ import annotations

import gzip
import http.server
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    headers: dict[str, str]
    body: Any
    size: int
    """Of the body, unpacked."""

    @property
    def ids(self) -> list[str]:
        return [event["eventId"] for event in self.body.get("events", [self.body])]


@dataclass(frozen=True)
class Says:
    """One answer."""

    status: int
    body: object = None
    headers: tuple[tuple[str, str], ...] = ()


def stores(asked: Asked, **more: object) -> Says:
    """The answer of a server that stores everything."""
    results = [
        {"index": i, "outcome": "stored", "event_id": event_id, "session_id": "s", "warnings": []}
        for i, event_id in enumerate(asked.ids)
    ]
    return Says(200, {"results": results, **more} if "events" in asked.body else results[0])


def problem(status: int, code: str, **headers: str) -> Says:
    """A refusal in Catchment's words."""
    body = {"type": f"urn:catchment:problem:{code}", "title": "T", "status": status, "code": code, "detail": "D"}
    return Says(status, body, tuple((name.replace("_", "-"), value) for name, value in headers.items()))


class Stub:
    """Answers with `answer`, and keeps what it was asked."""

    def __init__(
        self, answer: Callable[[Asked], Says] = stores, *, certificate: tuple[Path, Path] | None = None
    ) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.connections = 0
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                stub.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.path, headers, json.loads(body), len(body))
                stub.asked.append(asked)
                says = stub.answer(asked)
                content = says.body if isinstance(says.body, bytes) else json.dumps(says.body).encode()
                self.send_response(says.status)
                for name, value in says.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.endpoint = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def ids(self) -> list[str]:
        """Of all events that it was sent, in order."""
        return [event_id for asked in self.asked for event_id in asked.ids]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

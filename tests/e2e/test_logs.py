"""The log of a server: JSON lines, and nothing in them that belongs to a visitor."""

from __future__ import annotations

import json
import socket
from importlib.metadata import version

import pytest

from ..support.database import Database
from ..support.running import ORIGIN, Installation, Project, Serving
from ..support.waiting import wait_until

SECRETS = {
    "body": "body-of-the-event",
    "query": "query-of-the-request",
    "page": "query-of-the-page",
    "agent": "agent-of-the-visitor",
    "user": "user-of-the-site",
    "address": "203.0.113.77",
    "address in an event": "198.51.100.88",
    "loopback": "127.0.0.1",
    "header": "header-of-the-request",
}


def event(project: Project, **fields: object) -> dict[str, object]:
    distinctive = {
        "event_data": {"text": SECRETS["body"]},
        "page_title": SECRETS["body"],
        "url": f"{ORIGIN}/?{SECRETS['page']}",
        "userId": SECRETS["user"],
        "userAgent": SECRETS["agent"],
    }
    return project.event(**{**distinctive, **fields})


def send_raw(server: Serving, data: bytes) -> None:
    """Bytes that need be no HTTP, and no waiting for what comes back."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(65536)


@pytest.mark.parametrize("trace", ["false", "true"])
def test_no_line_holds_a_body_a_query_a_key_or_an_address(
    installation: Installation, project: Project, trace: str
) -> None:
    server_key = installation.json("key", "create", project.id, "--kind", "server")["key"]
    settings = {"LOG__LEVEL": "debug", "HTTP__TRUSTED_PROXIES": "127.0.0.0/8", "PLUGINS__TRACE": trace}
    with installation.serving(**settings) as server:
        via = {"X_Forwarded_For": SECRETS["address"], "X_Other": SECRETS["header"]}
        path = f"/v1/events?{SECRETS['query']}=1"
        good = server.post(event(project), path, **via)
        assert good.code == "stored"
        from_back_end = event(project, projectKey=server_key, ip=SECRETS["address in an event"])
        assert server.post(from_back_end, path, **via).code == "stored"
        assert server.post([event(project), 7, event(project, url="javascript:1")], "/v1/batch", **via).status == 200
        for bad in (event(project, event_name=7), event(project, url="https://evil.example/"), project.browser_key):
            assert server.post(bad, path, **via).status in (400, 403)
        assert server.post(event(project, projectKey=project.browser_key[:-1] + "?"), path, **via).status == 401
        assert server.post(SECRETS["body"].encode(), path, **via).status == 400
        assert server.post(b"x" * 100_000 + SECRETS["body"].encode(), path, **via).status == 413
        assert server.ask("GET", f"/{SECRETS['query']}?{SECRETS['query']}", **via).status == 404
        whole = json.dumps(event(project)).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
        send_raw(server, head.encode() + b"9999\r\n\r\n" + whole)
        send_raw(server, head.encode() + b"nonsense\r\n\r\n" + whole)
        send_raw(server, f"{SECRETS['header']}\r\n\r\n".encode())
        send_raw(server, f"GET / HTTP/1.1\r\n{SECRETS['header']}\r\n\r\n".encode())
        # a session that is cut while it stores: the driver's error may hold the statement
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'catchment %'"
        for _ in range(3):
            execute(installation, cut)
            wait_until(lambda: server.post(event(project), path, **via).status == 200, "it is stored again")
        execute(installation, "ALTER FUNCTION catchment.log_events RENAME TO gone")
        assert server.post(event(project), path, **via).status == 503
        execute(installation, "ALTER FUNCTION catchment.gone RENAME TO log_events")
        wait_until(lambda: server.post(event(project), path, **via).status == 200, "it is stored again")
        request_id = good.headers["X-Request-Id"]
        assert request_id
        assert server.stop() == 0
        lines = server.lines()  # every line is JSON
        start = lines.pop(next(n for n, line in enumerate(lines) if "Listening" in line["message"]))
        assert start["message"] == f"Listening on 127.0.0.1:{server.port}, 1 worker(s)"  # its own address
        assert (start["version"], start["settings_file"]) == (version("catchment"), None)
        assert start["database"].startswith("postgresql://")
        assert {"time", "level", "logger", "message"} <= set.intersection(*(set(line) for line in lines))
        assert any(line["level"] == "critical" for line in lines)
        text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
        for what, secret in SECRETS.items():
            assert secret not in text, f"{what}: {[line for line in lines if secret in str(line)][:3]}"
        for key in (project.browser_key, server_key):
            assert key not in text
            assert key[4:] not in text


def execute(installation: Installation, text: str) -> None:
    Database(installation.dsn).execute(text)

"""The website of the tests: pages that a test writes, and the built tracker."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPTS = CHECKOUT / "adapters" / "http" / "tracker" / "scripts"
PACKAGE = CHECKOUT / "clients" / "js"


@dataclass(frozen=True, slots=True)
class Said:
    """What a gateway says itself."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)


Gate = Callable[[str], Said | None]
"""What becomes of a batch, by its body. None: it goes through."""


class _Page(RequestHandler):
    def initialize(self, pages: dict[str, tuple[str, dict[str, str]]]) -> None:
        self._pages = pages

    def get(self, path: str) -> None:
        if path not in self._pages:
            raise HTTPError(404)
        html, headers = self._pages[path]
        self.set_header("Content-Type", "text/html; charset=utf-8")
        for name, value in headers.items():
            self.set_header(name, value)
        self.finish(html)


class _Script(RequestHandler):
    def initialize(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> None:
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.finish((self._folder / name).read_bytes())


class _Stats(RequestHandler):
    """A path of the website's own: a proxy before the server, with a gate."""

    def initialize(self, site: Website) -> None:
        self._site = site

    async def get(self, path: str) -> None:
        await self._pass(path)

    async def post(self, path: str) -> None:
        said = self._site.gate(self.request.body.decode())
        if said is None:
            await self._pass(path)
            return
        self.set_status(said.status)
        for name, value in said.headers.items():
            self.set_header(name, value)
        self.finish(said.body)

    async def _pass(self, path: str) -> None:
        headers = {name: value for name, value in self.request.headers.get_all() if name not in ("Host", "Cookie")}
        answer = await AsyncHTTPClient().fetch(
            f"{self._site.server()}/{path}",
            method=self.request.method or "GET",
            headers=headers,
            body=self.request.body or None,
            decompress_response=False,
            raise_error=False,
        )
        self.set_status(answer.code)
        for name, value in answer.headers.get_all():
            if name not in ("Content-Length", "Transfer-Encoding", "Connection"):
                self.set_header(name, value)
        self.finish(answer.body)


class Website:
    """Pages by path. `localhost` is its allowed origin, and `127.0.0.1` another one."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, dict[str, str]]] = {}
        self.gate: Gate = lambda body: None
        self.server: Callable[[], str] = lambda: ""
        """The address of the server behind `/stats/`."""
        self._server = HTTPServer(
            Application(
                [
                    (r"/(catchment(?:\.plus)?\.js)", _Script, {"folder": SCRIPTS}),
                    (r"/package/((?:src/)?[a-z.]+\.js)", _Script, {"folder": PACKAGE}),
                    (r"/stats/(.*)", _Stats, {"site": self}),
                    (r"(/.*)", _Page, {"pages": self.pages}),
                ],
                log_function=lambda handler: None,
            )
        )
        self._sockets: list[socket.socket] = []

    async def __aenter__(self) -> Website:
        self._sockets = bind_sockets(0, "127.0.0.1")
        self._server.add_sockets(self._sockets)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        await self._server.close_all_connections()

    @property
    def port(self) -> int:
        port: int = self._sockets[0].getsockname()[1]
        return port

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def other_origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def page(self, path: str, tag: str, body: str = "", title: str = "", **headers: str) -> None:
        """A page with the tag in its head. Header names have `_` for `-`."""
        html = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">'
            f"<title>{title or path}</title>{tag}<body>{body}"
        )
        self.pages[path] = (html, {name.replace("_", "-"): value for name, value in headers.items()})

    @staticmethod
    def attributes(options: dict[str, Any]) -> str:
        """`storage="none"` is `data-storage="none"`."""
        return " ".join(f'data-{name.replace("_", "-")}="{value}"' for name, value in options.items())

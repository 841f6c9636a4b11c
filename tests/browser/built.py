"""The pages of tests/browser/frameworks, as a host of static files serves them."""

from __future__ import annotations

import fcntl
import mimetypes
import os
import subprocess
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler

from .site import CHECKOUT

FRAMEWORKS = CHECKOUT / "tests" / "browser" / "frameworks"

SERVER = "https://events.example.com"
"""The collector's address, as the sources have it."""
KEY = "pk_…"
"""The project's key, as the sources have it."""


def build() -> None:
    """Build what has changed, side by side. `make` knows what that is. Only one process builds at a time."""
    with (FRAMEWORKS / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            ["make", "--no-print-directory", f"--jobs={os.cpu_count() or 1}", "frameworks"],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


class _File(RequestHandler):
    def initialize(self, pages: BuiltPages) -> None:
        self._pages = pages

    def get(self, path: str) -> None:
        pages = self._pages
        if path in pages.redirects:
            self.redirect(pages.redirects[path], status=302)
            return
        file = pages.find(path)
        content = file.read_text()
        for written in (KEY, ascii(KEY)[1:-1]):  # a bundler may escape it
            content = content.replace(written, pages.key)
        self.set_header("Content-Type", mimetypes.guess_type(file.name)[0] or "text/html")
        self.finish(content.replace(SERVER, pages.server))


class BuiltPages:
    """A host of the files of one framework, at an origin of its own."""

    def __init__(self) -> None:
        self.folder = FRAMEWORKS
        self.redirects: dict[str, str] = {}
        self.fallback: str | None = None
        """The file for addresses that have none, where a router in the page knows them."""
        self.server = self.key = ""
        self._server = HTTPServer(Application([(r"(/.*)", _File, {"pages": self})], log_function=lambda handler: None))
        self._sockets = bind_sockets(0, "127.0.0.1")

    async def __aenter__(self) -> BuiltPages:
        self._server.add_sockets(self._sockets)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.stop()
        await self._server.close_all_connections()

    @property
    def origin(self) -> str:
        return f"http://localhost:{self._sockets[0].getsockname()[1]}"

    def find(self, path: str) -> Path:
        """Return the file of an address as such hosts do: itself, with `.html`, or the folder's `index.html`."""
        plain = self.folder / path.strip("/")
        for file in (plain, plain.with_name(plain.name + ".html"), plain / "index.html"):
            if file.is_file():
                return file
        if self.fallback is None or plain.suffix:
            raise HTTPError(404)
        return self.folder / self.fallback

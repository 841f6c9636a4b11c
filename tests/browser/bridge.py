"""Firefox for a Playwright that speaks a little more WebDriver BiDi than it: run as a program, it stands between them.

Playwright starts the program, and reads from its output where it listens. What Firefox does not know of `emulation` is
answered as done. The first page of a profile opens in a tab: Playwright asks for a window, which takes Firefox a third
of a test's time. Further pages have windows, so that none is hidden. Everything else goes through as it is.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import sys
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler, websocket_connect

_LISTENING = "WebDriver BiDi listening on "
_LARGEST = 256 * 1024 * 1024
_CHECKOUT = Path(__file__).resolve().parents[2]


def bridged(firefox: str, folder: Path) -> Path:
    """A program that starts Firefox behind a bridge."""
    program = folder / "firefox"
    command = shlex.join([sys.executable, "-m", "tests.browser.bridge", firefox])
    program.write_text(f'#!/bin/sh\nexport PYTHONPATH={shlex.quote(str(_CHECKOUT))}\nexec {command} "$@"\n')
    program.chmod(0o755)
    return program


class _Bridge(WebSocketHandler):
    """One connection of Playwright's, and its own to Firefox."""

    def initialize(self, firefox: str) -> None:
        self._firefox = firefox
        self._methods: dict[int, str] = {}
        self._profiles: set[str | None] = set()

    async def open(self, *path: str) -> None:
        self._there = await websocket_connect(f"{self._firefox}/{path[0]}", max_message_size=_LARGEST)
        self._reading = asyncio.ensure_future(self._read())

    async def on_message(self, message: str | bytes) -> None:
        said = json.loads(message)
        self._methods[said["id"]] = said["method"]
        if said["method"] == "browsingContext.create" and said["params"].get("userContext") not in self._profiles:
            self._profiles.add(said["params"].get("userContext"))
            said["params"]["type"] = "tab"
            message = json.dumps(said)
        await self._there.write_message(message)

    async def _read(self) -> None:
        while (message := await self._there.read_message()) is not None:
            said = json.loads(message)
            method = self._methods.pop(said.get("id"), "")
            if said.get("error") == "unknown command" and method.startswith("emulation."):
                message = json.dumps({"type": "success", "id": said["id"], "result": {}})
            try:
                await self.write_message(message)
            except WebSocketClosedError:
                return
        self.close()

    def on_close(self) -> None:
        self._there.close()


async def main(program: str, *arguments: str) -> int:
    firefox = await asyncio.create_subprocess_exec(program, *arguments, stderr=asyncio.subprocess.PIPE, limit=_LARGEST)
    assert firefox.stderr is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, firefox.terminate)
    while line := (await firefox.stderr.readline()).decode(errors="replace"):
        if line.startswith(_LISTENING):
            application = Application(
                [(r"/(.*)", _Bridge, {"firefox": line.removeprefix(_LISTENING).strip()})],
                websocket_max_message_size=_LARGEST,
            )
            server = HTTPServer(application)
            sockets = bind_sockets(0, "127.0.0.1")
            server.add_sockets(sockets)
            line = f"{_LISTENING}ws://127.0.0.1:{sockets[0].getsockname()[1]}\n"
        print(line, end="", file=sys.stderr, flush=True)
    return await firefox.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))

"""The demo's website: three pages on a port of their own, whose scripts post real events to the collector."""

from __future__ import annotations

import json
import socket
from importlib import resources
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.template import DictLoader
from tornado.web import Application, HTTPError, RequestHandler

PAGES: dict[str, dict[str, Any]] = {
    "/": {
        "title": "Home",
        "heading": "Roasted at high tide.",
        "text": "Small batches, sent the day they are roasted. Look around: what you do here is counted.",
        "buttons": [{"event": "ButtonClick", "label": "See this week's roast", "value": 1}],
    },
    "/beans": {
        "title": "Beans",
        "heading": "Two coffees, this week.",
        "text": "Harbour is dark and round. Lighthouse is bright, with a little citrus.",
        "buttons": [
            {"event": "AddToCart", "label": "Harbour, 250 g", "value": 11.5},
            {"event": "AddToCart", "label": "Lighthouse, 250 g", "value": 12.9},
        ],
    },
    "/club": {
        "title": "Club",
        "heading": "A bag a month.",
        "text": "Join, and the post brings it. Leave whenever you like.",
        "buttons": [{"event": "SignUp", "label": "Join the club", "value": 1}],
    },
}


def _file(name: str) -> str:
    return resources.files(__package__ or "").joinpath("pages", name).read_text(encoding="utf-8")


class _Page(RequestHandler):
    def initialize(self, loader: DictLoader, collector: str, key: str) -> None:
        self._loader, self._collector, self._key = loader, collector, key

    def get(self, path: str) -> None:
        page = PAGES.get(path)
        if page is None:
            raise HTTPError(404)
        self.finish(
            self._loader.load("page.html").generate(
                **page,
                pages=[(where, about["title"]) for where, about in PAGES.items()],
                collector=json.dumps(self._collector),
                key=json.dumps(self._key),
            )
        )


class _File(RequestHandler):
    def initialize(self, text: str, media: str) -> None:
        self._text, self._media = text, media

    def get(self) -> None:
        self.set_header("Content-Type", f"{self._media}; charset=utf-8")
        self.finish(self._text)


class DemoSite:
    """The website, on sockets that are bound already. `collector`: the address its pages post to."""

    def __init__(self, collector: str, key: str, sockets: list[socket.socket]) -> None:
        loader = DictLoader({"page.html": _file("page.html")})
        application = Application(
            [
                (r"/site\.css", _File, {"text": _file("site.css"), "media": "text/css"}),
                (r"/collect\.js", _File, {"text": _file("collect.js"), "media": "text/javascript"}),
                (r"(/.*)", _Page, {"loader": loader, "collector": collector, "key": key}),
            ],
            log_function=lambda handler: None,
        )
        self._server = HTTPServer(application)
        self._sockets = sockets

    def start(self) -> None:
        self._server.add_sockets(self._sockets)

    async def close(self) -> None:
        self._server.stop()
        await self._server.close_all_connections()

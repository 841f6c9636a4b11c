"""The website of the demo: some pages on their own port. They load the tracker's script as any website does."""

from __future__ import annotations

import socket
from importlib import resources
from typing import Any
from urllib.parse import urlencode

from tornado.httpserver import HTTPServer
from tornado.template import DictLoader
from tornado.web import Application, HTTPError, RequestHandler

PAGES: dict[str, dict[str, Any]] = {
    "/": {
        "title": "Home",
        "heading": "Roasted at high tide.",
        "text": "Small batches, sent the day they are roasted. Look around: what you do here is counted.",
        "buttons": [{"event": "ButtonClick", "category": "Shop", "label": "See this week's roast", "value": 1}],
    },
    "/beans": {
        "title": "Beans",
        "heading": "Two coffees, this week.",
        "text": "Harbour is dark and round. Lighthouse is bright, with a little citrus.",
        "buttons": [
            {"event": "AddToCart", "category": "Shop", "label": "Harbour, 250 g", "value": 11.5},
            {"event": "AddToCart", "category": "Shop", "label": "Lighthouse, 250 g", "value": 12.9},
        ],
    },
    "/tour": {
        "title": "Tour",
        "heading": "Once around the roastery.",
        "text": "This page is one document: its stops come and go without a load. Each is a page view all the same.",
        "stops": {
            "sacks": "The sacks come in by boat, in the morning.",
            "drum": "The drum turns for fourteen minutes.",
            "cupping": "Then everybody tastes, and nobody agrees.",
        },
        "buttons": [],
    },
    "/club": {
        "title": "Club",
        "heading": "A bag a month.",
        "text": "Join, and the post brings it. Leave whenever you like.",
        "buttons": [{"event": "SignUp", "category": "Club", "label": "Join the club", "value": 1}],
    },
}
"""A path below one of these is the same page: a stop of the tour."""


def _file(name: str) -> str:
    return resources.files(__package__ or "").joinpath("pages", name).read_text(encoding="utf-8")


class _Page(RequestHandler):
    def initialize(self, loader: DictLoader, collector: str, key: str, tag: str) -> None:
        self._loader, self._collector, self._key, self._tag = loader, collector, key, tag

    def get(self, path: str) -> None:
        where, _, stop = path[1:].partition("/")
        page = PAGES.get(f"/{where}")
        if page is None or (stop and stop not in page.get("stops", ())):
            raise HTTPError(404)
        # A strict policy: no inline code, and only this site and the collector.
        self.set_header(
            "Content-Security-Policy",
            f"default-src 'self'; script-src 'self' {self._collector}; connect-src {self._collector};"
            f" img-src 'self' data: {self._collector}; base-uri 'none'; object-src 'none'",
        )
        self.finish(
            self._loader.load("page.html").generate(
                **{"stops": {}, **page},
                stop=stop,
                pages=[(where, about["title"]) for where, about in PAGES.items()],
                tag=self._tag,
                pixel=f"{self._collector}/v1/pixel.gif?{urlencode({'k': self._key, 'n': 'PageView'})}",
            )
        )


class _File(RequestHandler):
    def initialize(self, text: str, media: str) -> None:
        self._text, self._media = text, media

    def get(self) -> None:
        self.set_header("Content-Type", f"{self._media}; charset=utf-8")
        self.finish(self._text)


class DemoSite:
    """The website, on bound sockets. `collector`: the address to which its pages post; `tag`: the script tag."""

    def __init__(self, collector: str, key: str, tag: str, sockets: list[socket.socket]) -> None:
        loader = DictLoader({"page.html": _file("page.html")})
        application = Application(
            [
                (r"/site\.css", _File, {"text": _file("site.css"), "media": "text/css"}),
                (r"/tour\.js", _File, {"text": _file("tour.js"), "media": "text/javascript"}),
                (r"(/.*)", _Page, {"loader": loader, "collector": collector, "key": key, "tag": tag}),
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

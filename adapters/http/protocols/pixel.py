"""`GET /v1/pixel.gif`: one event in a query string, for mail and for pages without scripts."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any
from urllib.parse import parse_qsl

from catchment.core.collecting.submission import Answer
from catchment.core.limits import Limits
from catchment.core.outcomes import Outcome

from ..answers import OUTCOME, REASON, rate_limit
from ..engine.message import Request, Response
from .decode import decode_exact
from .not_readable import NotReadable
from .wire_protocol import Sent, WireProtocol

GIF = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
"""One pixel that nobody sees."""

PARAMETERS = {
    "k": ("projectKey", "The project's browser key."),
    "n": ("event_name", "What happened, such as `MailOpened`."),
    "u": ("url", "The page's address, of one of the project's origins. Else the Referer header."),
    "t": ("page_title", "The page's title."),
    "r": ("referrer", "Where the visitor came from."),
    "e": ("eventId", "Your own id: a second event with it is a duplicate. Random, or signed."),
    "sid": ("sessionId", "Groups events of one visit."),
    "uid": ("userId", "Your own id of the person."),
}
"""The parameters by name: the field of an event that each fills, and its purpose."""
SIGNATURE = "s"
"""The parameter that is the signature of `e`: HMAC-SHA256, in hexadecimal, under the SHA-256 of a server key."""
DATA = "d."
"""Begins a parameter that is a value of `event_data`."""

_MOST = 200
"""Parameters of a query that are read: more than an event has room for. Each takes time that nobody is charged for."""
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_SERVER_KEY = "sk_"


class Pixel(WireProtocol):
    """One event in a query string. Its answer is the picture, whatever became of the event: the headers tell."""

    paths = ("/v1/pixel.gif",)
    methods = ("GET",)

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.body_bytes = 0

    def answer_at_once(self, request: Request) -> Response | None:
        """Answer `HEAD` with the picture's headers, and store nothing."""
        return _picture() if request.method == "HEAD" else None

    def key(self, request: Request) -> str | None:
        return None  # it is in the query, with the event

    def read(self, request: Request, body: bytes) -> Sent:
        return read_pixel(request.query, request.headers.get("Referer"))

    def write(self, request: Request, answer: Answer) -> Response:
        if answer.refusal is not None:
            outcome, reason = Outcome.REFUSED, str(answer.refusal.reason)
        else:
            outcome, reason = answer.receipts[0].outcome, answer.receipts[0].reason or ""
        return _picture((*rate_limit(answer, request), (OUTCOME, outcome), *(((REASON, reason),) if reason else ())))


def read_pixel(query: str, referer: str | None) -> Sent:
    """Return the event of a query string. Bytes that are not UTF-8 become lone surrogates, which the core replaces. An
    empty parameter counts as missing; of several, the last counts. Unknown parameters, and all after the first 200, are
    not read."""
    text = query.encode("latin-1", "replace").decode("utf-8", "surrogateescape")
    text = "&".join(text.split("&", _MOST)[:_MOST])
    event: dict[str, Any] = {}
    data: dict[str, Any] = {}
    signature = None
    for name, value in parse_qsl(text, errors="surrogateescape"):
        if name in PARAMETERS:
            event[PARAMETERS[name][0]] = value
        elif name == SIGNATURE:
            signature = value
        elif name.startswith(DATA) and name != DATA:
            data[name.removeprefix(DATA)] = _number(value) if name == "d.value" else value
    if data:
        event["event_data"] = data
    if referer:
        event.setdefault("url", referer)
    return Sent([event], _browser_key(event), id_signature=signature)


def _browser_key(event: dict[str, Any]) -> str | None:
    """Return the key, but of a server key only its prefix: a secret in an address is published, and opens nothing."""
    key = event.pop("projectKey", None)
    return key[: len(_SERVER_KEY)] if isinstance(key, str) and key.startswith(_SERVER_KEY) else key


def _number(text: str) -> Any:
    """Return a number if the text is one: `d.value` goes into a column of numbers."""
    try:
        return decode_exact(text) if _NUMBER.fullmatch(text) else text
    except NotReadable:
        return text


def _picture(headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return the picture. Pages that isolate themselves (COEP) may show it, too."""
    return Response(200, GIF, "image/gif", (("Cross-Origin-Resource-Policy", "cross-origin"), *headers))

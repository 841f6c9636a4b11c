"""`GET /v1/pixel.gif`: an event in a query string, for mail and for pages without scripts. Bytes to plain values."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any
from urllib.parse import parse_qsl

from catchment.core.collecting.submission import Answer
from catchment.core.outcomes import Outcome

from ..answers import OUTCOME, REASON
from ..engine.message import Response
from .bodies import Body
from .decode import NotReadable, decode_exact

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
"""By their names in the query: the field of an event that each is, and what it is for."""
SIGNATURE = "s"
"""The parameter that is the signature of `e`: HMAC-SHA256, in hexadecimal, under the SHA-256 of a server key."""
DATA = "d."
"""Begins a parameter that is a value of `event_data`."""

_MOST = 200
"""Parameters of a query that are looked at: more than an event has room for. Each costs time that nobody pays for."""
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_SERVER_KEY = "sk_"


def read_pixel(query: str, referer: str | None) -> Body:
    """The event of a query string. What is not UTF-8 becomes half surrogates, which the core knows what to do with; an
    empty parameter is a missing one, of several the last counts, and others are not looked at, nor are those beyond the
    first 200."""
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
    return Body([event], _browser_key(event), id_signature=signature)


def _browser_key(event: dict[str, Any]) -> str | None:
    """The key, unless it is a secret one: whoever puts that into an address has published it, and it opens nothing."""
    key = event.pop("projectKey", None)
    return key[: len(_SERVER_KEY)] if isinstance(key, str) and key.startswith(_SERVER_KEY) else key


def _number(text: str) -> Any:
    """A number where the text is one: `d.value` goes into a column of numbers."""
    try:
        return decode_exact(text) if _NUMBER.fullmatch(text) else text
    except NotReadable:
        return text


def write_pixel(answer: Answer) -> Response:
    """Return the picture, whatever became of the event: the headers tell."""
    if answer.refusal is not None:
        outcome, reason = Outcome.REFUSED, str(answer.refusal.reason)
    else:
        outcome, reason = answer.receipts[0].outcome, answer.receipts[0].reason or ""
    return picture(((OUTCOME, outcome), *(((REASON, reason),) if reason else ())))


def picture(headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return the picture. Pages that isolate themselves (COEP) may show it, too."""
    return Response(200, GIF, "image/gif", (("Cross-Origin-Resource-Policy", "cross-origin"), *headers))

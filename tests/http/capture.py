"""The example of docs/protocols.md: a foreign wire protocol, whole."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from urllib.parse import parse_qs

from catchment.adapters.http.answers import STATUS_OF
from catchment.adapters.http.engine.message import Cors, Request, Response
from catchment.adapters.http.protocols.decode import decode
from catchment.adapters.http.protocols.not_readable import NotReadable, TooLarge
from catchment.adapters.http.protocols.wire_protocol import Sent, WireProtocol
from catchment.core.collecting.submission import Answer
from catchment.core.limits import Limits
from catchment.core.refusals import Refusal


class Capture(WireProtocol):
    """A form with the field `data`: one event, or a list of them, as JSON in base64. The path names the site."""

    paths = ("/capture/{site}",)
    media_types = ("application/x-www-form-urlencoded",)
    cors = Cors(headers=("content-type",), any_header=False, exposed="Retry-After", max_age=600)
    scheduled = True

    def __init__(self, limits: Limits, keys: Mapping[str, str]) -> None:
        super().__init__(limits)
        self.body_bytes = limits.batch_bytes
        self._keys = keys

    def key(self, request: Request) -> str | None:
        return self._keys.get(request.path.rpartition("/")[2])

    def unwrap(self, request: Request, body: bytes) -> bytes:
        try:
            return b64decode(parse_qs(body.decode(), max_num_fields=10)["data"][0], validate=True)
        except (KeyError, ValueError):
            raise NotReadable("expected a form with the field `data`, in base64") from None

    def read(self, request: Request, body: bytes) -> Sent:
        value = decode(body)
        sent = value if isinstance(value, list) else [value]
        if len(sent) > self.limits.batch_events:
            raise TooLarge(f"more than {self.limits.batch_events} events")
        return Sent([self._event(one, request) for one in sent])

    def _event(self, sent: object, request: Request) -> dict[str, object]:
        if not isinstance(sent, dict):
            raise NotReadable("expected objects with `event`, `uuid` and `properties`")
        properties = sent.get("properties")
        return {
            "event_name": sent.get("event"),
            "eventId": sent.get("uuid"),
            "url": request.headers.get("Referer"),
            "event_data": properties if isinstance(properties, dict) else {},
        }

    def write(self, request: Request, answer: Answer) -> Response:
        if answer.refusal is not None:
            return _refused(answer.refusal)
        for receipt in answer.receipts:
            if receipt.refusal is not None:
                return _refused(receipt.refusal)
        return Response(202)


def _refused(refusal: Refusal) -> Response:
    wait = () if refusal.retry_after is None else (("Retry-After", str(refusal.retry_after)),)
    words = f"{refusal.reason}: {refusal.words}\n"
    return Response(STATUS_OF[refusal.reason], words.encode(), "text/plain; charset=utf-8", wait)

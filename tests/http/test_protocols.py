"""A foreign wire protocol beside the native ones: it reads, answers and is refused in its own way."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest

from catchment.adapters.http.application import Application
from catchment.adapters.http.engine.listening import bind
from catchment.adapters.http.engine.message import Request, Response
from catchment.adapters.http.engine.server import ConnectionLimits, Server
from catchment.adapters.http.protocols.wire_protocol import Sent, WireProtocol
from catchment.adapters.memory.parts import ToldClock
from catchment.adapters.system.rate_limiter import TokenBuckets
from catchment.core.collecting.submission import Answer as Collected
from catchment.core.errors import CommitUnknown, Unavailable
from catchment.core.limits import Limits

from ..support.waiting import eventually
from .capture import Capture
from .serving import ORIGIN, PAGE, SECRET, Answer, MakeSite, Site, request

CHECKOUT = Path(__file__).resolve().parents[2]
SHOP = "/capture/shop"
FORM = "application/x-www-form-urlencoded"
HEADERS = {"Content-Type": FORM, "Referer": PAGE}
NONE: Mapping[str, str] = {}


@asynccontextmanager
async def capturing(site: Site, protocol: type[Capture] | type[Beacon] = Capture) -> AsyncIterator[Application]:
    """Let the site's clients talk to a server that speaks `Capture` as well as the native protocols."""
    foreign = site.protocol_runner.routes([protocol(site.limits, {"shop": site.browser_key})])
    application = Application(
        {**site.http.routes, **foreign},
        clients=site.http.clients,
        clock=site.clock,
        metrics=site.metrics,
        rates=site.protocol_runner.rates,
        receive_bytes=site.receive_bytes,
    )
    sockets = bind("127.0.0.1", 0)
    server = Server(application, sockets, ConnectionLimits())
    server.start()
    port, site.port = site.port, sockets[0].getsockname()[1]
    try:
        yield application
    finally:
        site.port = port
        for wire in site.wires:
            wire.close()
        await server.drain(grace=0.0, at_most=5.0)


def form(*events: object) -> bytes:
    return urlencode({"data": b64encode(json.dumps(events).encode())}).encode()


def event(name: str = "AddToCart", **fields: object) -> dict[str, object]:
    return {"event": name, "properties": {"category": "beans"}, **fields}


async def capture(site: Site, body: bytes, to: str = SHOP, headers: Mapping[str, str] = NONE) -> Answer:
    return await site.ask("POST", to, body, {**HEADERS, **headers})


@pytest.mark.gen_test
@pytest.mark.parametrize("packed", [False, True])
async def test_its_events_are_stored_and_answered_in_its_way(site: Site, packed: bool) -> None:
    body = form(event(uuid="one"), event("Checkout", uuid="two"))
    async with capturing(site):
        if packed:
            answer = await capture(site, gzip.compress(body), headers={"Content-Encoding": "gzip"})
        else:
            answer = await capture(site, body)
        assert (answer.status, answer.body) == (202, b"")
        assert "X-Catchment-Outcome" not in answer.headers
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After"
        metrics = (await site.ask("GET", "/metrics")).body.decode()
    stored = [(one.event_id, one.name, one.category, one.url) for one in site.storage.events]
    assert stored == [("one", "AddToCart", "beans", PAGE), ("two", "Checkout", "beans", PAGE)]
    assert 'catchment_events_total{outcome="stored",reason=""} 2.0' in metrics
    assert 'route="/capture/{site}",status="202"} 1.0' in metrics


@pytest.mark.parametrize(
    ("status", "begins", "to", "body", "headers"),
    [
        (400, "invalid_json: expected a form", SHOP, b"no=data", {}),
        (400, "invalid_json: expected a form", SHOP, b"data=%ff", {}),
        (400, "invalid_json: not JSON", SHOP, urlencode({"data": b64encode(b"{")}).encode(), {}),
        (400, "invalid_event: ", SHOP, form({"event": 7}), {}),
        (401, "missing_key: ", "/capture/nobody", form(event()), {}),
        (403, "origin_not_allowed: ", SHOP, form(event()), {"Referer": "https://other.example/"}),
        (413, "too_large: ", SHOP, b"x" * (Limits().batch_bytes + 1), {}),
        (413, "too_large: ", SHOP, form(*[event()] * 1001), {}),
        (415, "unsupported_media_type: send one of", SHOP, b"{}", {"Content-Type": "text/plain"}),
        (422, "refused_by_plugin: Call it something else.", SHOP, form(event("Forbidden")), {}),
        (503, "commit_unknown: ", SHOP, form(event("Fault")), {}),
    ],
)
@pytest.mark.gen_test
async def test_its_refusals_have_its_own_shape(
    site: Site, status: int, begins: str, to: str, body: bytes, headers: dict[str, str]
) -> None:
    async with capturing(site):
        answer = await capture(site, body, to, headers)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "text/plain; charset=utf-8")
    assert answer.body.decode().startswith(begins), answer.body
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert site.storage.events == []


@pytest.mark.gen_test
async def test_a_key_over_its_rate_is_refused_in_its_way(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.rate_limiter, "wait", 7)
    async with capturing(site):
        answer = await capture(site, form(event()))
    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    assert answer.body.startswith(b"rate_limited: ")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"no=data", {}),
        (b"x", {"Content-Encoding": "gzip"}),
        (b"x", {"Content-Type": "text/plain"}),
        (form({"event": 7}), {}),
        (form(event()), {"Referer": "https://other.example/"}),
        (form(event()), {}),
    ],
)
@pytest.mark.gen_test
async def test_the_address_is_charged_though_the_protocol_does_nothing_for_it(
    make_site: MakeSite, body: bytes, headers: dict[str, str]
) -> None:
    clock = ToldClock()
    limiter = TokenBuckets(rate_per_key=0.0, rate_per_address=1, monotonic=clock.monotonic)
    site = await make_site(clock=clock, rate_limiter=limiter)
    async with capturing(site):
        for _ in range(10):
            assert (await capture(site, body, headers=headers)).status != 429
        answer = await capture(site, body, headers=headers)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    assert answer.body.startswith(b"rate_limited: ")


@pytest.mark.parametrize("failing", [Unavailable("away", retry_after=3), CommitUnknown(retry_after=3)])
@pytest.mark.gen_test
async def test_without_its_database_the_server_refuses_in_its_way(site: Site, failing: Unavailable) -> None:
    site.storage.failing = failing
    async with capturing(site):
        away = await capture(site, form(event()))
        site.storage.failing = None
        back = await capture(site, form(event()))
    assert (away.status, away.headers["Retry-After"]) == (503, "3")
    assert away.body.startswith(b"commit_unknown: " if isinstance(failing, CommitUnknown) else b"unavailable: ")
    assert (back.status, len(site.storage.events)) == (202, 1)


class Beacon(WireProtocol):
    """One event in a query, with its key. It has no body."""

    paths = ("/beacon",)
    methods = ("GET",)

    def __init__(self, limits: Limits, keys: Mapping[str, str]) -> None:
        super().__init__(limits)
        self.body_bytes = 0

    def key(self, request: Request) -> str | None:
        return dict(parse_qsl(request.query)).get("key")

    def read(self, request: Request, body: bytes) -> Sent:
        return Sent([{"event_name": dict(parse_qsl(request.query)).get("name"), "url": PAGE}])

    def write(self, request: Request, answer: Collected) -> Response:
        good = answer.refusal is None and answer.receipts[0].refusal is None
        return Response(200 if good else 400, b'{"ok":1}' if good else b'{"ok":0}')


@pytest.mark.gen_test
async def test_a_protocol_without_bodies_collects_by_get_and_never_by_head(site: Site) -> None:
    target = f"/beacon?{urlencode({'key': site.browser_key, 'name': 'Seen'})}"
    async with capturing(site, Beacon):
        head = await site.ask("HEAD", target)
        assert (head.status, site.storage.events) == (204, [])
        got = await site.ask("GET", target)
        bad = await site.ask("GET", "/beacon?key=pk_nobody&name=Seen")
    assert (got.status, got.body) == (200, b'{"ok":1}')
    assert (bad.status, bad.body) == (400, b'{"ok":0}')
    assert [one.name for one in site.storage.events] == ["Seen"]


class Broken(Capture):
    """Reads, and cannot write."""

    paths = ("/broken/{site}",)

    def write(self, request: Request, answer: Collected) -> Response:
        raise RuntimeError(SECRET)


@pytest.mark.gen_test
async def test_a_protocol_that_cannot_write_leaves_no_sender_without_an_answer(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async with capturing(site, Broken) as application:
        answer = await capture(site, form(event()), "/broken/shop")
        two = await capture(site, form(event(), event()), "/broken/shop")
        assert application.in_flight == 0
    assert (answer.status, answer.json["code"], answer.headers["Retry-After"]) == (503, "commit_unknown", "5")
    # they are stored: the sender learns the ids that make them duplicates
    assert [answer.json["event_id"], *two.json["event_ids"]] == [one.event_id for one in site.storage.events]
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.gen_test
async def test_its_preflight_is_its_own_and_that_of_others_is_not(site: Site) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "traceparent"}
    async with capturing(site):
        own = await site.ask("OPTIONS", SHOP, b"", asked)
        native = await site.ask("OPTIONS", "/v1/events", b"", asked)
    said = [f"Access-Control-{name}" for name in ("Allow-Methods", "Allow-Headers", "Max-Age")]
    assert [own.headers[name] for name in said] == ["POST", "content-type", "600"]
    assert [native.headers[name] for name in said] == [
        "POST",
        "content-type, content-encoding, authorization, traceparent",
        "7200",
    ]


@pytest.mark.gen_test
async def test_a_body_that_comes_too_slowly_is_refused_in_its_way(site: Site) -> None:
    wire_request = request("POST", SHOP, form(event()), list(HEADERS.items()))
    async with capturing(site) as application:
        wire = await site.connect()
        await wire.send(wire_request[:-10])
        await eventually(lambda: application.in_flight == 1, "the request has begun")
        site.clock.advance(timedelta(seconds=21))
        answer = await wire.answer()
    assert (answer.status, answer.headers["Content-Type"]) == (503, "text/plain; charset=utf-8")
    assert answer.body.startswith(b"unavailable: The body did not come in time")


def test_the_documents_show_this_very_protocol() -> None:
    text = (CHECKOUT / "docs" / "protocols.md").read_text(encoding="utf-8")
    code = (CHECKOUT / "tests" / "http" / "capture.py").read_text(encoding="utf-8")
    assert code[code.index("from base64") :] in text

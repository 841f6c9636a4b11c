"""CORS: preflights, and the headers of every answer that a page may read."""

from __future__ import annotations

import pytest

from .serving import ORIGIN, Site, check_common

pytestmark = pytest.mark.gen_test

PLAIN = "content-type, content-encoding, authorization"
TRACED = "authorization,baggage,content-type,sentry-trace,traceparent,tracestate,x-datadog-trace-id,X-B3-TraceId"


@pytest.mark.parametrize("path", ["/v1/events", "/v1/batch", "/v1/pixel.gif", "/v1/events?dry_run=1", "/nowhere", "*"])
@pytest.mark.parametrize(
    ("asked", "more"),
    [
        (None, ""),
        ("", ""),
        ("content-type,content-encoding,authorization", ""),
        (TRACED, ", baggage, sentry-trace, traceparent, tracestate, x-datadog-trace-id, x-b3-traceid"),
        ("Traceparent , CONTENT-TYPE", ", traceparent"),
        ("a b", ""),
        ("traceparent,", ""),
        ("traceparent, <x>", ""),
        ("x-\xe4", ""),
        (",".join(f"x-{number:04}" for number in range(500)), ""),
    ],
)
async def test_a_preflight_allows_whatever_headers_the_page_sends(
    site: Site, path: str, asked: str | None, more: str
) -> None:
    asking = [("Access-Control-Request-Method", "POST")]
    if asked is not None:
        asking.append(("Access-Control-Request-Headers", asked))
    answer = await site.ask("OPTIONS", path, b"", asking)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Methods"] == "POST"
    assert answer.headers["Access-Control-Allow-Headers"] == PLAIN + more
    assert answer.headers["Access-Control-Max-Age"] == "7200"
    assert answer.headers["Vary"].split(", ")[:2] == ["Origin", "Access-Control-Request-Headers"]
    assert not {"Content-Length", "Content-Type", "Access-Control-Allow-Credentials"} & set(answer.headers)
    assert site.projects.asked == 0


@pytest.mark.parametrize(("path", "allowed"), [("/v1/events", "true"), ("/v1/batch", "true"), ("/metrics", None)])
async def test_a_page_of_the_internet_may_post_to_a_server_of_a_private_network(
    site: Site, path: str, allowed: str | None
) -> None:
    answer = await site.ask("OPTIONS", path, b"", {"Access-Control-Request-Private-Network": "true"})
    assert answer.headers.get("Access-Control-Allow-Private-Network") == allowed


async def test_a_preflight_of_a_foreign_origin_is_answered_too(site: Site) -> None:
    answer = await site.ask("OPTIONS", "/v1/events", origin="https://evil.example")
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "https://evil.example"


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "file://", "moz-extension://x", "*", "%s" * 10])
async def test_every_answer_allows_the_origin_that_asked(site: Site, origin: str) -> None:
    for method, path in [("POST", "/v1/events"), ("GET", "/healthz"), ("GET", "/nowhere"), ("PUT", "/v1/batch")]:
        check_common(await site.ask(method, path, origin=origin), origin)


async def test_an_origin_that_no_header_can_hold_is_not_repeated(site: Site) -> None:
    answer = await site.ask("GET", "/healthz", origin="https://\xfc.example")
    check_common(answer, None)

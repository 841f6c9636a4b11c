"""The OpenAPI description says what the code does: its routes, its codes, its bodies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from catchment.adapters.http.answers import STATUS_OF
from catchment.adapters.http.operations.openapi import describe
from catchment.core.event import KNOWN_FIELDS
from catchment.core.limits import Limits
from catchment.core.outcomes import Outcome, WarningCode
from catchment.core.refusals import Reason

from .serving import ORIGIN, Answer, Site

DESCRIPTION: dict[str, Any] = describe(Limits(), "1.2.3", "https://collect.example")
TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}
WORDS_OF_SCHEMA = {
    "$ref",
    "additionalProperties",
    "anyOf",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "minLength",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "type",
}


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema itself, where it is a reference."""
    if "$ref" not in schema:
        return schema
    found: Any = DESCRIPTION
    start, *names = schema["$ref"].split("/")
    assert start == "#"
    for name in names:
        found = found[name]
    return resolve(found)


def faults(value: object, schema: dict[str, Any], path: str = "$") -> Iterator[str]:
    """How a value differs from its schema. A member that the schema does not name is one, unless it is a free
    object."""
    schema = resolve(schema)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(
        isinstance(value, TYPES[kind]) and not (kind != "boolean" and isinstance(value, bool)) for kind in kinds
    ):
        yield f"{path}: {value!r} is not {kinds}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is not of {schema['enum']}"
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from faults(item, schema["items"], f"{path}[{number}]")
    if isinstance(value, dict) and "properties" in schema:
        yield from (f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value)
        for name, item in value.items():
            if name in schema["properties"]:
                yield from faults(item, schema["properties"][name], f"{path}.{name}")
            else:
                yield f"{path}.{name} is not described"


def schemas(value: object) -> Iterator[dict[str, Any]]:
    """Every schema in a part of the description, those within others too."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name == "schema" or (name == "items" and isinstance(item, dict)):
                yield item
            elif name in ("schemas", "properties") and isinstance(item, dict):
                yield from item.values()
            elif name == "oneOf":
                yield from item
            yield from schemas(item)
    elif isinstance(value, list):
        for item in value:
            yield from schemas(item)


def test_it_is_a_description_of_version_3_1() -> None:
    assert re.fullmatch(r"3\.1\.\d+", DESCRIPTION["openapi"])
    assert DESCRIPTION["info"]["title"]
    assert DESCRIPTION["info"]["version"] == "1.2.3"
    assert DESCRIPTION["servers"] == [{"url": "https://collect.example"}]
    assert set(DESCRIPTION) <= {"openapi", "info", "servers", "paths", "components"}
    for path in DESCRIPTION["paths"].values():
        for operation in path.values():
            assert operation["summary"]
            for status, response in operation["responses"].items():
                assert re.fullmatch(r"[1-5]\d\d", status)
                assert isinstance(response["description"], str)
                assert response["description"]
            for parameter in operation.get("parameters", ()):
                assert {"name", "in", "schema"} <= set(parameter)
            for requirement in operation.get("security", ()):
                assert set(requirement) <= set(DESCRIPTION["components"]["securitySchemes"])


def test_every_schema_is_one_and_every_reference_leads_somewhere() -> None:
    found = list(schemas(DESCRIPTION))
    assert len(found) > 20
    for schema in found:
        assert set(schema) <= WORDS_OF_SCHEMA, schema
        kinds = schema.get("type", [])
        assert {kinds} if isinstance(kinds, str) else set(kinds) <= set(TYPES)
        assert resolve(schema)
        assert set(schema.get("required", ())) <= set(schema.get("properties", schema.get("required", ())))


def test_every_route_is_described_and_nothing_else() -> None:
    described = {path: {method.upper() for method in methods} for path, methods in DESCRIPTION["paths"].items()}
    assert described == {path: set(methods) for path, methods in Site().http.routes.items()}


@pytest.mark.parametrize("path", ["/v1/events", "/v1/batch"])
def test_every_code_of_the_collecting_routes_is_described(path: str) -> None:
    responses = DESCRIPTION["paths"][path]["post"]["responses"]
    for reason, status in STATUS_OF.items():
        if status in (404, 405):
            continue
        assert str(status) in responses
        if status != 200:
            assert f"`{reason}`" in responses[str(status)]["description"]
            assert set(responses[str(status)]["content"]) == {"application/problem+json"}


def test_the_closed_lists_are_those_of_the_core() -> None:
    parts = DESCRIPTION["components"]["schemas"]
    assert set(parts["Problem"]["properties"]["code"]["enum"]) == set(Reason)
    assert set(parts["Warning"]["properties"]["code"]["enum"]) == set(WarningCode)
    assert set(parts["Result"]["properties"]["outcome"]["enum"]) == set(Outcome)


def test_the_event_s_fields_and_limits_are_those_of_the_core() -> None:
    event = DESCRIPTION["components"]["schemas"]["Event"]
    assert set(event["properties"]) == KNOWN_FIELDS
    assert event["required"] == ["event_name"]
    limits = {name: field["maxLength"] for name, field in event["properties"].items() if "maxLength" in field}
    assert limits == {"event_name": 120, "eventId": 64, "url": 2048}
    changed = describe(Limits.of({"event_name": 7, "batch_events": 3}), "1", "http://x")["components"]["schemas"]
    assert changed["Event"]["properties"]["event_name"]["maxLength"] == 7
    assert "maxItems': 3" in str(changed["Batch"])


@pytest.mark.gen_test
async def test_it_is_served_to_everybody(site: Site) -> None:
    answer = await site.ask("GET", "/openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json == DESCRIPTION


async def every_kind_of_answer(site: Site) -> list[tuple[str, str, Answer]]:
    """One of each: method, path, answer."""
    from catchment.core.errors import Unavailable

    found = []
    await site.limit(3)
    good, key = site.event(eventId="e", colour="red"), site.browser_key
    events = [good, good, site.event(event_name=""), site.event(event_name="Forbidden"), site.event(event_name="Noise")]
    events += [site.event(projectKey=None), site.event(url="https://evil.example/")]
    for event in events:
        for query in ("", "?dry_run=1"):
            found.append(("post", "/v1/events", await site.post(event, f"/v1/events{query}")))
    for query in ("", "?dry_run=1"):
        batch = {"projectKey": key, "sentAt": "soon", "events": [*events, 7, site.event(), site.event(), site.event()]}
        found.append(("post", "/v1/batch", await site.batch(batch)))
        found.append(("post", "/v1/batch", await site.post(batch, f"/v1/batch{query}")))
    for report in ({"id": "r", "counts": {"expired": 1, "B": 1}}, 7):
        sent = {"projectKey": key, "events": [], "losses": report}
        found.append(("post", "/v1/batch", await site.batch(sent)))
        found.append(("post", "/v1/batch", await site.post(sent, "/v1/batch?dry_run=1")))
    found.append(("get", "/v1/pixel.gif", await site.ask("GET", "/v1/pixel.gif")))
    for name in ("catchment", "catchment.plus"):
        found.append(("get", f"/{name}.js", await site.ask("GET", f"/{name}.js")))
        found.append(("get", f"/{name}.{{version}}.js", await site.ask("GET", f"/{name}.{'0' * 16}.js")))
    found.append(("post", "/v1/events", await site.post(b"x", Content_Type="text/html")))
    site.storage.failing = Unavailable()
    found.append(("post", "/v1/events", await site.post(good)))
    found.append(("post", "/v1/batch", await site.batch(events)))
    found.append(("get", "/catchment.{version}.js", await site.ask("GET", f"/catchment.{'1' * 16}.js")))
    for path in ("/healthz", "/readyz", "/openapi.json", "/metrics"):
        found.append(("get", path, await site.ask("GET", path)))
    return found


@pytest.mark.gen_test
async def test_answers_are_as_described(site: Site) -> None:
    for method, path, answer in await every_kind_of_answer(site):
        described = DESCRIPTION["paths"][path][method]["responses"][str(answer.status)]["content"]
        media = answer.headers["Content-Type"].partition(";")[0]
        assert media in described
        if media.endswith("json"):
            assert list(faults(answer.json, described[media]["schema"])) == []


@pytest.mark.gen_test
async def test_the_example_of_the_documentation_is_as_described(site: Site) -> None:
    example = {
        "projectKey": site.browser_key,
        "event_name": "ButtonClick",
        "event_data": {"category": "CTA", "label": "Homepage Hero", "value": 1, "custom_field": "custom value"},
        "url": f"{ORIGIN}/page",
        "page_title": "Home",
        "page_path": "/",
        "referrer": "https://referrer.com/",
        "userAgent": "Mozilla/5.0 …",
        "sessionId": "…",
        "userId": "…",
        "eventId": "…",
        "timestamp": "2026-11-02T11:59:12.000Z",
    }
    assert list(faults(example, DESCRIPTION["components"]["schemas"]["Event"])) == []
    answer = await site.post(example)
    assert (answer.status, answer.json["warnings"]) == (200, [])

"""The server against its own description (`/openapi.json`), by schemathesis: what it is sent is made from the
description, both as it says and against it, and every answer must be one that is described."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..support.database import Server
from .serving import PAGE, AuditedCollector, collector
from .wire import request

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "positive_data_acceptance",
    "unsupported_method",
    "allow_header_conformance",
)
"""What is against the description may be taken all the same (much is mended, with a warning): that is no check here."""
EXAMPLES = 15
SEED = "1"
_HANGS = 600.0


@pytest.fixture(scope="module")
def described(embedded_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedCollector]:
    """A server of its own: what schemathesis is told was stored is not told to us."""
    folder = tmp_path_factory.mktemp("described")
    with embedded_server.copy() as database, collector(database, folder) as described:
        yield described


@pytest.fixture(scope="module")
def description(described: AuditedCollector) -> dict[str, Any]:
    with described.wire() as wire:
        wire.send(request("/openapi.json", method="GET"))
        answer = wire.answer()
    assert answer is not None
    assert answer.status == 200
    document: dict[str, Any] = answer.json
    return document


def for_this_project(description: dict[str, Any], key: str) -> dict[str, Any]:
    """The description as somebody reads it who has a key, and knows the project's origins."""
    document: dict[str, Any] = json.loads(json.dumps(description))
    event = document["components"]["schemas"]["Event"]
    event["properties"]["url"] = {"enum": [PAGE, "https://a.wild.example/", "http://localhost:3000/a?b=c#d"]}
    event["properties"]["projectKey"] = {"enum": [key]}
    event["required"] = ["event_name", "url"]
    return document


@pytest.mark.parametrize(("kind", "phases"), [("browser", "examples,coverage"), ("server", "fuzzing")])
def test_every_answer_is_described(
    described: AuditedCollector, description: dict[str, Any], kind: str, phases: str, tmp_path: Path
) -> None:
    """Each phase once, and each kind of key once: the answers depend on what is sent far more than on the key."""
    key = described.server_key if kind == "server" else described.browser_key
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(for_this_project(description, key)), encoding="utf-8")
    before = described.database.one("SELECT count(*) FROM catchment.event")
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(document)]
    options = {
        "--url": described.address,
        "--header": f"Authorization: Bearer {key}",
        "--checks": ",".join(CHECKS),
        "--phases": phases,
        "--max-examples": str(EXAMPLES),
        "--seed": SEED,
    }
    done = subprocess.run(
        [*command, "--continue-on-failure", *(word for option in options.items() for word in option)],
        cwd=tmp_path,
        env={**os.environ, "NO_PROXY": "*", "no_proxy": "*", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=_HANGS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert described.database.one("SELECT count(*) FROM catchment.event") > before, "nothing that it sent was stored"


def test_after_all_of_it_the_books_are_right(described: AuditedCollector) -> None:
    described.check_log()
    described.check_books(all_are_known=False)


def test_a_field_that_is_not_described_is_allowed(description: dict[str, Any]) -> None:
    """It is left out with a warning, and nothing is refused for it."""
    event = description["components"]["schemas"]["Event"]
    assert event.get("additionalProperties", True) is not False


def test_every_status_that_says_to_wait_is_described_with_how_long(description: dict[str, Any]) -> None:
    for path in ("/v1/events", "/v1/batch"):
        responses = description["paths"][path]["post"]["responses"]
        for status in ("429", "503"):
            assert "Retry-After" in responses[status]["headers"]

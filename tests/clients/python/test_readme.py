"""The README's examples are run: those that need nothing but the client, against a server that stores everything."""

from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from catchment_client import AsyncClient, Client, Options
from catchment_client._losses import CLOSED, EXPIRED, GAVE_UP, INVALID, QUEUE_FULL, TOO_LARGE

from .conftest import KEY
from .stub import Stub

README = (Path(__file__).resolve().parents[3] / "clients" / "python" / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
FRAMEWORKS = ("django", "flask", "celery", "CATCHMENT_ENDPOINT")


def test_every_example_is_python() -> None:
    assert len(EXAMPLES) >= 10
    for example in EXAMPLES:
        ast.parse(example)


def test_the_examples_do_what_they_say(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CATCHMENT_KEY", KEY)
    names: dict[str, Any] = {}
    clients: list[Client] = []
    for example in EXAMPLES:
        if any(word in example for word in FRAMEWORKS):
            continue
        exec(example.replace("https://events.example.com", stub.endpoint), names)  # noqa: S102
        clients.append(names["client"])
    names["test_an_invoice_is_tracked"]()
    asyncio.run(names["main"]())
    for client in clients:
        client.close()
    said = [event["event_name"] for asked in stub.asked for event in asked.body.get("events", [asked.body])]
    assert sorted(said) == ["Invoice", "Invoice", "Invoice", "SignUp", "SignUp"]
    assert "stored" in capsys.readouterr().out
    assert AsyncClient is names["AsyncClient"]


def test_every_option_and_every_loss_is_in_it() -> None:
    options = README.partition("## Options")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([a-z_]+)`", options)) - {"close", "https_proxy", "http_proxy", "no_proxy"} == set(
        Options.__annotations__
    )
    reasons = README.partition("| reason | meaning | told by |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", reasons, re.MULTILINE) == [
        QUEUE_FULL,
        TOO_LARGE,
        EXPIRED,
        GAVE_UP,
        CLOSED,
        INVALID,
    ]

"""A fault of ours: the sender gets a code it can act on, and no log gets the error's text."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from .serving import SECRET, Site, check_common, check_problem, check_receipt, request

pytestmark = pytest.mark.gen_test


@pytest.mark.parametrize("path", ["/v1/events", "/v1/batch"])
async def test_a_fault_is_answered_503_readably_and_the_next_event_is_stored(
    site: Site, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        event = site.event(event_name="Fault", page_title=SECRET, eventId="e-1")
        answer = await site.post(event if path == "/v1/events" else [event], path)
    ids = "event_id" if path == "/v1/events" else "event_ids"
    problem = check_problem(answer, 503, "commit_unknown", ids)
    assert problem[ids] == ("e-1" if path == "/v1/events" else ["e-1"])
    assert SECRET not in answer.body.decode()
    assert problem["request_id"] in caplog.text
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text
    assert site.browser_key not in caplog.text
    check_receipt(await site.post(site.event()), "stored")
    assert site.application.in_flight == 0


@pytest.mark.parametrize("path", ["/readyz", "/metrics"])
async def test_a_fault_elsewhere_is_answered_too(site: Site, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> Any:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(site, "ready", None)
    monkeypatch.setattr(site.metrics, "text", broken)
    answer = await site.ask("GET", path)
    check_common(answer)
    assert answer.status == 503
    assert SECRET not in answer.body.decode()


async def test_a_failing_log_of_a_request_leaves_no_task_behind(site: Site) -> None:
    await asyncio.gather(*(site.post(site.event(event_name="Fault")) for _ in range(5)))
    assert site.application.tasks == set()


async def test_a_plugin_that_cancels_its_request_costs_that_request_alone_and_it_is_answered(site: Site) -> None:
    site.sink.gate.clear()  # so that the request waits, which is when it is cancelled
    answer = await site.post(site.event(event_name="Cancel", eventId="e-1"))
    site.sink.gate.set()
    assert check_problem(answer, 503, "commit_unknown", "event_id")["event_id"] == "e-1"
    check_receipt(await site.post(site.event()), "stored")
    assert site.application.in_flight == 0


async def test_a_request_that_nothing_answers_ends_its_connection(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def cancelled(*arguments: object) -> Any:
        raise asyncio.CancelledError

    monkeypatch.setattr(type(site.application), "respond", cancelled)
    wire = await site.connect()
    await wire.send(request("GET", "/healthz"))
    assert await wire.ended()
    assert site.application.in_flight == 0

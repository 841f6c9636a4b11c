"""Reports of client losses, beside the events of a batch."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from catchment.adapters.postgres.errors import DatabaseError, Failure
from catchment.core.errors import Unavailable

from ..support.waiting import eventually
from .serving import SECRET, STORED, Answer, MakeSite, Site, check_batch, check_problem, networks, refused

pytestmark = pytest.mark.gen_test


def envelope(site: Site, *events: object, losses: object = None, **members: object) -> dict[str, Any]:
    """A batch as the tracker posts it."""
    report = {"id": "r-1", "counts": {"queue_full": 3}} if losses is None else losses
    return {"projectKey": site.browser_key, "events": list(events), "losses": report, **members}


async def post(site: Site, *events: object, losses: object = None, **headers: str) -> Answer:
    return await site.batch(envelope(site, *events, losses=losses), Content_Type="text/plain", **headers)


def told(answer: Answer, *outcomes: tuple[str, str | None], losses: str | None) -> list[dict[str, Any]]:
    """The answer's results, and what it says of the losses. Returns its warnings."""
    body = answer.json
    assert body.pop("losses", None) == losses
    warnings: list[dict[str, Any]] = body.pop("warnings", [])
    check_batch(Answer(answer.status, answer.headers, json.dumps(body).encode()), *outcomes)
    return warnings


async def metrics(site: Site) -> dict[str, float]:
    lines = (await site.ask("GET", "/metrics")).body.decode().splitlines()
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith(("catchment_loss_reports_total", "catchment_client_losses_total"))
    }


def lost(site: Site) -> dict[str, int]:
    return {reason: events for (_, _, reason), events in site.storage.losses.items()}


async def test_a_report_is_recorded_with_the_events_it_comes_with(site: Site) -> None:
    good, bad = site.event(), site.event(event_name="")
    answer = await post(site, good, bad)
    assert told(answer, STORED, refused("invalid_event"), losses="recorded") == []
    assert lost(site) == {"queue_full": 3}


async def test_sent_again_it_is_recorded_still_and_counted_once(site: Site) -> None:
    for _ in range(3):
        told(await post(site, site.event()), STORED, losses="recorded")
    assert lost(site) == {"queue_full": 3}
    assert await metrics(site) == {
        'catchment_loss_reports_total{outcome="recorded"}': 3.0,
        'catchment_client_losses_total{reason="queue_full"}': 3.0,
    }


async def test_it_needs_no_event(site: Site) -> None:
    told(await post(site), losses="recorded")
    assert lost(site) == {"queue_full": 3}


async def test_a_batch_without_one_says_nothing_of_it(site: Site) -> None:
    for losses in ({}, {"losses": None}):
        answer = await site.batch({"projectKey": site.browser_key, "events": [site.event()], **losses})
        check_batch(answer, STORED)


async def test_what_is_left_out_of_it_is_said(site: Site) -> None:
    report = {"id": "r", "counts": {"Bad Reason": 1, "expired": 2}}
    warnings = told(await post(site, site.event(), losses=report), STORED, losses="recorded")
    assert [(w["code"], w["field"]) for w in warnings] == [("dropped", "losses.counts.Bad Reason")]
    assert lost(site) == {"expired": 2}


@pytest.mark.parametrize(
    "report", ["x", [], 7, {"id": 7, "counts": {}}, {"counts": {"expired": 1}}, {"id": "r"}], ids=str
)
async def test_one_that_can_t_be_read_is_refused_and_costs_no_event(site: Site, report: object) -> None:
    assert told(await post(site, site.event(), losses=report), STORED, losses="refused") != []
    assert lost(site) == {}
    assert await metrics(site) == {'catchment_loss_reports_total{outcome="refused"}': 1.0}


async def test_a_request_that_is_refused_as_a_whole_reports_nothing(site: Site) -> None:
    foreign = await post(site, site.event(), Origin="https://evil.example")
    assert (foreign.status, foreign.json["code"]) == (403, "origin_not_allowed")
    unknown = {**envelope(site), "projectKey": "pk_x"}
    check_problem(await site.batch(unknown), 401, "unknown_key")
    check_problem(await site.batch({"events": [], "losses": envelope(site)["losses"]}), 401, "missing_key")
    site.rate_limiter.wait = 3
    check_problem(await post(site), 429, "rate_limited")
    assert lost(site) == {}


async def test_with_a_browser_key_and_no_origin_it_takes_an_event_that_passed(site: Site) -> None:
    foreign, good = site.event(url="https://evil.example/"), site.event()
    for events, outcome in (((), "refused"), ((foreign,), "refused"), ((foreign, good), "recorded")):
        answer = await post(site, *events, Origin="")
        assert (answer.status, answer.json["losses"]) == (200, outcome)
        assert ("warnings" in answer.json) is (outcome == "refused")
    assert lost(site) == {"queue_full": 3}


async def test_a_server_key_may_report_too(site: Site) -> None:
    sent = {"events": [], "losses": {"id": "r", "counts": {"disk_full": 1}}}
    answer = await site.batch(sent, Authorization=f"Bearer {site.server_key}", Origin="")
    assert answer.json["losses"] == "recorded"
    assert await metrics(site) == {
        'catchment_loss_reports_total{outcome="recorded"}': 1.0,
        'catchment_client_losses_total{reason="other"}': 1.0,
    }


async def test_a_dry_run_records_nothing(site: Site) -> None:
    answer = await site.post(envelope(site, site.event()), "/v1/batch?dry_run=1")
    assert answer.json["losses"] == "dry_run"
    assert lost(site) == {}


@pytest.mark.parametrize(
    "error",
    [Unavailable("away"), DatabaseError(Failure.HOLD, "42883", "record_losses"), RuntimeError(SECRET)],
    ids=repr,
)
async def test_a_failure_is_told_logged_without_data_and_changes_no_outcome(
    site: Site, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    site.losses.failing = error
    report = {"id": SECRET, "counts": {"secret_word": 1}}
    told(await post(site, site.event(eventId="e"), losses=report), STORED, losses=None)
    assert len(caplog.records) == 1
    assert SECRET not in caplog.text
    assert "secret_word" not in caplog.text
    assert await metrics(site) == {'catchment_loss_reports_total{outcome="unavailable"}': 1.0}
    site.losses.failing = None
    told(await post(site, site.event(eventId="e"), losses=report), ("duplicate", None), losses="recorded")
    assert lost(site) == {"secret_word": 1}


async def test_lines_and_bare_arrays_have_no_place_for_it(site: Site) -> None:
    answer = await site.batch([{**site.event(), "losses": {"id": "r", "counts": {"expired": 1}}}])
    (result,) = check_batch(answer, STORED)
    assert [(w["code"], w["field"]) for w in result["warnings"]] == [("unknown_field", "losses")]


async def test_reports_of_one_address_do_not_keep_those_of_others_waiting(make_site: MakeSite) -> None:
    site = await make_site(trusted=networks("127.0.0.0/8"))
    gate, being_recorded, record = asyncio.Event(), [], site.losses.record

    async def slow(*values: Any, **named: Any) -> Any:
        being_recorded.append(values)
        await gate.wait()
        return await record(*values, **named)

    site.losses.record = slow  # type: ignore[method-assign]

    async def report(number: int, address: str) -> Answer:
        losses = {"id": f"r-{number}", "counts": {"expired": 1}}
        return await post(site, site.event(), losses=losses, X_Forwarded_For=address)

    asked = [asyncio.ensure_future(report(number, "1.1.1.1")) for number in range(4)]
    await eventually(lambda: len(being_recorded) == 4, "four are being recorded")
    told(await report(4, "1.1.1.1"), STORED, losses=None)  # stored; the report is to come again
    asked.append(asyncio.ensure_future(report(5, "2.2.2.2")))
    await eventually(lambda: len(being_recorded) == 5, "another address's is being recorded")
    gate.set()
    for answer in await asyncio.gather(*asked):
        told(answer, STORED, losses="recorded")
    told(await report(4, "1.1.1.1"), STORED, losses="recorded")
    assert lost(site) == {"expired": 6}

"""Batches: their three shapes, their limits, their key, their clock."""

from __future__ import annotations

import asyncio
import json
import weakref
from datetime import UTC, datetime

import pytest

from catchment.core.collecting.submission import Submission
from catchment.core.project import KeyKind

from ..support.waiting import eventually
from .serving import ORIGIN, STORED, Site, check_batch, check_problem, refused

pytestmark = pytest.mark.gen_test
NDJSON = "application/x-ndjson"
FOREIGN = "https://evil.example/"


class Mark:
    """Something that is seen to go away."""


def lines(*events: object) -> bytes:
    return b"\n".join(event if isinstance(event, bytes) else json.dumps(event).encode() for event in events)


async def test_an_array_is_a_batch(site: Site) -> None:
    results = check_batch(await site.batch([site.event(eventId="a"), site.event(eventId="b")]), STORED, STORED)
    assert [result["event_id"] for result in results] == ["a", "b"]
    assert [event.event_id for event in site.storage.events] == ["a", "b"]


async def test_an_envelope_is_a_batch_whose_events_need_no_key(site: Site) -> None:
    envelope = {"projectKey": site.browser_key, "events": [site.event(projectKey=None), site.event()]}
    check_batch(await site.batch(envelope), STORED, STORED)


async def test_lines_are_a_batch_and_a_bad_one_costs_itself_alone(site: Site) -> None:
    body = lines(site.event(eventId="a"), b"{not json", b"", b"  \r", site.event(eventId="c"), b"[]")
    answer = await site.batch(body, Content_Type=NDJSON)
    results = check_batch(answer, STORED, refused("invalid_json"), STORED, refused("invalid_event"))
    assert results[1]["event_id"] is None
    assert "not json" not in answer.body.decode()


async def test_a_field_that_no_envelope_has_is_named(site: Site) -> None:
    """A clock that is not corrected, for example: nothing else would say so."""
    envelope = {"projectKey": site.browser_key, "events": [site.event()], "sent_at": "2026-11-02T12:00:00Z", "x\0": 1}
    answer = await site.batch(envelope)
    assert (answer.status, answer.json["stored"]) == (200, 1)
    assert [(w["code"], w["field"], w["detail"]) for w in answer.json["warnings"]] == [
        ("unknown_field", "sent_at", "did you mean sentAt?"),
        ("unknown_field", "x\ufffd", "not a field of a batch; it was left out"),
    ]
    many = await site.batch({**envelope, **{f"unknown {n}": n for n in range(1000)}})
    assert len(many.json["warnings"]) == 50


async def test_the_key_is_that_of_the_first_event_that_can_be_read(site: Site) -> None:
    body = lines(b"{not json", b"7", site.event(), site.event(projectKey="pk_other"))
    answer = await site.batch(body, Content_Type=NDJSON)
    check_batch(answer, refused("invalid_json"), refused("invalid_event"), STORED, refused("invalid_event"))


@pytest.mark.parametrize("media", [NDJSON, "application/ndjson", "application/jsonl"])
async def test_lines_may_end_as_windows_ends_them_and_have_three_media_types(site: Site, media: str) -> None:
    body = lines(site.event(), site.event()).replace(b"\n", b"\r\n") + b"\r\n"
    check_batch(await site.batch(body, Content_Type=media), STORED, STORED)


@pytest.mark.parametrize("media", ["text/plain", "text/plain;charset=UTF-8", 'application/json; charset="utf-8"'])
async def test_a_batch_may_come_as_text_that_needs_no_preflight(site: Site, media: str) -> None:
    check_batch(await site.batch([site.event()], Content_Type=media), STORED)


async def test_one_event_as_lines_is_not_read(site: Site) -> None:
    check_problem(await site.post(site.event(), Content_Type=NDJSON), 415, "unsupported_media_type")


async def test_each_event_of_a_batch_has_its_own_outcome(site: Site) -> None:
    await site.limit(2)
    batch = [
        site.event(eventId="a"),
        site.event(eventId="a"),
        site.event(url=FOREIGN),
        site.event(event_name=None),
        site.event(event_name="Forbidden"),
        site.event(event_name="Noise"),
        7,
        site.event(eventId="h"),
        site.event(eventId="i"),
    ]
    results = check_batch(
        await site.batch(batch),
        STORED,
        ("duplicate", None),
        refused("origin_not_allowed"),
        refused("invalid_event"),
        refused("refused_by_plugin"),
        ("filtered", "plugin:example:noise"),
        refused("invalid_event"),
        STORED,
        refused("quota_exceeded"),
    )
    assert set(results[3]["errors"]) == {"event_name"}
    assert results[4]["plugin_code"] == "forbidden_name"
    assert results[8]["event_id"] == "i"
    assert [event.event_id for event in site.storage.events] == ["a", "h"]


async def test_a_batch_of_which_all_are_refused_is_answered_200(site: Site) -> None:
    answer = await site.batch([site.event(url=FOREIGN)] * 3)
    check_batch(answer, *[refused("origin_not_allowed")] * 3)


async def test_a_foreign_origin_refuses_a_batch_as_a_whole(site: Site) -> None:
    answer = await site.batch([site.event()], Origin="https://evil.example")
    assert (answer.status, answer.json["code"]) == (403, "origin_not_allowed")
    assert site.storage.events == []


async def test_a_rate_limited_batch_is_refused_as_a_whole(site: Site) -> None:
    site.rate_limiter.wait = 1
    check_problem(await site.batch([site.event()]), 429, "rate_limited")


@pytest.mark.parametrize("body", ["null", "7", '"events"', "{}", '{"events": {}}', '{"events": null}', "[1", "", " "])
async def test_a_batch_of_another_shape_is_invalid_json(site: Site, body: str) -> None:
    check_problem(await site.batch(body.encode()), 400, "invalid_json")


async def test_an_empty_batch_has_no_key(site: Site) -> None:
    check_problem(await site.batch([]), 401, "missing_key")


async def test_an_empty_batch_with_a_key_is_answered(site: Site) -> None:
    check_batch(await site.batch({"projectKey": site.browser_key, "events": []}))


# limits


async def test_an_event_that_is_nested_too_deep_is_refused_alone(site: Site) -> None:
    good, deep = site.event(eventId="good"), site.event(eventId="deep", event_data={"v": 0})
    body = json.dumps([deep, good]).replace('"v": 0', '"v": ' + "[" * 65 + "]" * 65)
    check_batch(await site.batch(body.encode()), refused("invalid_json"), ("stored", None))


async def test_the_warnings_of_a_batch_are_bounded(site: Site) -> None:
    batch = [site.event(**{f"odd{n}": n for n in range(30)}) for _ in range(100)]
    answer = await site.batch(batch)
    results = check_batch(answer, *[("stored", None)] * 100)
    assert [len(result["warnings"]) for result in results[:2]] == [30, 30]
    assert sum(len(result["warnings"]) for result in results) == 1000


async def test_the_errors_of_a_batch_are_bounded(site: Site) -> None:
    """Five kilobytes of gzip were answered with thirty megabytes."""
    data = {"v" * 90 + str(n): 0 for n in range(50)}
    out_of_range = json.dumps(site.event(event_data=data)).replace(": 0", ": 1e999")
    answer = await site.batch(b"[" + b",".join([out_of_range.encode()] * 200) + b"]")
    results = check_batch(answer, *[refused("invalid_event")] * 200)
    errors = [sum(map(len, result["errors"].values())) for result in results]
    assert errors[:20] == [50] * 20
    assert errors[20:] == [1] * 180
    assert results[0]["detail"].endswith("; and 45 more")
    assert len(answer.body) < 500_000


async def test_what_waits_for_the_database_is_not_what_came(site: Site) -> None:
    """Unknown fields, which are not stored, would be kept in memory as long as the database stalls."""
    site.sink.gate.clear()
    marks = [Mark() for _ in range(3)]
    submission = Submission(
        payloads=[site.event(odd=mark) for mark in marks],
        key=site.browser_key,
        origin=ORIGIN,
        received_at=site.clock.now(),
        deadline=site.clock.monotonic() + 5,
    )
    kept = [weakref.ref(mark) for mark in marks]
    del marks
    task = asyncio.ensure_future(site.protocol_runner._collect(submission))
    await eventually(lambda: site.sink.waiting, "they wait to be stored")
    assert submission.payloads == [None] * 3
    assert [mark() for mark in kept] == [None] * 3
    site.sink.gate.set()
    assert {receipt.outcome for receipt in (await task).receipts} == {"stored"}


async def test_a_thousand_events_are_taken(site: Site) -> None:
    check_batch(await site.batch([site.event()] * 1000), *[STORED] * 1000)


@pytest.mark.parametrize("media", ["application/json", NDJSON])
async def test_1001_events_are_too_large(site: Site, media: str) -> None:
    events = [site.event()] * 1001
    answer = await site.batch(lines(*events) if media == NDJSON else events, Content_Type=media)
    check_problem(answer, 413, "too_large")
    assert site.storage.events == []


@pytest.mark.parametrize(("size", "status"), [(2 * 1024 * 1024, 200), (2 * 1024 * 1024 + 1, 413)])
async def test_two_mebibytes_are_the_limit(site: Site, size: int, status: int) -> None:
    body = json.dumps([site.event()]).encode()
    answer = await site.batch(body + b" " * (size - len(body)))
    if status == 200:
        check_batch(answer, STORED)
    else:
        check_problem(answer, status, "too_large")


def sized(event: dict[str, object], size: int) -> bytes:
    """The event's JSON in exactly so many bytes."""
    text = json.dumps({**event, "event_data": {"custom": ""}})
    return text.replace('"custom": ""', f'"custom": "{"x" * (size - len(text))}"').encode()


@pytest.mark.parametrize("odd", [b"", rb'"lone\ud800"', b'"number", 1e999'], ids=["plain", "surrogate", "range"])
@pytest.mark.parametrize("shape", ["array", "envelope", "lines"])
async def test_an_event_over_64_kib_is_refused_alone(site: Site, shape: str, odd: bytes) -> None:
    """`odd`: something beside it that only the slower parser reads."""
    good, fits, over = (
        sized(site.event(), 200),
        sized(site.event(), 64 * 1024),
        sized(site.event(page_title="t"), 64 * 1024 + 1),
    )
    events = [good, fits, over, good]
    outcomes = [STORED, STORED, refused("too_large"), STORED]
    if odd:
        events.append(b"[" + odd + b"]")
        outcomes.append(refused("invalid_event"))
    if shape == "lines":
        answer = await site.batch(b"\n".join(events), Content_Type=NDJSON)
    else:
        array = b"[" + b" , ".join(events) + b"]"
        envelope = b'{"projectKey": "' + site.browser_key.encode() + b'", "events": ' + array + b"}"
        answer = await site.batch(envelope if shape == "envelope" else array)
    check_batch(answer, *outcomes)


# keys


async def other_project(site: Site) -> tuple[str, str]:
    """Another project's id and browser key."""
    project, key = await site.administer.create_project("other", "roastery", [ORIGIN])
    return project.id, key.text


async def test_authorization_comes_before_the_envelope(site: Site) -> None:
    project_id, key = await other_project(site)
    envelope = {"projectKey": site.browser_key, "events": [site.event(projectKey=None)]}
    check_batch(await site.batch(envelope, Authorization=f"Bearer {key}"), STORED)
    assert site.storage.events[0].project_id == project_id


async def test_the_envelope_comes_before_the_first_event(site: Site) -> None:
    project_id, key = await other_project(site)
    envelope = {"projectKey": key, "events": [site.event(), site.event(projectKey=key)]}
    results = check_batch(await site.batch(envelope), refused("invalid_event"), STORED)
    assert set(results[0]["errors"]) == {"projectKey"}
    assert [event.project_id for event in site.storage.events] == [project_id]


async def test_the_first_event_s_key_is_the_request_s(site: Site) -> None:
    _, key = await other_project(site)
    batch = [site.event(), site.event(projectKey=None), site.event(projectKey=key), site.event(projectKey=7)]
    results = check_batch(await site.batch(batch), STORED, STORED, refused("invalid_event"), refused("invalid_event"))
    assert set(results[2]["errors"]) == {"projectKey"}
    assert {event.project_id for event in site.storage.events} == {site.project.id}


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", ""])
async def test_authorization_is_a_key_for_one_event_too(site: Site, scheme: str) -> None:
    answer = await site.post(site.event(projectKey=None), Authorization=f"{scheme} {site.browser_key}")
    assert answer.json["outcome"] == "stored"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic {key}"])
async def test_authorization_of_another_kind_is_no_key(site: Site, header: str) -> None:
    answer = await site.post(site.event(projectKey=None), Authorization=header.format(key=site.browser_key))
    check_problem(answer, 401, "missing_key")


async def test_ids_of_browser_and_server_keys_are_kept_apart(site: Site) -> None:
    check_batch(await site.batch([site.event(eventId="e")]), STORED)
    check_batch(await site.batch([site.event(eventId="e", projectKey=site.server_key)]), STORED)


async def test_a_server_key_s_event_takes_nothing_of_the_connection(site: Site) -> None:
    event = site.event(projectKey=site.server_key, url=None)
    check_batch(await site.batch([event, {**event, "ip": "81.2.69.160"}], User_Agent="curl"), STORED, STORED)
    bare, told = site.storage.events
    assert (bare.ip, bare.user_agent, bare.url, bare.key_kind) == (None, None, None, KeyKind.SERVER)
    assert told.ip == "81.2.69.0"


# the clock


def corrected(site: Site) -> datetime:
    return site.storage.events[-1].occurred_at


async def test_sent_at_corrects_a_clock_that_is_behind(site: Site) -> None:
    event = site.event(projectKey=None, timestamp="2020-01-01T08:59:50Z")
    envelope = {"projectKey": site.browser_key, "sentAt": "2020-01-01T09:00:00Z", "events": [event]}
    (result,) = check_batch(await site.batch(envelope), STORED)
    assert result["warnings"] == []
    assert corrected(site) == datetime(2026, 11, 2, 11, 59, 50, tzinfo=UTC)


async def test_sent_at_corrects_a_clock_that_is_ahead(site: Site) -> None:
    event = site.event(timestamp="2030-06-01T12:00:00+02:00")
    envelope = {"sentAt": "2030-06-01T10:00:30Z", "events": [event]}
    check_batch(await site.batch(envelope), STORED)
    assert corrected(site) == datetime(2026, 11, 2, 11, 59, 30, tzinfo=UTC)


@pytest.mark.parametrize("sent_at", ["soon", 7, " ", {}, "2026-13-01T00:00:00Z"])
async def test_a_sent_at_that_is_no_time_corrects_nothing_and_is_said(site: Site, sent_at: object) -> None:
    event = site.event(timestamp="2026-11-02T11:00:00Z")
    (result,) = check_batch(await site.batch({"sentAt": sent_at, "events": [event]}), STORED)
    assert [(w["code"], w["field"]) for w in result["warnings"]] == [("wrong_type", "sentAt")]
    assert corrected(site) == datetime(2026, 11, 2, 11, 0, tzinfo=UTC)


async def test_without_sent_at_an_old_timestamp_becomes_the_arrival(site: Site) -> None:
    (result,) = check_batch(await site.batch([site.event(timestamp="2020-01-01T09:00:00Z")]), STORED)
    assert [w["code"] for w in result["warnings"]] == ["timestamp_replaced"]
    assert corrected(site) == site.clock.now()

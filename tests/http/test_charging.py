"""Who is charged for what: the client's address for everything, a key for what passed the checks."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from catchment.adapters.http.engine.memory import Reservation
from catchment.adapters.memory.parts import ToldClock
from catchment.adapters.system.rate_limiter import TokenBuckets
from catchment.core.keys import make_key, random_bytes_needed
from catchment.core.project import KeyKind

from ..support.waiting import eventually
from .serving import Answer, MakeSite, Site, check_problem, check_receipt, networks, request

pytestmark = pytest.mark.gen_test

MIB = 1024 * 1024


async def limited(make_site: MakeSite, **rates: float) -> Site:
    clock = ToldClock()
    chosen = {"rate_per_key": 0.0, "rate_per_address": 0.0, **rates}
    limiter = TokenBuckets(**chosen, monotonic=clock.monotonic)
    return await make_site(clock=clock, rate_limiter=limiter, trusted=networks("127.0.0.0/8"))


def unknown_key() -> str:
    return make_key(KeyKind.BROWSER, os.urandom(random_bytes_needed(KeyKind.BROWSER)))


async def post(site: Site, body: Any, path: str = "/v1/batch", address: str = "81.2.69.142", **headers: str) -> Answer:
    return await site.post(body, path, X_Forwarded_For=address, **headers)


def packed(site: Site, body: bytes) -> dict[str, Any]:
    return {"body": gzip.compress(body, 1), "Content_Encoding": "gzip"}


RUBBISH: dict[str, Callable[[Site], dict[str, Any]]] = {
    "what can't be read": lambda site: {"body": b"[1"},
    "events that are none": lambda site: {"body": {"projectKey": site.browser_key, "events": [0]}},
    "events of another website": lambda site: {"body": [site.event(url="https://evil.example/")]},
    "another website": lambda site: {"body": [site.event()], "Origin": "https://evil.example"},
    "a dry run": lambda site: {"body": [site.event()], "path": "/v1/batch?dry_run=1"},
    "a key that nobody has": lambda site: {"body": [site.event(projectKey=unknown_key())]},
    "a text that is no key": lambda site: {"body": [site.event(projectKey="pk_" + "a" * 1000)]},
    "no key": lambda site: {"body": [site.event(projectKey=None)]},
    "another media type": lambda site: {"body": [site.event()], "Content_Type": "text/html"},
    "a broken gzip": lambda site: {"body": b"x", "Content_Encoding": "gzip"},
}


@pytest.mark.parametrize("kind", RUBBISH)
async def test_rubbish_is_charged_to_the_address_and_never_to_the_key(make_site: MakeSite, kind: str) -> None:
    site = await limited(make_site, rate_per_key=1, rate_per_address=2)
    for _ in range(20):
        assert (await post(site, **RUBBISH[kind](site))).status != 429
    limited_by = await post(site, **RUBBISH[kind](site))
    assert (limited_by.status, limited_by.json["code"], limited_by.headers["Retry-After"]) == (
        429,
        "rate_limited",
        "1",
    )
    for _ in range(10):  # all that the key may have
        check_receipt(await post(site, site.event(), "/v1/events", address="2.2.2.2"), "stored")
    check_problem(await post(site, site.event(), "/v1/events", address="2.2.2.2"), 429, "rate_limited")


WITHOUT_EVENTS = [
    ("GET", "/"),
    ("GET", "/openapi.json"),
    ("GET", "/catchment.js"),
    ("GET", "/healthz"),
    ("GET", "/nothing"),
    ("DELETE", "/v1/events"),
    ("OPTIONS", "/v1/batch"),
    ("OPTIONS", "/nothing"),
]


@pytest.mark.parametrize(("method", "path"), WITHOUT_EVENTS)
async def test_a_request_without_events_costs_its_address_eight(make_site: MakeSite, method: str, path: str) -> None:
    site = await limited(make_site, rate_per_address=16)

    async def ask(address: str) -> Answer:
        return await site.ask(method, path, headers={"X-Forwarded-For": address})

    usual = await ask("2.2.2.2")
    for _ in range(20):
        assert (await ask("81.2.69.142")).status == usual.status
    check_problem(await ask("81.2.69.142"), 429, "rate_limited")
    check_problem(await post(site, [site.event()], "/v1/batch"), 429, "rate_limited")
    assert (await ask("2.2.2.2")).status == usual.status


async def test_a_head_of_the_picture_costs_what_the_picture_does(make_site: MakeSite) -> None:
    site = await limited(make_site, rate_per_address=2)
    for _ in range(20):
        assert "X-Catchment-Reason" not in (await site.ask("HEAD", "/v1/pixel.gif")).headers
    assert (await site.ask("HEAD", "/v1/pixel.gif")).headers["X-Catchment-Reason"] == "rate_limited"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_operators_probes_cost_nothing(make_site: MakeSite, path: str) -> None:
    site = await limited(make_site, rate_per_address=1)
    for _ in range(15):
        assert (await site.ask("GET", path)).status == 200
    for _ in range(2):
        await site.ask("GET", "/nothing")
    assert (await site.ask("GET", "/nothing")).status == 429
    assert (await site.ask("GET", path)).status == 200


async def test_a_stranger_can_not_lock_a_key(make_site: MakeSite) -> None:
    site = await limited(make_site, rate_per_key=1)
    for _ in range(5):
        await post(site, {"projectKey": site.browser_key, "events": [0] * 1000})
    check_receipt(await post(site, site.event(), "/v1/events"), "stored")


@pytest.mark.parametrize("blanks", [True, False])
async def test_what_was_unpacked_is_charged_and_not_what_was_sent(make_site: MakeSite, blanks: bool) -> None:
    """Two kilobytes of gzip that unpack to two megabytes cost as much as a thousand events."""
    site = await limited(make_site, rate_per_address=300)
    rubbish = packed(site, (b" " if blanks else b"[" + b"1e999," * 990 + b"1]").ljust(2 * MIB))
    answers = [await post(site, **rubbish) for _ in range(4)]
    assert [answer.status for answer in answers[:1] + answers[3:]] == [400 if blanks else 401, 429]
    wait = int(answers[3].headers["Retry-After"])
    site.clock.advance(timedelta(seconds=wait))
    check_receipt(await post(site, site.event(), "/v1/events"), "stored")


@pytest.mark.parametrize("named", ["Authorization", "body", "packed"])
async def test_the_sender_of_a_good_server_key_is_no_stranger(make_site: MakeSite, named: str) -> None:
    site = await limited(make_site, rate_per_address=1)
    events = [{"event_name": "Import"}] * 50
    body = json.dumps({"projectKey": site.server_key, "events": events}).encode()
    headers: dict[str, Any] = {"body": body}
    if named == "Authorization":
        headers = {"body": events, "Authorization": f"Bearer {site.server_key}"}
    elif named == "packed":
        headers = packed(site, body)
    for _ in range(3):
        answer = await post(site, **headers)
        assert (answer.status, answer.json["stored"]) == (200, 50)
    for _ in range(11):
        last = await post(site, [site.event()])
    check_problem(last, 429, "rate_limited")
    assert (await post(site, **headers)).json["stored"] == 50
    made_up = make_key(KeyKind.SERVER, bytes(32))
    check_problem(await post(site, events, Authorization=f"Bearer {made_up}"), 429, "rate_limited")


async def test_look_ups_of_keys_that_nobody_has_are_bounded_by_address(make_site: MakeSite) -> None:
    site = await limited(make_site)
    for _ in range(200):
        check_problem(await post(site, [site.event(projectKey=unknown_key())]), 401, "unknown_key")
    asked = site.projects.asked
    check_problem(await post(site, [site.event(projectKey=unknown_key())]), 429, "rate_limited")
    assert site.projects.asked == asked
    check_receipt(await post(site, site.event(), "/v1/events"), "stored")
    other = await post(site, [site.event(projectKey=unknown_key())], address="2.2.2.2")
    check_problem(other, 401, "unknown_key")


async def test_look_ups_of_scripts_that_nobody_has_are_bounded_by_address(make_site: MakeSite) -> None:
    site = await limited(make_site)
    for number in range(201):
        answer = await site.ask("GET", f"/catchment.{number:016x}.js", b"", {"X-Forwarded-For": "1.1.1.1"})
    check_problem(answer, 429, "rate_limited")
    assert site.archive.asked == 200
    other = await site.ask("GET", f"/catchment.{0xFFFF:016x}.js", b"", {"X-Forwarded-For": "2.2.2.2"})
    check_problem(other, 404, "not_found")
    assert site.archive.asked == 201


async def test_an_unknown_key_in_the_header_refuses_a_large_batch_unread(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("the body was read")

    monkeypatch.setattr("catchment.adapters.http.protocol_runner.count_values", read)
    answer = await site.batch(b" " * MIB, Authorization=f"Bearer {unknown_key()}")
    check_problem(answer, 401, "unknown_key")


async def test_who_lies_about_the_size_that_a_body_unpacks_to_is_read_as_a_large_one(site: Site) -> None:
    body = json.dumps([site.event(page_title="x" * 400) for _ in range(200)]).encode()
    lying = packed(site, body)
    for said in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
        answer = await post(site, lying["body"][:-4] + said, Content_Encoding="gzip")
        check_problem(answer, 400, "invalid_json")
    answer = await post(site, **lying)
    assert (answer.status, answer.json["stored"]) == (200, 200)
    many = await post(site, **packed(site, b"[" + b"0," * 1000 + b"0]"))
    check_problem(many, 413, "too_large")


async def test_behind_a_proxy_addresses_are_charged_apart_and_ipv6_by_its_network(make_site: MakeSite) -> None:
    site = await limited(make_site, rate_per_address=1)
    for address, others in (("81.2.69.142", "81.2.69.143"), ("2001:db8:1:2::3", "2001:db8:1:3::3")):
        for _ in range(10):
            check_receipt(await post(site, site.event(), "/v1/events", address=address), "stored")
        check_problem(await post(site, site.event(), "/v1/events", address=address), 429, "rate_limited")
        check_receipt(await post(site, site.event(), "/v1/events", address=others), "stored")
    same = await post(site, site.event(), "/v1/events", address="2001:db8:1:2:ffff::1")
    check_problem(same, 429, "rate_limited")


async def test_one_address_holds_an_eighth_of_the_memory_and_the_last_of_it_is_for_whole_bodies(
    make_site: MakeSite,
) -> None:
    site = await make_site(receive_bytes=80 * MIB, trusted=networks("127.0.0.0/8"))
    headers = [("Content-Type", "application/json"), ("Origin", "https://shop.example")]

    async def unfinished(address: str, count: int) -> None:
        for _ in range(count):
            wire = await site.connect()
            body = request("POST", "/v1/batch", b"x" * 250_000, [*headers, ("X-Forwarded-For", address)])
            await wire.send(body[:-1])

    budget = site.application.memory
    await unfinished("1.1.1.1", 60)
    await eventually(lambda: budget.held > 9.5 * MIB, "one address has filled its share")
    assert budget.held <= 10 * MIB
    values = Reservation(budget, "1.1.1.1")
    assert values.add_values(15 * MIB)  # what its bodies hold does not keep them from being read
    values.release()
    assert (await post(site, [site.event()], address="2.2.2.2")).json["stored"] == 1
    for n in range(2, 12):
        await unfinished(f"1.1.1.{n}", 50)
    await eventually(lambda: budget.held > 78 * MIB, "all of the addresses have filled it")
    await asyncio.sleep(0)
    assert budget.held <= 79 * MIB
    assert (await post(site, [site.event()], address="2.2.2.2")).json["stored"] == 1

"""What is on the way between a website and the server: proxies, firewalls, addresses that lead nowhere."""

from __future__ import annotations

import json
import time

import pytest

from ..support.waiting import eventually
from .conftest import IN_ONE_BROWSER
from .site import Said
from .visitor import ARRIVES, Visitor

HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}


async def test_under_a_path_of_the_website_s_own_the_tag_needs_no_other_option(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.own_tag(), '<button data-catchment-event="Press">press</button>')
    page = await visitor.open("/")
    await page.click("button")
    assert [row["name"] for row in await visitor.until_rows(2)] == ["PageView", "Press"]
    assert {request.url for request in await visitor.until_asked()} == {f"{visitor.site.origin}/stats/v1/batch"}
    assert visitor.console == []


async def test_a_pinned_tag_with_its_integrity_works(visitor: Visitor, installation: object) -> None:
    from ..support.running import Installation

    assert isinstance(installation, Installation)
    found = installation.json("project", "snippet", visitor.collector.project.id, "--sri")
    address = found["src"][: found["src"].index("/catchment.")]
    visitor.site.page("/", found["snippet"].replace(address, visitor.collector.address))
    assert 'integrity="sha384-' in found["snippet"]
    await visitor.open("/")
    await visitor.until_rows(1)


@IN_ONE_BROWSER
@pytest.mark.parametrize(
    "said",
    [
        Said(502, json.dumps({"code": 502, "message": "Bad Gateway"}), JSON),
        Said(404, json.dumps({"type": "about:blank", "code": "not_found"}), JSON),
        Said(200, "null", JSON),
        Said(200, json.dumps({"results": "none"}), JSON),
        Said(404, "<h1>404</h1>", HTML),
        Said(502, "<h1>502</h1>", HTML),
    ],
)
async def test_an_answer_that_is_not_the_server_s_is_none(visitor: Visitor, said: Said) -> None:
    asked: list[str] = []

    def gate(body: str) -> Said | None:
        asked.append(body)
        return said if len(asked) < 3 else None

    visitor.site.gate = gate
    visitor.site.page("/", visitor.own_tag())
    page = await visitor.open("/")
    await page.evaluate("catchment('event', 'One')")
    assert sorted(row["name"] for row in await visitor.until_rows(2)) == ["One", "PageView"]  # each half by itself
    await visitor.until_sent(page)
    assert visitor.collector.losses() == {}
    if said.status != 200:
        (line,) = visitor.console
        assert line.startswith(f"catchment: {said.status}: {visitor.site.origin}/stats/v1/batch")


@IN_ONE_BROWSER
@pytest.mark.parametrize("status", [403, 413])
async def test_an_event_that_something_on_the_way_does_not_like_holds_up_no_other(
    visitor: Visitor, status: int
) -> None:
    alone: list[str] = []

    def gate(body: str) -> Said | None:
        if "UNION SELECT" not in body:
            return None
        if body.count('"eventId"') == 1:
            alone.append(body)
        return Said(status, "<h1>no</h1>", HTML)

    visitor.site.gate = gate
    visitor.site.page("/", visitor.own_tag())
    page = await visitor.open("/")
    await page.evaluate(
        "for (let n = 0; n < 20; n++) catchment('event', 'Many', {n, text: n == 7 ? 'UNION SELECT' : ''})"
    )
    rows = await visitor.until_rows(19, "Many")
    assert 1 <= len(alone) <= 2, "the others come before it is tried again"
    assert sorted(row["data"]["n"] for row in rows) == [n for n in range(20) if n != 7]
    for number in range(3):
        await page.evaluate(f"catchment('event', 'Later', {{n: {number}}})")
        await visitor.until_rows(number + 1, "Later")
    visitor.site.gate = lambda body: None
    await visitor.until_rows(20, "Many")
    await visitor.until_sent(page)
    await visitor.until_rows(24)


def _later(seconds: int) -> Said:
    body = {"type": "urn:catchment:problem:unavailable", "code": "unavailable", "detail": "away"}
    return Said(503, json.dumps(body), {"Content-Type": "application/problem+json", "Retry-After": str(seconds)})


async def test_a_network_that_comes_back_lifts_no_pause_that_the_server_asked_for(visitor: Visitor) -> None:
    asked: list[float] = []

    def gate(body: str) -> Said | None:
        asked.append(time.monotonic())
        return _later(4) if len(asked) == 1 else None

    visitor.site.gate = gate
    visitor.site.page("/", visitor.own_tag())
    page = await visitor.open("/")
    await eventually(lambda: asked, "it asked")
    await page.wait_for_function("localStorage['catchment Retry-After']")
    await page.evaluate("dispatchEvent(new Event('online')); catchment('event', 'Meanwhile')")
    other = await visitor.open("/")
    await other.evaluate("dispatchEvent(new Event('online'))")
    await visitor.until_rows(3)
    assert asked[1] - asked[0] >= 4


@IN_ONE_BROWSER
async def test_a_pause_without_measure_is_cut_short(visitor: Visitor) -> None:
    visitor.site.gate = lambda body: _later(10**9)
    visitor.site.page("/", visitor.own_tag())
    page = await visitor.open("/")
    await page.wait_for_function("localStorage['catchment Retry-After']")
    left = await page.evaluate("parseInt(localStorage['catchment Retry-After']) - Date.now()")
    assert 0 < left < 3600_000
    asked: list[str] = []
    visitor.site.gate = lambda body: asked.append(body)
    await visitor.open("/")
    await visitor.until_asked()
    assert asked == []
    # The time passes.
    await page.evaluate(
        "for (const name in localStorage) if (name.startsWith('catchment '))"
        " localStorage[name] = '1700000000000' + localStorage[name].slice(13)"
    )
    await visitor.until_rows(2)


async def test_a_page_that_is_left_with_more_than_a_browser_lets_outlive_it_loses_nothing(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag(manual=""))
    visitor.site.page("/next", visitor.tag(manual=""))
    page = await visitor.open("/")
    await page.evaluate(
        "for (let n = 0; n < 60; n++) catchment('event', 'Big', {n, text: 'ä'.repeat(1000)});"
        f"location = '{visitor.site.origin}/next'"
    )
    await page.wait_for_url("**/next")
    rows = await visitor.until_rows(60, "Big")
    assert sorted(row["data"]["n"] for row in rows) == list(range(60))
    await visitor.until_sent(page)
    await visitor.until_rows(60)


async def test_a_beacon_takes_what_it_can_and_the_next_page_the_rest(visitor: Visitor) -> None:
    await visitor.context.add_init_script(
        "if (location.pathname == '/') { delete Request.prototype.keepalive; fetch = () => new Promise(() => {}) }"
    )
    visitor.site.page("/", visitor.tag("catchment.plus.js", manual=""))
    visitor.site.page("/without", "")
    visitor.site.page("/next", visitor.tag("catchment.plus.js", manual=""))
    page = await visitor.open("/")
    await page.evaluate("for (let n = 0; n < 60; n++) catchment('event', 'Big', {n, text: 'ä'.repeat(1000)})")
    await page.goto(f"{visitor.site.origin}/without")
    await eventually(lambda: visitor.collector.rows(), "the beacon arrives", ARRIVES)
    assert visitor.kind == "firefox" or len(visitor.collector.rows()) < 60  # Firefox takes more than 64 KiB
    await page.goto(f"{visitor.site.origin}/next")
    rows = await visitor.until_rows(60)
    assert sorted(row["data"]["n"] for row in rows) == list(range(60))


async def test_a_beacon_waits_as_well_and_is_not_sent_for_nothing(visitor: Visitor) -> None:
    await visitor.context.add_init_script(
        "delete Request.prototype.keepalive; const send = navigator.sendBeacon.bind(navigator);"
        "navigator.sendBeacon = (...args) => { localStorage.beacons = 1; return send(...args) }"
    )
    visitor.site.page("/", visitor.own_tag("catchment.plus.js"))
    visitor.site.page("/without", "")
    page = await visitor.open("/")
    await visitor.until_rows(1)
    await visitor.until_sent(page)
    visitor.site.gate = lambda body: _later(600)
    await page.goto(f"{visitor.site.origin}/without")
    assert await page.evaluate("localStorage.beacons") is None
    await page.goto(f"{visitor.site.origin}/")
    await page.wait_for_function("localStorage['catchment Retry-After']")
    await page.goto(f"{visitor.site.origin}/without")
    assert await page.evaluate("localStorage.beacons") is None
    assert [name for name in await visitor.kept(page) if " event " in name]
    await visitor.until_rows(1)

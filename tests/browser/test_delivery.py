"""Nothing is lost on the way, and nothing is stored twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

import pytest
from playwright.async_api import Page

from ..support.running import Serving
from ..support.waiting import eventually
from .visitor import ARRIVES, Visitor

CUT = float(os.environ.get("CATCHMENT_TEST_CUT", "3"))
"""Seconds for which the server is away in the middle of a visit."""
PAGES = 16

Start = Callable[..., Serving]


async def leave(page: Page, event: str) -> None:
    """To a page without the tag, so that nothing of the website is there to send what was left."""
    await page.evaluate(f"addEventListener('{event}', () => catchment('event', 'Leaving'))")
    await page.goto("about:blank")


@pytest.mark.parametrize("event", ["pagehide", "beforeunload"])
async def test_an_event_of_a_page_that_goes_away_arrives(visitor: Visitor, event: str) -> None:
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    await leave(page, event)
    await visitor.until_rows(1, "Leaving")


async def arrives(visitor: Visitor, name: str) -> None:
    """Wait for the event of a page that is gone. Firefox, driven from outside, at times ends a page's process with the
    request that it has begun: the website's next page sends it then, and never twice."""
    if visitor.kind == "firefox":
        await visitor.open("/")
    await visitor.until_rows(1, name)


async def test_an_event_of_a_tab_that_is_closed_arrives(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag())
    visitor.site.page("/without", "")
    await visitor.open("/without")  # the last tab of a website may end its process
    page = await visitor.open("/")
    await page.evaluate("addEventListener('pagehide', () => catchment('event', 'Closing'))")
    await page.close(run_before_unload=True)
    await arrives(visitor, "Closing")


async def test_a_click_that_leads_away_within_moments_arrives(visitor: Visitor) -> None:
    body = (
        '<a href="about:blank" data-catchment-event="Away" onclick="setTimeout(() => location = this.href, 20)">go</a>'
    )
    visitor.site.page(
        "/", visitor.tag(), body.replace('href="about:blank"', f'href="{visitor.site.other_origin}/there"')
    )
    visitor.site.page("/there", "")
    visitor.site.page("/without", "")
    await visitor.open("/without")  # a website's last page may end its process, with the request that it has begun
    page = await visitor.open("/")
    await page.click("a")
    await page.wait_for_url("**/there")
    await arrives(visitor, "Away")


async def test_where_requests_cannot_outlive_their_page_a_beacon_does(visitor: Visitor) -> None:
    await visitor.context.add_init_script(
        "delete Request.prototype.keepalive; window.fetch = () => new Promise(() => {})"
    )
    visitor.site.page("/", visitor.tag("catchment.plus.js"))
    page = await visitor.open("/")
    await leave(page, "beforeunload")
    assert {row["name"] for row in await visitor.until_rows(2)} == {"PageView", "Leaving"}


@pytest.mark.parametrize("policy", ["no-referrer", "same-origin"])
async def test_any_referrer_policy_will_do(visitor: Visitor, policy: str) -> None:
    visitor.site.page("/", visitor.tag(), Referrer_Policy=policy)
    page = await visitor.open("/")
    await leave(page, "pagehide")
    assert [row["name"] for row in await visitor.until_rows(2)] == ["PageView", "Leaving"]


async def test_a_strict_content_security_policy_needs_the_server_s_address_alone(visitor: Visitor) -> None:
    collector = visitor.collector.address
    policy = (
        f"default-src 'none'; script-src 'self' {collector}; connect-src {collector};"
        " img-src data:; require-trusted-types-for 'script'"
    )
    body = '<button data-catchment-event="Press">press</button>'
    visitor.site.page("/", visitor.tag("catchment.plus.js"), body, Content_Security_Policy=policy)
    page = await visitor.open("/")
    await page.click("button")
    assert [row["name"] for row in await visitor.until_rows(2)] == ["PageView", "Press"]


async def test_what_happens_offline_goes_out_when_the_network_is_back(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    await visitor.until_rows(1)
    await visitor.until_sent(page)
    await visitor.context.set_offline(True)
    await page.evaluate("for (let n = 0; n < 70; n++) catchment('event', 'Offline', {n})")
    await eventually(lambda: len(visitor.sent) > 1, "it tried", ARRIVES)
    await visitor.context.set_offline(False)
    rows = await visitor.until_rows(70, "Offline")
    assert sorted(row["data"]["n"] for row in rows) == list(range(70))
    await visitor.until_sent(page)
    await visitor.until_rows(71)


async def test_of_two_tabs_no_event_is_stored_twice(visitor: Visitor, own_serving: Start) -> None:
    server = own_serving()
    visitor.site.page("/", visitor.tag(endpoint=visitor.collector.address))
    tabs = [await visitor.open("/"), await visitor.open("/")]
    await visitor.until_rows(2)
    server.end()
    for number, tab in enumerate(tabs):
        await tab.evaluate(f"for (let n = 0; n < 5; n++) catchment('event', 'Tab', {{n: {number} * 5 + n}})")
    await eventually(lambda: len(visitor.sent) > 3, "both tried", ARRIVES)
    server = await asyncio.to_thread(own_serving, port=server.port)
    rows = await visitor.until_rows(10, "Tab")
    assert sorted(row["data"]["n"] for row in rows) == list(range(10))
    for tab in tabs:
        await visitor.until_sent(tab)
    counted = await asyncio.to_thread(server.get, "/metrics")
    # Tabs in processes of their own see each other's storage late: what both send is a duplicate for the server.
    assert b'outcome="stored",reason=""} 10.0' in counted.body
    await visitor.until_rows(12)


async def test_a_server_that_is_cut_off_in_the_middle_of_a_visit_costs_no_event(
    visitor: Visitor, own_serving: Start
) -> None:
    """`CATCHMENT_TEST_CUT=30` cuts it off for half a minute."""
    server = own_serving()
    links = '<a href="/{next}" data-catchment-event="Go" data-catchment-to="{next}">on</a>'
    for number in range(PAGES):
        # The website has the script: the server is away, and browsers need not keep it.
        tag = visitor.tag(endpoint=visitor.collector.address).replace(f'src="{visitor.collector.address}/', 'src="/')
        visitor.site.page(f"/{number}", tag, links.replace("{next}", str(number + 1)))
    page = await visitor.open("/0")
    loop = asyncio.get_running_loop()
    back = 0.0
    visited = 1
    while visited < PAGES:
        if visited == 5:
            await asyncio.to_thread(server.end)
            back = loop.time() + CUT
        if back and (loop.time() > back or visited == PAGES - 3):
            await asyncio.sleep(max(0.0, back - loop.time()))
            back = 0.0
            await asyncio.to_thread(own_serving, port=server.port)
        if back:
            await asyncio.sleep(CUT / 8)
        await page.click("a")
        await page.wait_for_url(f"**/{visited}")
        visited += 1
    views = await visitor.until_rows(PAGES, "PageView")
    assert [row["page_path"] for row in views] == [f"/{number}" for number in range(PAGES)]
    clicks = await visitor.until_rows(PAGES - 1, "Go")
    assert [row["data"]["to"] for row in clicks] == [str(number) for number in range(1, PAGES)]
    assert len({row["session_id"] for row in views + clicks}) == 1
    await visitor.until_sent(page)
    await visitor.until_rows(2 * PAGES - 1)


async def test_a_server_that_never_answers_is_asked_again_before_long(visitor: Visitor) -> None:
    """It takes connections and says nothing. The tracker's clock for answers runs fifty times as fast; without it the
    events would be held for fifteen seconds, and each time anew."""
    await visitor.context.add_init_script(
        "const timeout = AbortSignal.timeout; AbortSignal.timeout = (milliseconds) => timeout(milliseconds / 50)"
    )
    waiting: list[asyncio.StreamWriter] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"PageView")
        waiting.append(writer)

    silent = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        visitor.site.page("/", visitor.tag(endpoint=f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"))
        page = await visitor.open("/")
        await eventually(lambda: len(waiting) > 1, "it asked again", 12)
        visitor.site.page("/", visitor.tag())
        await page.goto(f"{visitor.site.origin}/")
        await visitor.until_rows(2)
    finally:
        silent.close()
        for writer in waiting:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def test_storage_that_something_else_spoiled_does_not_stop_the_tracker(visitor: Visitor) -> None:
    visitor.site.page("/before", "")
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/before")
    key = visitor.collector.project.browser_key
    put = "([number, text, key]) => localStorage[`catchment event ${Date.now()}-${number} ${key}`] = text"
    for number, spoiled in enumerate(("", "x", "0000000000000 {]", "1700000000000 ")):
        await page.evaluate(put, [number, spoiled, key])
    await page.goto(f"{visitor.site.origin}/")
    await visitor.until_said("invalid_json")
    await page.evaluate("catchment('event', 'After')")
    await visitor.until_rows(1, "After")
    await visitor.until_sent(page)


async def test_a_server_that_says_when_is_not_asked_before(visitor: Visitor, own_serving: Start) -> None:
    """One event a second, and ten in hand: the eleventh is told to wait."""
    own_serving(LIMITS__RATE_PER_KEY="1")
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    # Before it is gone, what comes goes with the page view, in one batch.
    await visitor.until_rows(1)
    for number in range(12):
        await page.evaluate(f"catchment('event', 'Much', {{n: {number}}})")
    await visitor.until_rows(12, "Much")
    told = []
    for request in visitor.sent:
        response = await request.response()
        if response is not None and response.status == 429:
            seconds = float(response.headers["retry-after"])
            told.append((request.timing["startTime"], seconds))
    assert told, "it was never told"
    starts = [request.timing["startTime"] for request in visitor.sent]
    for start, seconds in told:
        assert not [other for other in starts if start + 100 < other < start + seconds * 1000]


async def test_a_batch_that_is_too_large_is_sent_in_parts(visitor: Visitor, own_serving: Start) -> None:
    own_serving(LIMITS__BATCH_EVENTS="3")
    visitor.site.page("/", visitor.tag(manual=""))
    page = await visitor.open("/")
    await page.evaluate("for (let n = 0; n < 10; n++) catchment('event', 'Many', {n})")
    rows = await visitor.until_rows(10)
    assert sorted(row["data"]["n"] for row in rows) == list(range(10))


async def test_what_had_to_be_dropped_is_counted_and_reported(visitor: Visitor, own_serving: Start) -> None:
    server = own_serving()
    visitor.site.page("/", visitor.tag(endpoint=visitor.collector.address))
    page = await visitor.open("/")
    await visitor.until_rows(1)
    await visitor.until_sent(page)
    await asyncio.to_thread(server.end)
    await page.evaluate("catchment('event', 'Huge', {text: 'x'.repeat(70000)})")
    await page.evaluate("for (let n = 0; n < 300; n++) catchment('event', 'Many', {text: 'x'.repeat(1500)})")
    kept = await page.evaluate("Object.keys(localStorage).filter(name => name.startsWith('catchment event')).length")
    assert 100 < kept < 200
    await asyncio.to_thread(own_serving, port=server.port)
    await visitor.until_rows(kept, "Many")
    counted = await eventually(lambda: visitor.collector.losses(), "losses are recorded", ARRIVES)
    assert counted == {"queue_full": 300 - kept, "too_large": 1}


async def test_an_event_that_is_too_old_to_be_dated_right_is_dropped_and_counted(visitor: Visitor) -> None:
    visitor.site.page("/before", "")
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/before")
    for days in (3, 2):
        await page.evaluate(
            "([days, key]) => localStorage[`catchment event ${Date.now() - days * 864e5}-1,2,3 ${key}`] ="
            " '1700000000000 ' + JSON.stringify({event_name: 'Waited', url: location.href, eventId: 'waited-' + days,"
            " timestamp: new Date(Date.now() - days * 864e5).toISOString()})",
            [days, visitor.collector.project.browser_key],
        )
    await page.goto(f"{visitor.site.origin}/")
    rows = await visitor.until_rows(2)
    (waited,) = [row for row in rows if row["name"] == "Waited"]
    assert waited["event_id"] == "waited-2"
    assert (waited["received_at"] - waited["occurred_at"]).days == 2
    await visitor.until_said("expired")
    await visitor.until_sent(page)
    await page.evaluate("catchment('event', 'After')")  # one report goes with each batch
    lost = visitor.collector.losses
    await eventually(lambda: lost() == {"expired": 1}, "the loss is recorded", ARRIVES)


async def test_an_upload_that_is_cut_off_is_halved(visitor: Visitor) -> None:
    """A line that takes ten events in the time that an answer may take. Only what is too long meets the end of it."""
    await visitor.context.add_init_script(
        "const timeout = AbortSignal.timeout, real = fetch; AbortSignal.timeout = (milliseconds) =>"
        " Object.assign(timeout(milliseconds), { soon: timeout(milliseconds / 50) });"
        "fetch = (address, options) => options.body.split('eventId').length < 12"
        " ? real(address, options)"
        " : new Promise((_, no) => { const { soon } = options.signal;"
        " soon.aborted ? no(soon.reason) : soon.addEventListener('abort', () => no(soon.reason)) })"
    )
    visitor.site.page("/", visitor.tag(manual=""))
    page = await visitor.open("/")
    await page.evaluate("for (let n = 0; n < 40; n++) catchment('event', 'Many', {n})")
    await visitor.until_rows(40)
    await visitor.until_said("no_answer")

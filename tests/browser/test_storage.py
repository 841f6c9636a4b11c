"""What the tracker has in the browser's storage: its own alone, also where that is full, spoiled, or of another key."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page

from .conftest import IN_ONE_BROWSER
from .site import Said
from .visitor import Visitor

FILL = (
    "for (let size = 2 ** 22; size > 0.5; size /= 2)"
    " for (let n = 0; ; n++) try { localStorage['fill' + size + n] = 'x'.repeat(size) } catch { break }"
)
AWAY = Said(502, "<h1>502</h1>", {"Content-Type": "text/html"})
MONTH = 31 * 864 * 10**5


async def put(page: Page, name: str, text: str) -> None:
    await page.evaluate("([name, text]) => localStorage[name] = text", [name, text])


async def put_event(page: Page, key: str, age: int, **fields: Any) -> None:
    """An event that waits for so many milliseconds."""
    await page.evaluate(
        "([key, age, fields]) => localStorage[`catchment event ${Date.now() - age}-1,2,3 ${key}`] ="
        " '1700000000000 ' + JSON.stringify({url: location.href, ...fields})",
        [key, age, fields],
    )


def events_of(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith("catchment event ")]


@pytest.mark.parametrize("text", ["no JSON", '{"id": "theirs", "counts": {"queue_full": 5}}'])
async def test_what_the_website_keeps_is_neither_sent_nor_deleted(visitor: Visitor, text: str) -> None:
    names = ("undefined", "null", "", "catchment")
    visitor.site.page("/before", "")
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/before")
    for name in names:
        await put(page, name, text)
    await page.goto(f"{visitor.site.origin}/")
    await visitor.until_rows(1)
    await visitor.until_sent(page)
    assert visitor.collector.losses() == {}
    assert await page.evaluate("names => names.map(name => localStorage[name])", names) == [text] * len(names)


async def test_who_opts_out_takes_nothing_of_the_website_s_along(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    await visitor.until_rows(1)
    for name in ("catchmentAreaFilter", "catchment-area", "Catchment map"):
        await put(page, name, "theirs")
    await page.evaluate("catchment('identify', 'ann'); catchment('opt-out')")
    kept = await page.evaluate("Object.keys(localStorage).sort()")
    assert kept == ["Catchment map", "catchment opt-out", "catchment-area", "catchmentAreaFilter"]
    await page.evaluate("catchment('opt-in'); catchment('event', 'Yes')")
    assert [row["name"] for row in await visitor.until_rows(2)] == ["PageView", "Yes"]


async def test_an_opt_out_holds_where_the_storage_is_full_and_empties_it(visitor: Visitor) -> None:
    visitor.site.gate = lambda body: AWAY
    visitor.site.page("/", visitor.own_tag())
    page = await visitor.open("/")
    await page.evaluate("catchment('identify', 'ann'); catchment('event', 'Stored')")
    assert len(events_of(await visitor.kept(page))) == 2
    await page.evaluate(FILL)
    await page.evaluate("catchment('event', 'Remembered')")
    assert len(events_of(await visitor.kept(page))) == 2
    await page.evaluate("catchment('opt-out'); catchment('event', 'No')")
    assert set(await visitor.kept(page)) <= {"catchment opt-out"}
    visitor.site.gate = lambda body: None
    await page.evaluate("catchment('opt-in'); catchment('event', 'Yes')")
    (row,) = await visitor.until_rows(1)
    assert (row["name"], row["user_id"]) == ("Yes", None)


async def test_an_opt_out_for_which_there_is_no_room_holds_for_the_page(visitor: Visitor) -> None:
    await visitor.context.add_init_script(FILL)
    visitor.site.page("/", visitor.tag(manual=""))
    page = await visitor.open("/")
    await page.evaluate("catchment('opt-out'); catchment('event', 'No')")
    await visitor.until_said("error")
    await page.evaluate("catchment('event', 'Neither'); catchment('opt-in'); catchment('event', 'Yes')")
    (row,) = await visitor.until_rows(1)
    assert row["name"] == "Yes"


async def test_an_opt_out_is_recorded_where_nothing_is_sent_anyway(visitor: Visitor) -> None:
    await visitor.context.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { get: () => true })"
    )
    visitor.site.page("/honours", visitor.tag(do_not_track=""), '<b data-catchment-event="Press">press</b>')
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/honours")
    await page.evaluate("catchment('opt-out')")
    await page.goto(f"{visitor.site.origin}/")
    await page.evaluate("catchment('event', 'No')")
    assert await visitor.kept(page) == ["catchment opt-out"]
    await page.goto(f"{visitor.site.origin}/honours")
    await page.evaluate("catchment('opt-in'); catchment('event', 'No'); catchment('identify', 'ann')")
    await page.click("b")
    assert await visitor.kept(page) == []
    await page.goto(f"{visitor.site.origin}/")
    (row,) = await visitor.until_rows(1)
    assert (row["page_path"], row["user_id"]) == ("/", None)


async def test_what_waits_is_not_sent_after_all_where_the_visitor_objects(visitor: Visitor) -> None:
    await visitor.context.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { get: () => true })"
    )
    visitor.site.page("/before", "")
    visitor.site.page("/honours", visitor.tag(do_not_track=""))
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/before")
    await put_event(page, visitor.collector.project.browser_key, 1000, event_name="Waited", eventId="waited")
    await page.goto(f"{visitor.site.origin}/honours")
    await visitor.until_said("off")
    assert len(events_of(await visitor.kept(page))) == 1
    assert visitor.sent == []
    await page.goto(f"{visitor.site.origin}/")
    await visitor.until_rows(2)


async def test_what_was_sent_from_memory_leaves_the_full_storage_too(visitor: Visitor) -> None:
    visitor.site.gate = lambda body: AWAY
    visitor.site.page("/", visitor.own_tag())
    page = await visitor.open("/")
    await page.evaluate("catchment('event', 'Stored')")
    await page.evaluate(FILL)
    await page.evaluate("catchment('event', 'Remembered')")
    assert len(events_of(await visitor.kept(page))) == 2
    visitor.site.gate = lambda body: None
    await visitor.until_rows(3)
    await visitor.until_sent(page)
    await page.evaluate("catchment('event', 'After')")
    await visitor.until_rows(4)


@IN_ONE_BROWSER
async def test_a_spoiled_report_of_losses_does_not_silence_the_tracker(visitor: Visitor) -> None:
    visitor.site.page("/before", "")
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/before")
    await put(page, "catchment lost 1700000000000-1,2,3", '{"id": "x", "counts": {oops')
    await page.goto(f"{visitor.site.origin}/")
    await visitor.until_said("invalid_json")
    await visitor.until_sent(page)
    assert not [name for name in await visitor.kept(page) if "lost" in name]
    await page.evaluate("catchment('event', 'After')")
    await visitor.until_rows(1, "After")


@IN_ONE_BROWSER
async def test_events_of_a_key_that_was_replaced_expire_and_are_counted(visitor: Visitor) -> None:
    visitor.site.page("/before", "")
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/before")
    await put_event(page, "pk_replaced", MONTH, event_name="Old", eventId="old")
    await put_event(page, "pk_replaced", 1000, event_name="New", eventId="new")
    await page.goto(f"{visitor.site.origin}/")
    await visitor.until_rows(1, "PageView")
    await visitor.until_said("expired")
    await page.wait_for_function(
        "Object.keys(localStorage).filter(name => name.startsWith('catchment event')).join().endsWith(' pk_replaced')"
    )
    assert len(events_of(await visitor.kept(page))) == 1
    assert visitor.collector.losses() == {"expired": 1}
    await page.evaluate("catchment('event', 'After')")
    await visitor.until_rows(2)

"""Wrong answers, clocks and storages. The tracker goes on, does not hurry, and loses nothing without a word."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from .site import Said
from .test_storage import put, put_event
from .visitor import Visitor

CLOCK = (
    "{ const Real = Date; let ahead = DAYS * 864e5; self.setClock = (days) => { ahead = days * 864e5 };"
    "Date = class extends Real {"
    " constructor(...given) { given.length ? super(...given) : super(Real.now() + ahead) }"
    " static now() { return Real.now() + ahead } } }"
)
"""A clock that is days ahead, until it is set."""

DAMAGED = (
    "const or = (trap) => (...given) => { if (!self.whole) throw new Error('damaged'); return trap(...given) };"
    "const kept = new Proxy({}, Object.fromEntries(['get', 'set', 'has', 'ownKeys', 'deleteProperty']"
    ".map(name => [name, or(Reflect[name])])));"
    "Object.defineProperty(self, 'localStorage', { get: () => kept });"
)
"""A storage that is there, and can't be used unless `whole` is set."""


async def test_a_negative_retry_after_is_no_reason_to_hurry(visitor: Visitor) -> None:
    arrived: list[float] = []

    def gate(body: str) -> Said | None:
        arrived.append(time.monotonic())
        return Said(503, "", {"Retry-After": "-5"}) if len(arrived) < 3 else None

    visitor.site.gate = gate
    visitor.site.page("/", visitor.own_tag(manual=""))
    page = await visitor.open("/")
    await page.evaluate("catchment('event', 'Kept')")
    await visitor.until_rows(1)
    assert all(later - earlier > 0.9 for earlier, later in pairwise(arrived))  # a second, and timers may be early


@pytest.mark.parametrize(
    "body", ['{"count": 0, "results": []}', '{"results": [{}, {}, {}]}', '{"results": null}', "null", "7"]
)
async def test_another_server_s_answer_is_not_taken_for_results(visitor: Visitor, body: str) -> None:
    said = Said(200, body, {"Content-Type": "application/json"})
    visitor.site.gate = lambda sent: said if len(visitor.sent) < 2 else None
    visitor.site.page("/", visitor.own_tag(manual=""))
    page = await visitor.open("/")
    await page.evaluate("catchment('event', 'Kept')")
    await visitor.until_rows(1)


async def test_a_long_text_in_another_alphabet_does_not_stand_in_the_way_of_older_events(visitor: Visitor) -> None:
    """It has three bytes a letter: too many for a request that may outlive its page, and for the server."""
    visitor.site.page("/", visitor.tag(manual=""))
    page = await visitor.open("/")
    await page.evaluate("catchment('event', 'Older'); catchment('event', 'Long', {text: '\u6f22'.repeat(30000)})")
    await visitor.until_rows(1, "Older")
    await visitor.until_said("too_large")
    await visitor.until_sent(page)


async def test_a_clock_that_is_set_back_does_not_silence_an_open_page(visitor: Visitor) -> None:
    await visitor.context.add_init_script(CLOCK.replace("DAYS", "1"))
    visitor.site.gate = lambda body: Said(502, "") if len(visitor.sent) < 2 else None
    visitor.site.page("/", visitor.own_tag(manual=""))
    page = await visitor.open("/")
    await page.evaluate("catchment('event', 'Before')")
    await visitor.until_said("502")
    await page.evaluate("setClock(0); catchment('event', 'After')")
    rows = await visitor.until_rows(2)
    assert max(abs((row["received_at"] - row["occurred_at"]).total_seconds()) for row in rows) < 120


async def test_a_storage_that_can_t_be_read_is_replaced_by_memory(visitor: Visitor) -> None:
    await visitor.context.add_init_script(DAMAGED)
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    await visitor.until_said("damaged")
    await page.evaluate("catchment('event', 'After')")
    assert [row["name"] for row in await visitor.until_rows(2)] == ["PageView", "After"]


async def test_a_storage_that_breaks_later_is_no_error_of_the_page(visitor: Visitor) -> None:
    await visitor.context.add_init_script("self.whole = 1;" + DAMAGED)
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    await page.evaluate("whole = 0; history.pushState({}, '', '/next'); catchment('event', 'No')")
    await visitor.until_said("damaged")
    assert await page.evaluate("location.pathname") == "/next"
    assert visitor.page_errors == []


async def test_a_damaged_entry_costs_no_other_event(visitor: Visitor) -> None:
    visitor.site.page("/before", "")
    visitor.site.page("/", visitor.tag(manual=""))
    page = await visitor.open("/before")
    key = visitor.collector.project.browser_key
    for age in (3000, 2000):
        await put_event(page, key, age, event_name="Good", eventId=f"good-{age}")
    await put(page, f"catchment event 1700000000000-1,2,3 {key}", "x")
    await page.evaluate(
        "key => localStorage[`catchment event ${Date.now() - 2500}-1,2,3 ${key}`] = '1700000000000 {]'", key
    )
    await page.goto(f"{visitor.site.origin}/")
    await visitor.until_rows(2, "Good")
    await visitor.until_said("invalid_json")
    await visitor.until_sent(page)

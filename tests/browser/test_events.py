"""Events: by call, by attribute, of forms and links; who sends them, and in which session."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.waiting import eventually
from .visitor import Visitor

STUB = (
    "<script>window.catchment = window.catchment || function () {"
    " (catchment.q = catchment.q || []).push(arguments) };{calls}</script>"
)


async def test_calls_before_the_script_is_there_are_made_later(visitor: Visitor) -> None:
    calls = "catchment('identify', 7); catchment('event', 'Early', {label: 'one'})"
    visitor.site.page("/", STUB.replace("{calls}", calls) + visitor.tag())
    await visitor.open("/")
    rows = await visitor.until_rows(2)
    assert {(row["name"], row["user_id"]) for row in rows} == {("Early", "7"), ("PageView", "7")}


async def test_an_event_by_call_has_its_data(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    await page.evaluate("catchment('event', 'Buy', {category: 'Shop', label: 'Harbour', value: 11.5, sizes: [1, 2]})")
    row = (await visitor.until_rows(2))[-1]
    assert (row["name"], row["category"], row["label"], row["value"]) == ("Buy", "Shop", "Harbour", 11.5)
    assert row["data"] == {"sizes": [1, 2]}


async def test_what_happens_in_one_moment_goes_in_one_request(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag(manual=""))
    page = await visitor.open("/")
    await page.evaluate("for (let n = 0; n < 20; n++) catchment('event', 'Many', {n})")
    await visitor.until_rows(20)
    assert len(await visitor.until_asked()) == 1


async def test_an_element_with_the_attribute_makes_an_event_when_it_is_clicked(visitor: Visitor) -> None:
    body = (
        '<button data-catchment-event="SignUp" data-catchment-label="Top" data-catchment-value="3"'
        ' data-catchment-custom-field="x" onclick="event.stopPropagation()"><b>Join</b></button>'
    )
    visitor.site.page("/", visitor.tag(), body)
    page = await visitor.open("/")
    await page.click("b")
    (row,) = await visitor.until_rows(1, "SignUp")
    assert (row["label"], row["value"], row["data"]) == ("Top", 3, {"custom_field": "x"})


async def test_a_form_makes_one_event_when_it_is_sent(visitor: Visitor) -> None:
    body = (
        '<form action="/thanks" data-catchment-event="Subscribe" data-catchment-category="News">'
        '<input name="mail" value="secret@example.com"><button>Send</button></form>'
    )
    visitor.site.page("/", visitor.tag("catchment.plus.js"), body)
    visitor.site.page("/thanks", "")
    page = await visitor.open("/")
    await page.click("input")
    await page.click("button")
    await page.wait_for_url("**/thanks*")
    (row,) = await visitor.until_rows(1, "Subscribe")
    assert (row["category"], row["data"]) == ("News", {})


async def test_links_to_other_websites_and_to_files_by_option(visitor: Visitor) -> None:
    other = visitor.site.other_origin
    body = (
        f'<a id="out" href="{other}/there">out</a><a id="in" href="#here">in</a>'
        '<a id="file" href="/list.PDF">file</a><a id="mail" href="mailto:a@example.com">mail</a>'
    )
    body += "<script>for (const a of document.links) a.addEventListener('click', e => e.preventDefault())</script>"
    visitor.site.page("/", visitor.tag("catchment.plus.js", outbound="", downloads=""), body)
    page = await visitor.open("/")
    for name in ("in", "mail", "out", "file"):
        await page.click(f"#{name}")
    rows = (await visitor.until_rows(3))[1:]
    assert [(row["name"], row["data"]) for row in rows] == [
        ("OutboundLink", {"url": f"{other}/there"}),
        ("FileDownload", {"url": f"{visitor.site.origin}/list.PDF"}),
    ]


async def test_links_are_not_looked_at_without_the_option(visitor: Visitor) -> None:
    body = '<a href="/list.pdf" onclick="event.preventDefault()">file</a>'
    visitor.site.page("/", visitor.tag("catchment.plus.js"), body)
    page = await visitor.open("/")
    await page.click("a")
    await page.evaluate("catchment('event', 'Last')")
    assert [row["name"] for row in await visitor.until_rows(2)] == ["PageView", "Last"]


async def test_a_session_goes_on_over_pages_and_tabs_and_ends_when_nothing_happened(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    await visitor.open("/")
    await page.reload()
    assert len({row["session_id"] for row in await visitor.until_rows(3)}) == 1
    await page.evaluate("const n = 'catchment session'; localStorage[n] = Date.now() - 1 + localStorage[n].slice(13)")
    await page.evaluate("catchment('event', 'Later')")
    assert len({row["session_id"] for row in await visitor.until_rows(4)}) == 2


async def test_a_user_is_known_on_the_next_page_and_forgotten_when_told(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    await page.evaluate("catchment('identify', 'ann')")
    await page.reload()
    await visitor.until_rows(2)
    await page.evaluate("catchment('identify', null); catchment('event', 'Out')")
    assert [row["user_id"] for row in await visitor.until_rows(3)] == [None, "ann", None]


async def test_nothing_of_a_page_s_mistakes_is_thrown_into_it(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    await page.evaluate(
        "const round = {}; round.round = round; catchment('event', 'Round', round); catchment('nonsense')"
    )
    await page.evaluate("catchment('event', 'After')")
    assert [row["name"] for row in await visitor.until_rows(2)] == ["PageView", "After"]
    await visitor.until_said("error")


async def test_the_npm_package_does_the_same_without_a_tag(visitor: Visitor) -> None:
    settings = f'{{key: "{visitor.collector.project.browser_key}", endpoint: "{visitor.collector.address}/"}}'
    script = (
        '<script type="module">import { init, track, identify } from "/package/index.js";'
        f"identify('ann'); track('Before'); init({settings}); track('After', {{value: 2}})</script>"
    )
    visitor.site.page("/", script)
    page = await visitor.open("/")
    rows = await visitor.until_rows(3)
    assert {(row["name"], row["user_id"]) for row in rows} == {("Before", "ann"), ("PageView", "ann"), ("After", "ann")}
    assert not await page.evaluate("'catchment' in window")


@pytest.mark.parametrize("signal", ["globalPrivacyControl: true", "doNotTrack: '1'"])
async def test_who_objects_is_left_alone_where_the_page_honours_that(visitor: Visitor, signal: str) -> None:
    name, _, value = signal.partition(": ")
    await visitor.context.add_init_script(
        f"Object.defineProperty(Navigator.prototype, '{name}', {{ get: () => {value} }})"
    )
    visitor.site.page("/honours", visitor.tag(do_not_track=""))
    visitor.site.page("/does-not", visitor.tag())
    page = await visitor.open("/honours")
    await page.evaluate("catchment('event', 'No')")
    await visitor.until_said("off")
    assert await page.evaluate("localStorage.length") == 0
    await visitor.open("/does-not")
    (row,) = await visitor.until_rows(1)
    assert row["page_path"] == "/does-not"


async def test_who_opts_out_stays_out_until_he_opts_in(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    await visitor.until_rows(1)
    await page.evaluate("catchment('identify', 'ann'); catchment('opt-out'); catchment('event', 'No')")
    await page.reload()
    await page.evaluate("catchment('identify', 'ann'); catchment('event', 'No')")
    kept = await page.evaluate("Object.keys(localStorage)")
    assert kept == ["catchment opt-out"]
    await page.evaluate("catchment('opt-in'); catchment('event', 'Yes')")
    assert [(row["name"], row["user_id"]) for row in await visitor.until_rows(2)] == [("PageView", None), ("Yes", None)]


async def test_storage_none_leaves_nothing_in_the_browser_but_an_opt_out(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag(storage="none"))
    page = await visitor.open("/")
    await page.evaluate("catchment('identify', 'ann'); catchment('event', 'One')")
    rows = await visitor.until_rows(2)
    assert len({row["session_id"] for row in rows}) == 1
    assert await page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    await page.evaluate("catchment('opt-out')")
    await page.reload()
    await page.evaluate("catchment('event', 'No')")
    assert await page.evaluate("Object.keys(localStorage)") == ["catchment opt-out"]
    await visitor.until_rows(2)


async def _no_storage(visitor: Visitor) -> None:
    await visitor.context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError') } })"
    )


async def _full_storage(visitor: Visitor) -> None:
    await visitor.context.add_init_script(
        "for (let size = 2 ** 22; size > 0.5; size /= 2)"
        " for (let n = 0; ; n++) try { localStorage['fill' + size + n] = 'x'.repeat(size) } catch { break }"
    )


@pytest.mark.parametrize("spoil", [_no_storage, _full_storage])
async def test_events_go_out_where_storage_throws(visitor: Visitor, spoil: Any) -> None:
    await spoil(visitor)
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    await page.evaluate("catchment('event', 'One')")
    rows = await visitor.until_rows(2)
    assert len({row["session_id"] for row in rows}) == 1


async def test_a_debugging_page_shows_every_batch_and_its_answer(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag("catchment.plus.js", debug=""))
    await visitor.open("/")
    await eventually(lambda: any("PageView" in line for line in visitor.console), "the console shows the batch")

"""Pages that get in the tracker's way, mostly without knowing: names of elements, replaced functions, odd calls."""

from __future__ import annotations

import pytest

from .test_events import STUB
from .visitor import Visitor

CLICKED = "addEventListener('click', event => event.preventDefault())"


async def test_who_kept_the_function_from_before_the_script_can_still_call_it(visitor: Visitor) -> None:
    visitor.site.page("/", STUB.replace("{calls}", "const kept = catchment") + visitor.tag())
    page = await visitor.open("/")
    await visitor.until_rows(1)
    await page.evaluate("setTimeout(kept, 0, 'event', 'Later', {label: 'kept'})")
    (row,) = await visitor.until_rows(1, "Later")
    assert row["label"] == "kept"


@pytest.mark.parametrize(
    "content",
    [
        '<img name="currentScript" src="data:," data-key="pk_evil" data-endpoint="https://evil.example">',
        '<form name="currentScript"><input name="dataset"><input name="src"><input name="tagName"></form>',
        '<img name="prerendering" src="data:,">',
    ],
)
async def test_content_with_a_name_of_the_document_s_does_not_lead_it_astray(visitor: Visitor, content: str) -> None:
    visitor.site.page("/", f"{content}{visitor.tag()}")
    await visitor.open("/")
    await visitor.until_rows(1)
    assert visitor.console == []


async def test_title_and_referrer_are_the_page_s_whatever_elements_are_called(visitor: Visitor) -> None:
    visitor.site.page("/", "", '<a href="/there">there</a>')
    visitor.site.page("/there", visitor.tag(), '<form name="title"></form><img name="referrer">', title="There")
    page = await visitor.open("/")
    await page.click("a")
    (row,) = await visitor.until_rows(1)
    assert (row["page_title"], row["referrer"]) == ("There", f"{visitor.site.origin}/")


@pytest.mark.parametrize(
    "content",
    [
        '<form id="catchment"><input name="q"></form>',
        '<form id="catchment"><select name="q"><option>a</select></form>',
        '<a id="catchment"></a>',
        '<a id="catchment"></a><a id="catchment" name="q"></a>',
    ],
)
async def test_an_element_with_the_tracker_s_name_does_not_keep_it_from_starting(
    visitor: Visitor, content: str
) -> None:
    visitor.site.page("/", f"{content}{visitor.tag()}")
    page = await visitor.open("/")
    await page.evaluate("catchment('event', 'After')")
    assert [row["name"] for row in await visitor.until_rows(2)] == ["PageView", "After"]


async def test_a_number_is_a_user_id_wherever_it_is_kept(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag(storage="none"))
    page = await visitor.open("/")
    await page.evaluate("catchment('identify', 42); catchment('event', 'One')")
    (row,) = await visitor.until_rows(1, "One")
    assert row["user_id"] == "42"


# elements


async def test_a_click_on_a_label_is_one_event_and_so_is_one_on_its_control(visitor: Visitor) -> None:
    body = (
        '<label data-catchment-event="Agree"><b>I agree</b><input type="checkbox"></label>'
        '<div data-catchment-event="Choose"><label for="box"><i>this</i></label><input type="checkbox" id="box"></div>'
    )
    visitor.site.page("/", visitor.tag(), body)
    page = await visitor.open("/")
    for selector, name, count in (("b", "Agree", 1), ("label input", "Agree", 2), ("i", "Choose", 1)):
        await page.click(selector)
        await visitor.until_rows(count, name)
    await page.evaluate("catchment('event', 'Last')")
    names = [row["name"] for row in await visitor.until_rows(5)]
    assert names == ["PageView", "Agree", "Agree", "Choose", "Last"]


async def test_a_form_is_read_whatever_its_inputs_are_called(visitor: Visitor) -> None:
    body = (
        '<form data-catchment-event="Send" data-catchment-list="de" onsubmit="event.preventDefault()">'
        '<input name="attributes"><input name="dataset"><input name="closest"><button>send</button></form>'
    )
    visitor.site.page("/", visitor.tag("catchment.plus.js"), body)
    page = await visitor.open("/")
    await page.click("button")
    (row,) = await visitor.until_rows(1, "Send")
    assert row["data"] == {"list": "de"}


async def test_a_form_in_an_element_with_the_attribute_counts_the_click_alone(visitor: Visitor) -> None:
    body = (
        '<section data-catchment-event="Section"><form onsubmit="event.preventDefault()"><button>send</button></form>'
        "</section>"
    )
    visitor.site.page("/", visitor.tag("catchment.plus.js"), body)
    page = await visitor.open("/")
    await page.click("button")
    await page.evaluate("catchment('event', 'Last')")
    assert [row["name"] for row in await visitor.until_rows(3)] == ["PageView", "Section", "Last"]


@pytest.mark.parametrize("script", ["catchment.js", "catchment.plus.js"])
async def test_an_element_in_a_shadow_root_makes_an_event(visitor: Visitor, script: str) -> None:
    body = (
        '<div id="host" data-catchment-event="Host"></div><script>'
        "host.attachShadow({mode: 'open'}).innerHTML ="
        " '<button data-catchment-event=Inner><b>in</b></button><i>out</i>'</script>"
    )
    visitor.site.page("/", visitor.tag(script), body)
    page = await visitor.open("/")
    await page.click("b")
    await page.click("i")
    assert [row["name"] for row in await visitor.until_rows(3)] == ["PageView", "Inner", "Host"]


# nothing is ever thrown into the page: the visitor's fixture looks for errors


async def test_a_console_that_throws_is_no_error_of_the_page(visitor: Visitor) -> None:
    visitor.site.page("/", "<script>console.warn = () => { throw new Error('no console') }</script>" + visitor.tag())
    page = await visitor.open("/")
    await page.evaluate("catchment('nonsense'); catchment('event', 'After')")
    assert [row["name"] for row in await visitor.until_rows(2)] == ["PageView", "After"]


async def test_a_page_with_another_fetch_sends_once_it_has_the_browser_s_again(visitor: Visitor) -> None:
    replaced = "<script>const real = fetch; fetch = () => { throw new Error('no fetch') }</script>"
    visitor.site.page("/", replaced + visitor.tag())
    page = await visitor.open("/")
    await page.evaluate("catchment('event', 'Kept')")
    await visitor.until_said("no_answer")
    assert [name for name in await visitor.kept(page) if " event " in name]
    await page.evaluate("void (fetch = real)")
    assert [row["name"] for row in await visitor.until_rows(2)] == ["PageView", "Kept"]


async def test_the_npm_package_survives_what_a_page_does_to_it(visitor: Visitor) -> None:
    settings = f'{{key: "{visitor.collector.project.browser_key}", endpoint: "{visitor.collector.address}"}}'
    script = (
        '<script type="module">import { init, track } from "/package/index.js"; Object.freeze(history);'
        f"track('Before'); init(); init({{endpoint: 'https://['}}); init({settings}); track('After')</script>"
    )
    visitor.site.page("/", script, '<button data-catchment-event="Press">press</button>')
    page = await visitor.open("/")
    await page.click("button")
    rows = await visitor.until_rows(4)
    assert {row["name"] for row in rows} == {"Before", "PageView", "After", "Press"}


# the key, where there is no plain tag


@pytest.mark.parametrize(
    "page",
    [
        '<script type="module" src="{src}" data-key="{key}"></script>',
        "<script>const tag = document.createElement('script'); tag.src = '{src}?key={key}'; document.head.append(tag)"
        "</script>",
        "<script>catchmentSettings = {{ key: '{key}', endpoint: '{server}' }}; import('{src}')</script>",
    ],
)
async def test_the_key_is_found_where_a_page_can_put_it(visitor: Visitor, page: str) -> None:
    server = visitor.collector.address
    key = visitor.collector.project.browser_key
    visitor.site.page("/", page.format(server=server, src=f"{server}/catchment.js", key=key))
    await visitor.open("/?key=pk_evil&endpoint=https://evil.example")
    await visitor.until_rows(1)
    assert visitor.console == []


# built-in objects


async def test_a_page_that_changes_how_json_is_written_sends_right_events(visitor: Visitor) -> None:
    replaced = (
        "<script>Date.prototype.toJSON = () => 'today';"
        "for (const { prototype } of [Array, String, Number])"
        " prototype.toJSON = function () { return '<' + this + '>' }</script>"
    )
    visitor.site.page("/", replaced + visitor.tag("catchment.plus.js"))
    page = await visitor.open("/")
    await page.evaluate("catchment('event', 'Buy', {label: 'Harbour', value: 2, sizes: [1, 'x']})")
    (row,) = await visitor.until_rows(1, "Buy")
    assert (row["label"], row["value"], row["data"]) == ("Harbour", 2, {"sizes": [1, "x"]})
    visitor.site.page("/short", "<script>Date.prototype.toJSON = () => 'today'</script>" + visitor.tag())
    await page.goto(f"{visitor.site.origin}/short")
    await visitor.until_rows(2, "PageView")

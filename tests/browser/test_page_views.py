"""Page views: of pages, of pages within pages, and of those that come back."""

from __future__ import annotations

import pytest

from .visitor import Visitor


def paths(rows: list[dict[str, object]]) -> list[str]:
    return [str(row["url"]).split("/", 3)[3] for row in rows]


async def test_one_tag_makes_a_page_view(visitor: Visitor) -> None:
    visitor.site.page("/beans", visitor.tag(), title="Beans")
    visitor.site.page("/", "", '<a href="/beans?utm_source=news&utm_campaign=autumn#top">Beans</a>')
    page = await visitor.open("/")
    await page.click("a")
    (row,) = await visitor.until_rows(1)
    assert (row["name"], row["page_title"], row["page_path"]) == ("PageView", "Beans", "/beans")
    assert row["url"] == f"{visitor.site.origin}/beans?utm_source=news&utm_campaign=autumn"
    assert row["referrer"] == f"{visitor.site.origin}/"
    assert (row["utm_source"], row["utm_campaign"]) == ("news", "autumn")
    assert row["session_id"]
    assert row["user_id"] is None
    assert visitor.console == []
    assert await visitor.context.cookies() == []


async def test_two_tags_make_one_page_view(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag() + visitor.tag())
    page = await visitor.open("/")
    await page.evaluate("catchment('event', 'After')")
    assert [row["name"] for row in await visitor.until_rows(2)] == ["PageView", "After"]


async def test_a_page_within_the_page_is_a_page_view_of_its_own(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    await page.evaluate("history.pushState({}, '', '/one'); document.title = 'One'")
    await page.evaluate("history.pushState({}, '', '/two?page=2')")
    await page.evaluate("history.replaceState({}, '', '/two?page=3')")  # another query, replaced
    await page.evaluate("history.replaceState({}, '', '/three')")
    await page.evaluate("location.hash = 'below'")
    await page.evaluate("history.pushState({}, '', '/three#further')")
    await page.evaluate("history.go(-3)")
    await page.wait_for_url("**/one")
    rows = await visitor.until_rows(5)
    assert paths(rows) == ["", "one", "two?page=2", "three", "one"]
    assert [row["page_title"] for row in rows[:2]] == ["/", "One"]
    assert [row["referrer"] for row in rows[1:3]] == [f"{visitor.site.origin}/", f"{visitor.site.origin}/one"]
    assert len({row["session_id"] for row in rows}) == 1


async def test_two_moves_at_once_are_two_page_views(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    await page.evaluate("history.pushState({}, '', '/one'); history.pushState({}, '', '/two')")
    rows = {row["page_path"]: row["referrer"] for row in await visitor.until_rows(3)}
    origin = visitor.site.origin
    assert rows == {"/": None, "/one": f"{origin}/", "/two": f"{origin}/one"}


async def test_a_fragment_after_another_query_is_no_page(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/?page=1")
    await page.evaluate("history.replaceState({}, '', '?page=2'); history.pushState({}, '', '#below')")
    await page.evaluate("location.hash = 'further'; location.hash = 'on'")
    await page.evaluate("history.back()")
    await page.wait_for_url("**#further")
    await page.evaluate("history.pushState({}, '', '/next')")
    rows = await visitor.until_rows(2)
    assert paths(rows) == ["?page=1", "next"]
    assert rows[1]["referrer"] == f"{visitor.site.origin}/?page=2"


async def test_with_hash_routing_the_fragment_names_the_page_and_its_path(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag("catchment.plus.js", hash=""))
    page = await visitor.open("/#/home")
    await page.evaluate("location.hash = '/beans?sort=price'")
    await page.evaluate("history.pushState({}, '', '#/club')")
    rows = await visitor.until_rows(3)
    assert paths(rows) == ["#/home", "#/beans?sort=price", "#/club"]
    assert [row["page_path"] for row in rows] == ["/#/home", "/#/beans", "/#/club"]


ROUTER = """<script>
const titled = (milliseconds) => setTimeout(() => { document.title = location.pathname }, milliseconds);
onpopstate = () => titled(60);
titled(60);
const go = (path, milliseconds) => { history.pushState({}, "", path); titled(milliseconds) };
const redirect = (from, to) => {
  history.pushState({}, "", from);
  setTimeout(() => { history.replaceState({}, "", to); titled(60) }, 8);
};
</script>"""
"""Renders after it has set the address, as React's routers do."""


def titles(rows: list[dict[str, object]]) -> list[tuple[object, object]]:
    return [(row["page_path"], row["page_title"]) for row in rows]


async def test_each_view_has_the_title_that_its_page_sets_later(visitor: Visitor) -> None:
    """In a later frame, by a loader, on the way back, and on the page that was loaded."""
    visitor.site.page("/", visitor.tag(), ROUTER, title="before it renders")
    page = await visitor.open("/")
    await visitor.until_rows(1)
    for number, move in enumerate(("go('/one', 0)", "go('/two', 180)", "history.back()")):
        await page.evaluate(move)
        await visitor.until_rows(number + 2)
    rows = await visitor.until_rows(4)
    assert titles(rows) == [(path, path) for path in ("/", "/one", "/two", "/one")]


async def test_an_event_does_not_part_a_view_from_its_title_and_comes_after_it(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag(), ROUTER)
    page = await visitor.open("/")
    await visitor.until_rows(1)
    await page.evaluate("go('/one', 60); catchment('event', 'Seen')")
    assert [(row["name"], row["page_path"]) for row in await visitor.until_rows(3)] == [
        ("PageView", "/"),
        ("PageView", "/one"),
        ("Seen", "/one"),
    ]
    assert [row["page_title"] for row in await visitor.until_rows(2, "PageView")] == ["/", "/one"]


async def test_a_view_of_a_page_that_is_left_while_it_waits_has_the_title_of_then(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag(), ROUTER)
    page = await visitor.open("/")
    await visitor.until_rows(1)
    await page.evaluate(
        "setTimeout = new Proxy(setTimeout, { apply: (real, self, [work, time]) => time < 300 && real(work, time) });"
        "go('/one', 0)"
    )
    await page.goto("about:blank")
    assert titles(await visitor.until_rows(2))[1] == ("/one", "/one")


async def test_a_redirect_is_one_view_of_the_page_it_leads_to(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag(), ROUTER)
    visitor.site.page("/start", visitor.tag(), ROUTER + "<script>onload = () => redirect('/start', '/home')</script>")
    page = await visitor.open("/")
    await visitor.until_rows(1)
    await page.evaluate("redirect('/old', '/new')")
    rows = await visitor.until_rows(2)
    assert titles(rows)[1] == ("/new", "/new")
    assert rows[1]["referrer"] == f"{visitor.site.origin}/"
    await page.goto(f"{visitor.site.origin}/start")
    assert titles(await visitor.until_rows(3))[2] == ("/home", "/home")


async def test_a_redirect_loses_no_campaign(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag(), ROUTER + "<script>onload = () => redirect(location, '/home')</script>")
    await visitor.open("/?utm_source=news")
    assert [(row["page_path"], row["utm_source"]) for row in await visitor.until_rows(2)] == [
        ("/", "news"),
        ("/home", None),
    ]


async def test_moves_by_the_navigation_api_are_page_views_and_counted_once(visitor: Visitor) -> None:
    body = '<a href="/linked">link</a><script>navigation.onnavigate = (event) => event.canIntercept &&'
    body += " event.intercept({ handler: async () => { setTimeout(() => (document.title = location.pathname), 30) } })"
    visitor.site.page("/", visitor.tag(), body + "</script>")
    page = await visitor.open("/")
    await visitor.until_rows(1)
    for number, move in enumerate(
        (
            "navigation.navigate('/called')",
            "document.links[0].click()",
            "history.pushState({}, '', '/pushed')",
            "navigation.navigate('/gone'); navigation.navigate('/replaced', { history: 'replace' })",
            "navigation.back()",
        )
    ):
        await page.evaluate(f"void ({move.replace('; ', ', ')})")
        await visitor.until_rows(number + 2)
    assert titles(await visitor.until_rows(6)) == [
        (path, path) for path in ("/", "/called", "/linked", "/pushed", "/replaced", "/pushed")
    ]


async def test_by_hand_there_are_no_page_views_but_those_that_are_asked_for(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag(manual=""))
    page = await visitor.open("/")
    await page.evaluate("history.pushState({}, '', '/one')")
    await page.evaluate("catchment('page', {category: 'Shop'})")
    (row,) = await visitor.until_rows(1)
    assert (row["name"], row["page_path"], row["category"]) == ("PageView", "/one", "Shop")


@pytest.mark.parametrize("kind", ["chromium-windows", "firefox"])
async def test_a_page_back_from_the_cache_is_a_new_page_view(visitor: Visitor) -> None:
    body = "<script>onpageshow = event => { if (event.persisted) catchment('event', 'Back') }</script>"
    visitor.site.page("/", visitor.tag(), body)
    visitor.site.page("/next", visitor.tag())
    page = await visitor.open("/")
    await visitor.until_rows(1)
    await visitor.until_sent(page)
    await page.goto(f"{visitor.site.origin}/next")
    await visitor.until_rows(2)
    await page.evaluate("setTimeout(() => history.back())")
    rows = await visitor.until_rows(4)
    assert [(row["name"], row["page_path"]) for row in rows[:2]] == [("PageView", "/"), ("PageView", "/next")]
    assert {(row["name"], row["page_path"]) for row in rows[2:]} == {("PageView", "/"), ("Back", "/")}


async def test_a_prerendered_page_counts_when_it_is_shown(visitor: Visitor) -> None:
    await visitor.context.add_init_script(
        "let hidden = true; Object.defineProperty(Document.prototype, 'prerendering', { get: () => hidden });"
        "window.show = () => { hidden = false; document.dispatchEvent(new Event('prerenderingchange')) }"
    )
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    assert visitor.sent == []
    await page.evaluate("show()")
    await visitor.until_rows(1)


async def test_a_long_address_is_cut_where_the_server_would_refuse_it(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag())
    await visitor.open("/?q=" + "x" * 3000)
    (row,) = await visitor.until_rows(1)
    assert len(row["url"]) == 2048

"""The tag in the frameworks that people use: each page shown is one page view, with its own address and title."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from .built import FRAMEWORKS, BuiltPages, build
from .conftest import during
from .loop import Loop
from .site import CHECKOUT
from .visitor import Visitor

ALL = ("astro", "next", "package", "react", "svelte", "turbo", "vue")
"""The folders. `package` is the npm package in React: page views by hand, and StrictMode as in development."""

SINGLE_PAGE = ("package", "react", "vue")
"""Their host answers every address with the same file."""


@pytest.fixture(scope="package")
def built_pages(loop: Loop) -> Iterator[BuiltPages]:
    build()
    yield from during(loop, BuiltPages())


@pytest.fixture
def pages(built_pages: BuiltPages, request: pytest.FixtureRequest, visitor: Visitor) -> BuiltPages:
    """The pages of one framework, with the tag of the test's own project."""
    framework: str = request.param
    built_pages.folder = FRAMEWORKS / framework / "dist"
    built_pages.fallback = "index.html" if framework in SINGLE_PAGE else None
    # Turbo's redirects are the server's; the others' are the framework's own.
    built_pages.redirects = {"/old": "/beans"} if framework == "turbo" else {}
    built_pages.server = visitor.collector.address
    built_pages.key = visitor.collector.project.browser_key
    return built_pages


def seen(rows: list[dict[str, Any]], origin: str) -> list[tuple[str, str, str | None]]:
    """The path, the title and the referrer's path of each view."""
    return [
        (row["page_path"], row["page_title"], row["referrer"] and row["referrer"].removeprefix(origin)) for row in rows
    ]


async def shown(page: Page, title: str) -> None:
    """Wait until the page has this title."""
    await page.wait_for_function("title => document.title == title", arg=title)


async def move(page: Page, way: str) -> None:
    """Go back or forward, after the call: a page that goes away takes the answer to a call with it."""
    await page.evaluate(f"void setTimeout(() => history.{way}())")


@pytest.mark.parametrize("pages", ALL, indirect=True)
async def test_each_page_shown_is_one_page_view(visitor: Visitor, pages: BuiltPages) -> None:
    page = await visitor.open("/", pages.origin)
    await shown(page, "Home")
    await visitor.until_rows(1)
    await page.click("text=Beans")
    await shown(page, "Beans")
    await visitor.until_rows(2)
    await page.click("text=Harbour")
    await shown(page, "Harbour")
    await visitor.until_rows(3)
    await move(page, "back")
    await shown(page, "Beans")
    await visitor.until_rows(4)
    await move(page, "forward")
    await shown(page, "Harbour")
    await visitor.until_rows(5)
    await page.click("text=Old")
    await shown(page, "Beans")
    await visitor.until_rows(6)
    await page.click("text=Home")
    await shown(page, "Home")
    rows = await visitor.until_rows(7)
    # A static host has a page for Astro's redirect. It is no view, having no tag, but the browser comes from there.
    before = "/old" if pages.folder.parent.name == "astro" else "/beans/harbour"
    assert seen(rows, pages.origin) == [
        ("/", "Home", None),
        ("/beans", "Beans", "/"),
        ("/beans/harbour", "Harbour", "/beans"),
        ("/beans", "Beans", "/beans/harbour"),
        ("/beans/harbour", "Harbour", "/beans"),
        ("/beans", "Beans", before),
        ("/", "Home", "/beans"),
    ]
    assert {row["name"] for row in rows} == {"PageView"}


@pytest.mark.parametrize("pages", ALL, indirect=True)
async def test_landing_pages_and_hurried_visitors_get_the_right_titles(visitor: Visitor, pages: BuiltPages) -> None:
    page = await visitor.open("/beans/harbour", pages.origin)
    await shown(page, "Harbour")
    await visitor.until_rows(1)
    page = await visitor.open("/old", pages.origin)
    await shown(page, "Beans")
    await visitor.until_rows(2)
    await page.click("text=Harbour")
    await shown(page, "Harbour")
    await page.click("text=Home")
    await shown(page, "Home")
    await page.click("text=Old")
    await shown(page, "Beans")
    # Turbo shows a page first, and then writes the address to which it was redirected.
    await page.wait_for_url(re.compile("/beans/?$"), wait_until="commit")
    await move(page, "back")
    await shown(page, "Home")
    await move(page, "back")
    await shown(page, "Harbour")
    rows = await visitor.until_rows(7)
    assert [(path, title) for path, title, _ in seen(rows, pages.origin)] == [
        ("/beans/harbour", "Harbour"),
        ("/beans", "Beans"),
        ("/beans/harbour", "Harbour"),
        ("/", "Home"),
        ("/beans", "Beans"),
        ("/", "Home"),
        ("/beans/harbour", "Harbour"),
    ]


@pytest.mark.parametrize("pages", ["managers"], indirect=True)
@pytest.mark.parametrize("way", ["gtm", "jquery", "element"])
async def test_a_tag_that_a_tag_manager_inserts_counts(visitor: Visitor, pages: BuiltPages, way: str) -> None:
    page = await visitor.open(f"/{way}", pages.origin)
    rows = await visitor.until_rows(1)
    assert seen(rows, pages.origin) == [(f"/{way}", "Home", None)]
    await page.evaluate("catchment('event', 'Added')")
    assert [row["name"] for row in await visitor.until_rows(2)] == ["PageView", "Added"]
    assert visitor.console == []


RECIPES = {
    "React": "react",
    "React by hand": "package",
    "Next": "next",
    "SvelteKit": "svelte",
    "Astro": "astro",
    "Vue": "vue",
    "Turbo": "turbo",
    "Tag managers": "managers",
}
"""The headings of docs/websites.md, and the folders whose pages have their code."""


def written(folder: Path) -> Iterator[Path]:
    """Yield the folder's files, but for what building makes."""
    for path in folder.iterdir():
        if path.is_file():
            yield path
        elif path.name not in ("dist", "node_modules") and not path.name.startswith("."):
            yield from written(path)


def test_the_code_of_each_recipe_is_that_of_a_tested_page() -> None:
    def plain(text: str) -> str:
        """Return the text without its indentation."""
        return "\n".join(["", *(line.strip() for line in text.strip().splitlines()), ""])

    text = (CHECKOUT / "docs" / "websites.md").read_text()
    for heading, folder in RECIPES.items():
        (recipe,) = re.findall(rf"^##+ {heading}$(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL)
        blocks = re.findall(r"^```\w+\n(.*?)^```$", recipe, re.MULTILINE | re.DOTALL)
        sources = [plain(file.read_text()) for file in written(FRAMEWORKS / folder)]
        assert blocks
        for block in blocks:
            assert any(plain(block) in source for source in sources), f"{heading}: {block}"

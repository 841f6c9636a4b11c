"""The documents lead to what exists: every link, and every heading that a link names."""

import re
from itertools import chain
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = sorted(chain.from_iterable(map(CHECKOUT.glob, ("*.md", "docs/**/*.md", "deploy/*.md", "clients/*/*.md"))))
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    """Return the page without its blocks of code."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the anchors of the page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(CHECKOUT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in _LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        if ":" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def _places() -> list[tuple[str, str]]:
    """Return the rows of 'Where is …?': a file, and what to look for in it."""
    page = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = page.partition("## Where is …?")[2].partition("\n## ")[0]
    return re.findall(r"^\| [^|]+ \| `([^`]+)` \| `([^`]+)` \|$", table, re.MULTILINE)


def test_the_table_of_places_is_read() -> None:
    assert len(_places()) > 10


@pytest.mark.parametrize(("file", "name"), _places())
def test_a_thing_is_where_the_table_of_places_says(file: str, name: str) -> None:
    assert name in (CHECKOUT / file).read_text(encoding="utf-8")

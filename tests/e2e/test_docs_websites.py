"""docs/websites.md does what it says: the way from nothing to the first event, the pictures, the tables."""

from __future__ import annotations

import html
import json
import re
import shlex
import urllib.request
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest

from catchment.adapters.http.protocols.pixel import PARAMETERS
from catchment.core.collecting.losses import KNOWN_REASONS, OTHER_REASON

from ..support.running import Installation, Serving
from .first_event import DOCS, blocks, check_usage, pasted, section

EXAMPLE = "https://events.example.com"
MAIL = section("Mail, and pages without scripts")


@pytest.fixture
def served(installation: Installation) -> Iterator[Serving]:
    with installation.serving() as server:
        yield server


def test_the_way_from_nothing_to_the_first_event(installation: Installation) -> None:
    with pasted(installation) as here:
        (tag,) = re.findall(r"<script.*</script>", here.page)
        (source,) = re.findall(r'src="(.*?)"', tag)
        (key,) = re.findall(r'data-key="(pk_\w+)"', tag)
        assert source == f"{here.server}/catchment.js"
        assert 'data-catchment-event="AddToCart"' in here.page

        origin = here.address.rstrip("/")
        events = [{"event_name": name, "url": here.address, "event_data": {}} for name in ("PageView", "AddToCart")]
        request = urllib.request.Request(  # noqa: S310
            f"{here.server}/v1/batch",
            json.dumps({"projectKey": key, "events": events}).encode(),
            {"Origin": origin, "Content-Type": "text/plain"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            assert json.load(answer)["stored"] == 2
        check_usage(here)


def test_the_pictures_are_events(installation: Installation, served: Serving) -> None:
    installation.run("account", "create", "acme")
    origin = "https://www.example.com"
    made = installation.json("project", "create", "shop", "--account", "acme", "--origin", origin)
    sources = [html.unescape(one) for one in re.findall(r'<img src="(.*?)"', MAIL)]
    assert len(sources) == 2
    for source in sources:
        assert source.startswith(f"{EXAMPLE}/v1/pixel.gif?")
        path = source.removeprefix(EXAMPLE).replace("pk_…", made["browser_key"])
        answer = served.ask("GET", path, Referer=f"{origin}/page")
        assert (answer.status, answer.headers["X-Catchment-Outcome"]) == (200, "stored")
        assert {name for name, _ in parse_qsl(urlsplit(path).query)} <= set(PARAMETERS)

    (console,) = blocks(MAIL, "console")
    words = shlex.split(console.splitlines()[0].removeprefix("$ "))
    (source,) = [word for word in words if word.startswith("https://")]
    answer = served.get(source.removeprefix(EXAMPLE).replace("pk_…", made["browser_key"]))
    said = [f"{name}: {value}" for name, value in answer.headers.items() if name.startswith("X-Catchment")]
    assert said == console.splitlines()[1:]


def test_every_parameter_of_the_picture_is_in_the_table() -> None:
    told: dict[str, str] = {}
    for row in re.findall(r"^\| `(.*?)` \| `(.*?)` \|", MAIL, flags=re.M):
        told.update(zip(row[0].split("`, `"), row[1].split("`, `"), strict=True))
    assert told == {**{name: field for name, (field, _) in PARAMETERS.items()}, "d.KEY": "event_data.KEY"}


def test_every_known_reason_is_in_the_tables() -> None:
    lost = section("What was lost before it got here")
    assert set(re.findall(r"^\| `(\w+)` \|", lost, flags=re.M)) == {*KNOWN_REASONS, OTHER_REASON}
    collecting = (DOCS / "collecting.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| a reason \|.*$", collecting, flags=re.M)
    assert set(re.findall(r"`(\w+)`", row)) == set(KNOWN_REASONS)


def test_a_pinned_tag_is_shaped_as_shown() -> None:
    (block,) = blocks(section("A version that never changes"), "console")
    pattern = (
        r'<script defer src="https://events\.example\.com/catchment\.[0-9a-f]{16}\.js" data-key="pk_…" '
        r'integrity="sha384-…" crossorigin="anonymous"></script>'
    )
    assert re.fullmatch(pattern, block.splitlines()[1])

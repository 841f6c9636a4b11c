"""docs/websites.md does what it says: the way from nothing to the first event, the pictures, the tables."""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from catchment.adapters.http.pixel import PARAMETERS
from catchment.core.losses import KNOWN_REASONS, OTHER_REASON

from .running import Installation, Serving

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "websites.md").read_text(encoding="utf-8")
EXAMPLE = "https://events.example.com"


def section(heading: str) -> str:
    _, _, rest = PAGE.partition(f"\n## {heading}\n")
    assert rest, f"there is no section {heading!r}"
    return rest.partition("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


FIRST = section("From nothing to the first event")
MAIL = section("Mail, and pages without scripts")


@pytest.fixture
def served(installation: Installation) -> Iterator[Serving]:
    with installation.serving() as server:
        yield server


def test_the_way_from_nothing_to_the_first_event(installation: Installation, served: Serving) -> None:
    lines = [line for block in blocks(FIRST, "sh") for line in block.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("catchment ")]
    made = [words for words in commands if "create" in words]
    assert [words[0] for words in made] == ["account", "project"]
    printed = [installation.run(*words) for words in made]
    assert [done.returncode for done in printed] == [0, 0], printed
    (tag,) = re.findall(r"<script.*</script>", printed[1].stdout)
    (key,) = re.findall(r"pk_\w+", tag)
    (page,) = re.findall(r"<<'END'\n(.*?)\nEND\n", FIRST, flags=re.S)
    assert tag in page.replace("pk_…", key)

    (origin,) = [words[words.index("--origin") + 1] for words in made if "--origin" in words]
    assert f"Open <{origin}/>" in FIRST
    events = [{"event_name": name, "url": f"{origin}/", "event_data": {}} for name in ("PageView", "AddToCart")]
    answer = served.post({"projectKey": key, "events": events}, "/v1/batch", Origin=origin)
    assert answer.json["stored"] == 2
    (console,) = blocks(FIRST, "console")
    command, *expected = console.splitlines()
    shown = installation.run(*shlex.split(command.removeprefix("$ catchment "))).stdout.splitlines()
    assert shown[0].split() == expected[0].split()
    assert [line.split()[:2] + line.split()[3:] for line in shown[1:]] == [
        line.split()[:2] + line.split()[3:] for line in expected[1:]
    ]


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

"""The addresses of scripts, and the tag that loads one."""

from __future__ import annotations

import pytest

from catchment.adapters.http.tracker.tag import short_path, tag, versioned_path
from catchment.core.accounts.scripts import NAMES, Script


@pytest.mark.parametrize("name", NAMES)
def test_both_addresses_are_in_one_folder(name: str) -> None:
    script = Script(name=name, content=b"one")
    assert short_path(name) == f"/{name}.js"
    assert versioned_path(script) == f"/{name}.{script.version}.js"


def test_a_tag_has_the_address_and_the_key() -> None:
    assert tag("https://c.example/catchment.js", "pk_1") == (
        '<script defer src="https://c.example/catchment.js" data-key="pk_1"></script>'
    )


def test_a_pinned_tag_has_its_integrity_and_asks_without_credentials() -> None:
    assert tag("https://c.example/a.js", "pk_1", "sha384-x/+=") == (
        '<script defer src="https://c.example/a.js" data-key="pk_1" integrity="sha384-x/+=" crossorigin="anonymous">'
        "</script>"
    )


def test_nothing_gets_out_of_an_attribute() -> None:
    text = tag('https://c.example/"><script>', '"><img onerror=x>')
    assert text.count("<") == 2
    assert text.count('"') == 4

"""Scripts by name and version, and the tag that loads them."""

from __future__ import annotations

import base64
import hashlib

import pytest

from catchment.core.accounts.scripts import NAMES, Script, is_version, tag


def test_a_version_is_the_beginning_of_the_content_s_sha_256() -> None:
    script = Script(name="catchment", content=b"one")
    assert script.version == hashlib.sha256(b"one").hexdigest()[:16]
    assert is_version(script.version)
    assert script.version != Script(name="catchment", content=b"one ").version


def test_the_integrity_is_the_content_s_sha_384_as_browsers_read_it() -> None:
    kind, _, digest = Script(name="catchment", content=b"one").integrity.partition("-")
    assert kind == "sha384"
    assert base64.b64decode(digest) == hashlib.sha384(b"one").digest()


@pytest.mark.parametrize("name", NAMES)
def test_both_addresses_are_in_one_folder(name: str) -> None:
    script = Script(name=name, content=b"one")
    assert script.short_path == f"/{name}.js"
    assert script.versioned_path == f"/{name}.{script.version}.js"


@pytest.mark.parametrize("text", ["", "0" * 15, "0" * 17, "0" * 15 + "g", "A" * 16, "\uff10" * 16, "0" * 15 + "\n"])
def test_what_is_no_version_is_known(text: str) -> None:
    assert not is_version(text)


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

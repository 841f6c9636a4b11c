"""Scripts by name and version."""

from __future__ import annotations

import base64
import hashlib

import pytest

from catchment.core.accounts.scripts import Script, is_version


def test_a_version_is_the_beginning_of_the_content_s_sha_256() -> None:
    script = Script(name="catchment", content=b"one")
    assert script.version == hashlib.sha256(b"one").hexdigest()[:16]
    assert is_version(script.version)
    assert script.version != Script(name="catchment", content=b"one ").version


def test_the_integrity_is_the_content_s_sha_384_as_browsers_read_it() -> None:
    kind, _, digest = Script(name="catchment", content=b"one").integrity.partition("-")
    assert kind == "sha384"
    assert base64.b64decode(digest) == hashlib.sha384(b"one").digest()


@pytest.mark.parametrize("text", ["", "0" * 15, "0" * 17, "0" * 15 + "g", "A" * 16, "\uff10" * 16, "0" * 15 + "\n"])
def test_what_is_no_version_is_known(text: str) -> None:
    assert not is_version(text)

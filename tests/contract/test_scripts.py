"""`ScriptArchive`: what was kept is there, to the byte, for good."""

from __future__ import annotations

import pytest

from catchment.core.accounts.scripts import NAMES, Script

from ..support.storage import Storage

pytestmark = pytest.mark.gen_test

BYTES = bytes(range(256)) + "é\U0001f600\\'%s".encode()


async def test_what_was_not_kept_is_not_there(storage: Storage) -> None:
    assert await storage.archive.find("catchment", "0" * 16) is None


@pytest.mark.parametrize("content", [b"", BYTES, b"x" * 200_000], ids=["empty", "any bytes", "large"])
async def test_a_script_comes_back_to_the_byte(storage: Storage, content: bytes) -> None:
    script = Script(name="catchment", content=content)
    await storage.archive.keep(script)
    assert await storage.archive.find("catchment", script.version) == script


async def test_keeping_it_again_changes_nothing(storage: Storage) -> None:
    script = Script(name="catchment", content=b"one")
    for _ in range(3):
        await storage.archive.keep(script)
    assert await storage.archive.find("catchment", script.version) == script


async def test_versions_and_names_are_kept_apart(storage: Storage) -> None:
    scripts = [Script(name=name, content=content) for name in NAMES for content in (b"one", b"two")]
    for script in scripts:
        await storage.archive.keep(script)
    for script in scripts:
        assert await storage.archive.find(script.name, script.version) == script
    assert await storage.archive.find("catchment.min", scripts[0].version) is None

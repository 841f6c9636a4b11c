"""The plugins of an installation: tried before the start, listed, heard in the log."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from catchment.config import logs, plugins
from catchment.config.settings import PluginSettings, Settings
from catchment.plugins.errors import PluginErrors
from catchment.plugins.hooks import hookimpl
from catchment.plugins.loading import load_plugins


class Recorder:
    """A plugin that writes into a file which of its hooks was called, and in which process."""

    def __init__(self, path: Path, configure: Callable[[], object] = lambda: None) -> None:
        self.path = path
        self.configure = configure

    def say(self, word: str) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{word} {os.getpid() == PARENT}\n")

    @hookimpl
    async def catchment_configure(self) -> None:
        self.say("configure")
        self.task = asyncio.create_task(never_ends())
        await asyncio.sleep(0)
        self.configure()

    @hookimpl
    def catchment_close(self) -> None:
        self.say("close")


PARENT = os.getpid()


async def never_ends() -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


def bad() -> None:
    raise KeyError("size " * 20_000)


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("configure", "said", "words"),
    [
        (lambda: None, ["configure False", "close False"], None),
        (bad, ["configure False"], r"\Aplugins\.one: failed to start: KeyError: 'size size"),
        (dies, ["configure False"], r"ended by itself \(exit code -9\)"),
    ],
    ids=["good", "bad", "dies"],
)
def test_plugins_are_tried_in_a_process_that_ends(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    configure: Callable[[], object],
    said: list[str],
    words: str | None,
) -> None:
    one = Recorder(tmp_path / "said", configure)
    monkeypatch.setattr(plugins, "load_plugins", lambda disabled: load_plugins({"one": one}, installed=False))
    if words is None:
        plugins.try_plugins(Settings())
    else:
        with pytest.raises(PluginErrors, match=words):
            plugins.try_plugins(Settings())
    assert one.path.read_text(encoding="utf-8").splitlines() == said
    assert not hasattr(one, "task")


def test_every_installed_plugin_is_listed_whatever_is_wrong_with_it() -> None:
    sections = {"geography": {"database": "/a.mmdb"}, "campaigns": {"a": 1}, "csv": {"token": "abc"}, "ghost": {}}
    found = {
        one.name: one
        for one in plugins.list_plugins(Settings(plugins=PluginSettings(disabled=("bots", "gone"), sections=sections)))
    }
    assert {name: one.state for name, one in found.items()} == {
        "bots": "disabled",
        "campaigns": "failed",
        "csv": "loaded",
        "geography": "loaded",
        "ghost": "failed",
        "gone": "failed",
        "useragent": "loaded",
    }
    assert found["bots"].distribution == "catchment"
    assert found["geography"].order["catchment_locate"] == 1
    assert found["geography"].order["catchment_configure"] == 2
    assert found["geography"].settings == {"database": "/a.mmdb"}
    assert found["csv"].settings == {"token": "********"}
    assert found["campaigns"].problems == ("plugins.campaigns: this plugin takes no settings",)
    assert found["gone"].problems[0].startswith("plugins.disabled: there is no plugin 'gone'; there are: ")
    assert found["ghost"].problems[0].startswith("plugins.ghost: there is no plugin 'ghost'; there are: ")


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A plugin's package in the namespace of a company, with a module."""
    for name in ("acme_company", "acme_company.shop", "acme_company.shop.plugin"):
        made = ModuleType(name)
        if name != "acme_company":
            made.__file__ = "/x.py"
        monkeypatch.setitem(sys.modules, name, made)
    yield "acme_company.shop"
    logging.getLogger("acme_company.shop").setLevel(logging.NOTSET)


def test_a_plugin_s_loggers_follow_the_level_and_nobody_else_s_do(package: str) -> None:
    logs.follow("debug", [f"{package}.plugin", "tornado.access", "catchment.plugins.bots"])
    assert logging.getLogger(f"{package}.other").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("acme_company").isEnabledFor(logging.DEBUG)
    assert logging.getLogger("tornado").level == logging.NOTSET

"""The browsers of the machine: Debian's Chromium and Firefox, or those that the environment names."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from .bridge import bridged

CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""As root in a container, and without a word to anybody else."""

_FIREFOX = {
    "app.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "dom.ipc.processPrelaunch.enabled": False,  # processes for pages that no test opens
}

_WITH_WINDOWS = ("chromium", "chromium-browser", "google-chrome")
_PROGRAMS = {
    "chromium": ("chromium-headless-shell", *_WITH_WINDOWS),
    "chromium-windows": _WITH_WINDOWS,
    "firefox": ("firefox-esr", "firefox"),
}
"""The first that the machine has. The headless shell is Chromium without windows, and takes a quarter of the time. It
has no back/forward cache."""


def find(kind: str) -> str | None:
    """The program, or None where the machine has none. `CATCHMENT_TEST_CHROMIUM` and `…_FIREFOX` name another."""
    named = os.environ.get(f"CATCHMENT_TEST_{kind.partition('-')[0].upper()}")
    return named or next(filter(None, map(shutil.which, _PROGRAMS[kind])), None)


@contextlib.asynccontextmanager
async def launched(kind: str, program: str, folder: Path) -> AsyncIterator[Browser]:
    """A running browser. `folder`: for what it takes to start it."""
    async with async_playwright() as playwright:
        if kind != "firefox":
            browser = await playwright.chromium.launch(
                executable_path=program,
                args=CHROMIUM,
                # The back/forward cache is one of the things looked at.
                ignore_default_args=["--disable-back-forward-cache"],
            )
        else:
            browser = await playwright.firefox.launch(
                executable_path=str(bridged(program, folder)),
                channel="moz-firefox",
                firefox_user_prefs=_FIREFOX,
            )
        try:
            yield browser
        finally:
            await browser.close()

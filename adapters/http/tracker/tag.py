"""The addresses of the tracker's scripts, and the tag that loads one."""

from __future__ import annotations

from html import escape

from catchment.core.accounts.scripts import Script


def short_path(name: str) -> str:
    """Return the path of the shipped version of the script of this name."""
    return f"/{name}.js"


def versioned_path(script: Script) -> str:
    """Return the path of one version, which never changes."""
    return f"/{script.name}.{script.version}.js"


def tag(address: str, key: str, integrity: str | None = None) -> str:
    """Return the script tag for a website. `address`: the complete address of the script."""
    pinned = f' integrity="{escape(integrity)}" crossorigin="anonymous"' if integrity else ""
    return f'<script defer src="{escape(address)}" data-key="{escape(key)}"{pinned}></script>'

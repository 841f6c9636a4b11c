"""The plugins of an installation, under its settings: loaded, tried, listed."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from multiprocessing.connection import Connection
from typing import Any

from catchment.plugins.errors import PluginErrors
from catchment.plugins.loading import GROUP, Plugins, find_plugins, load_plugins
from catchment.plugins.manager import PluginExtensions

from . import logs
from .hiding import hide_secrets
from .settings import Settings

_SENT = 30_000
"""Bytes of errors: fewer than a pipe holds, so that nobody waits for a reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginState:
    """The state of a plugin, as ``catchment plugins`` shows it."""

    name: str
    state: str
    """`loaded`, `disabled` or `failed`."""
    distribution: str | None = None
    version: str | None = None
    module: str | None = None
    hooks: tuple[str, ...] = ()
    order: Mapping[str, int] = field(default_factory=dict)
    """By hook, the plugin's place among those that have it; the first is 1."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings it is given, without secrets."""
    problems: tuple[str, ...] = ()


def plugin_extensions(settings: Settings) -> PluginExtensions:
    """Return the plugins that are installed and not disabled, not configured yet. Raises `PluginErrors`."""
    plugins = load_plugins(disabled=settings.plugins.disabled)
    logs.follow(settings.log_level, [plugin.module for plugin in plugins.loaded.values()])
    return PluginExtensions(plugins, trace=settings.plugins.trace)


def try_plugins(settings: Settings) -> None:
    """Configure and close the plugins in a process of its own, before there is a worker: so no process configures a
    plugin twice, and none inherits what a plugin opened. Raises `PluginErrors`."""
    extensions = plugin_extensions(settings)
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(target=_try, args=(extensions, settings, writer), name="catchment: plugins")
    child.start()
    writer.close()
    child.join()
    try:
        errors = reader.recv() if reader.poll() else None
    except EOFError:
        errors = None
    reader.close()
    if errors is None:
        raise PluginErrors(
            [
                f"plugins: the process that tried their settings ended by itself (exit code {child.exitcode}); "
                "plugins.disabled finds out which of them it was"
            ]
        )
    if errors:
        raise PluginErrors(errors)


def _try(extensions: PluginExtensions, settings: Settings, writer: Connection) -> None:
    async def live() -> None:
        errors: tuple[str, ...] = ()
        try:
            await extensions.configure(settings.plugins.sections)
            await extensions.close()
        except PluginErrors as error:
            errors = error.errors
        writer.send(_cut(errors))
        os._exit(0)  # at once: threads and tasks that a plugin began need not end

    asyncio.run(live())


def _cut(errors: tuple[str, ...]) -> list[str]:
    kept, left = [], _SENT
    for error in errors:
        kept.append(error.encode(errors="replace")[:left].decode(errors="ignore"))
        left -= len(kept[-1].encode())
        if left <= 0:
            break
    return kept


def list_plugins(settings: Settings) -> list[PluginState]:
    """Return every plugin that is installed, those too that are disabled or can't be loaded. Configures none."""
    disabled = settings.plugins.disabled
    points = {point.name: point for point in entry_points(group=GROUP)}
    plugins, problems = find_plugins(disabled=[name for name in disabled if name in points])
    wrong: dict[str, list[str]] = {}
    for name, line in problems:
        wrong.setdefault(name, []).append(line)
    sections = settings.plugins.sections
    for name in sorted({*disabled, *sections} - points.keys()):
        key = "plugins.disabled" if name in disabled else f"plugins.{name}"
        wrong.setdefault(name, []).append(f"{key}: there is no plugin {name!r}; there are: {', '.join(sorted(points))}")
    described = {one.name: one for one in PluginExtensions(plugins).describe()}
    for name, one in described.items():
        if sections.get(name) and "catchment_configure" not in one.hooks:
            wrong.setdefault(name, []).append(f"plugins.{name}: this plugin takes no settings")
    found = []
    for name in sorted({*points, *wrong}):
        point, about = points.get(name), described.get(name)
        dist = point.dist if point is not None else None
        found.append(
            PluginState(
                name=name,
                state="failed" if name in wrong else "disabled" if name in disabled else "loaded",
                distribution=dist.name if dist is not None else None,
                version=dist.version if dist is not None else None,
                module=about.module if about is not None else point.module if point is not None else None,
                hooks=about.hooks if about is not None else (),
                order=_places(plugins, name, about.hooks) if about is not None else {},
                settings=hide_secrets(sections.get(name, {})),
                problems=tuple(wrong.get(name, ())),
            )
        )
    return found


def _places(plugins: Plugins, name: str, hooks: tuple[str, ...]) -> dict[str, int]:
    return {hook: [one.plugin_name for one in plugins.implementations(hook)].index(name) + 1 for hook in hooks}

"""Commands that show and check an installation: its plugins and its settings."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

import click

from catchment.core.errors import Misconfigured

from .context import Context, command
from .output import Output

_BARE_KEY = re.compile("[A-Za-z0-9_-]+")


def add_installation(root: click.Group) -> None:
    @command(root, "plugins")
    def plugins(context: Context, output: Output) -> None:
        """List the plugins that are installed: their state, hooks and settings, and what is wrong with them.

        The number behind a hook is the plugin's place among those that have it. Exits with 2 if one can't be loaded.
        """
        found = context.actions.plugins()
        rows = [
            {
                "name": plugin.name,
                "state": plugin.state,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "module": plugin.module,
                "hooks": list(plugin.hooks) if output.as_json else [f"{h} ({plugin.order[h]})" for h in plugin.hooks],
                "order": dict(plugin.order),
                "settings": dict(plugin.settings) if output.as_json else _settings_words(plugin.settings),
                "problems": list(plugin.problems),
            }
            for plugin in found
        ]
        columns = {"name": "Plugin", "state": "State", "distribution": "From", "version": "Version", "hooks": "Hooks"}
        columns["settings"] = "Settings"
        output.table(rows, columns, "No plugin is installed.", droppable=["distribution", "version"])
        problems = [problem for plugin in found for problem in plugin.problems]
        for problem in problems:
            output.say(problem)
        if problems:
            sys.exit(2)

    @root.group("config")
    def config() -> None:
        """See and check the settings."""

    @command(config, "show")
    def show(context: Context, output: Output) -> None:
        """Print the settings as they are now, secrets hidden, and where each comes from: a default, the file, or a
        variable of the environment."""
        shown = context.actions.shown_settings()
        file, sources = shown.get("settings_file"), shown.get("sources", {})
        lines = [f"# settings: {file}" if file else "# no settings file", ""]
        for section, values in shown.items():
            if section in ("settings_file", "sources"):
                continue
            lines.append(f"[{section}]")
            for name, value in values.items():
                text = f"{_toml_key(name)} = {_toml(value)}"
                source = _source_words(sources, f"{section}.{name}")
                lines.append(f"{text:<40}  # {source}" if source else text)
            lines.append("")
        output.document(shown, "\n".join(lines).rstrip())

    @command(config, "check")
    def check(context: Context, output: Output) -> None:
        """Check the settings, plugins, database, port and rights. Starts and changes nothing.

        Harmless beside a running server. Exits with 0 if nothing fails, 1 if something does, and 2 if it is the
        settings, a plugin's too.
        """
        try:
            found = [
                {"name": one.name, "level": one.level, "message": one.message, "advice": one.advice}
                for one in context.actions.check()
            ]
        except Misconfigured as error:
            found = [
                {"name": "settings", "level": "fail", "message": line, "advice": "mend it"}
                for line in str(error).splitlines()
            ]
        failed = [one["name"] for one in found if one["level"] == "fail"]
        lines = [
            f"{one['level']:<4}  {one['name']}: {one['message']}" + (f" -> {one['advice']}" if one["advice"] else "")
            for one in found
        ]
        output.document({"ok": not failed, "checks": found}, "\n".join(lines))
        if failed:
            sys.exit(2 if {"settings", "plugins"} & set(failed) else 1)


def _settings_words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_toml(value)}" for name, value in settings.items())


def _source_words(sources: dict[str, str], name: str) -> str:
    """Return the source of a value; for a plugin's section, the sources of its values."""
    below = [source for key, source in sources.items() if key == name or key.startswith(f"{name}.")]
    return ", ".join(dict.fromkeys(below))


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml_key(name)} = {_toml(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)


def _toml_key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)

"""Finds plugins, and their mistakes before they are used.

Either every plugin is found, imported and agrees with the hooks, or `load_plugins` raises one `PluginErrors` with a
line for each mistake.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from . import hooks
from .errors import PluginErrors

GROUP = hooks.PROJECT
PREFIX = f"{hooks.PROJECT}_"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_TAKEN = frozenset({"disabled", "trace"})
"""Keys of the settings' section ``[plugins]``, which also has each plugin's own section."""
_SEE = "see docs/plugins.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A plugin that agrees with the hooks."""

    name: str
    plugin: object
    distribution: str | None
    """Of the entry point; None for a plugin that was passed in."""
    version: str | None
    module: str
    """Its module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugins:
    """The loaded plugins: pluggy's registry, and the source of each plugin, by name."""

    registry: pluggy.PluginManager
    loaded: Mapping[str, Loaded]
    disabled: frozenset[str]

    def implementations(self, hook: str) -> list[pluggy.HookImpl]:
        """Return the implementations of a hook, in the order of their calls."""
        return sorted(
            getattr(self.registry.hook, hook).get_hookimpls(),
            key=lambda impl: (impl.trylast - impl.tryfirst, impl.plugin_name),
        )


def load_plugins(
    given: Mapping[str, object] | None = None, *, disabled: Collection[str] = (), installed: bool = True
) -> Plugins:
    """Return the plugins of the entry-point group ``catchment`` (if `installed`), and those `given` by name.

    A plugin whose name is in `disabled` is not even imported. A plugin is a module, an object, or a class, which is
    called without arguments. Raises `PluginErrors`, with all mistakes.
    """
    plugins, problems = find_plugins(given, disabled=disabled, installed=installed)
    if problems:
        raise PluginErrors([line for _, line in problems])
    return plugins


Problem = tuple[str, str]
"""The name of a plugin, and one line about its mistake."""


def find_plugins(
    given: Mapping[str, object] | None = None, *, disabled: Collection[str] = (), installed: bool = True
) -> tuple[Plugins, list[Problem]]:
    """Return the plugins without mistakes, as `load_plugins` does, and the mistakes of the others."""
    registry = pluggy.PluginManager(hooks.PROJECT)
    registry.add_hookspecs(hooks)
    errors: list[Problem] = []
    points = _points(entry_points(group=GROUP) if installed else (), errors)
    plugins = given or {}
    errors.extend(
        (name, f"plugin {name}: handed in, and installed under the same name; rename it")
        for name in plugins.keys() & points.keys()
    )
    names = points.keys() | plugins.keys()
    errors.extend(
        (name, f"plugins.disabled: there is no plugin {name!r}; there are: {_listed(names)}")
        for name in sorted(set(disabled) - names)
    )
    loaded: dict[str, Loaded] = {}
    for name in sorted(names - set(disabled)):
        found = _load(name, points.get(name), plugins.get(name), errors)
        if found is not None:
            problems = _problems(registry, name, found.plugin)
            errors.extend((name, f"plugin {name}: {problem}") for problem in problems)
            if not problems:
                loaded[name] = found
    return Plugins(registry=registry, loaded=loaded, disabled=frozenset(disabled)), errors


def hook_names() -> tuple[str, ...]:
    """Return the names of all hooks."""
    return tuple(name for name, value in vars(hooks).items() if hasattr(value, f"{hooks.PROJECT}_spec"))


@dataclass(frozen=True, slots=True)
class _Installed:
    """An entry point of any class: if the backport `importlib_metadata` was imported, the standard library returns
    the backport's class."""

    point: EntryPoint


def _points(found: Iterable[EntryPoint], errors: list[Problem]) -> dict[str, EntryPoint]:
    points: dict[str, EntryPoint] = {}
    for point in found:
        other = points.setdefault(point.name, point)
        if other.value != point.value:
            both = f"{_distribution(other)} and {_distribution(point)}"
            line = f"plugin {point.name}: {both} both have one of this name; uninstall one of them"
            errors.append((point.name, line))
    return points


def _load(name: str, point: EntryPoint | None, plugin: object, errors: list[Problem]) -> Loaded | None:
    distribution = version = None
    try:
        if point is not None:
            plugin = point.load()
            if point.dist is not None:
                distribution, version = point.dist.name, point.dist.version
        module = _module_of(plugin)
        if inspect.isclass(plugin):
            plugin = plugin()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        where = f"{point.value} of {_distribution(point)}" if point is not None else "its class"
        what = _one_line(error)
        line = f"plugin {name}: {where} can't be loaded: {what}; mend it, uninstall it or disable it"
        errors.append((name, line))
        return None
    return Loaded(name=name, plugin=plugin, distribution=distribution, version=version, module=module)


def _module_of(plugin: Any) -> str:
    if inspect.ismodule(plugin):
        return plugin.__name__
    return str(getattr(plugin, "__module__", type(plugin).__module__))


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown distribution"


def _one_line(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:  # the error's own text fails
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


# The mistakes of a plugin


def _problems(registry: pluggy.PluginManager, name: str, plugin: object) -> list[str]:
    """Return the mistakes of a plugin. Without any, register it."""
    problems = []
    if name in _TAKEN:
        problems.append(f"{name} is a key of the settings' section [plugins]; rename it")
    if not _NAME.fullmatch(name):
        problems.append("a plugin's name is 1 to 40 of a-z, 0-9, - and _, and begins with a letter or digit")
    marked = 0
    for attribute in dir(plugin):
        options = registry.parse_hookimpl_opts(plugin, attribute)
        if options is not None:
            marked += 1
            function = getattr(plugin, attribute)
            problems.extend(_problems_of(options.get("specname") or attribute, function, options))
        elif attribute.startswith(PREFIX) and inspect.isroutine(inspect.getattr_static(plugin, attribute)):
            problems.append(f"{attribute} is not marked with @hookimpl; mark it, or rename it; {_SEE}")
    if not marked and not problems:
        problems.append(f"it implements no hook; point the entry point at what has the functions; {_SEE}")
    if not problems:
        try:
            registry.register(plugin, name)
        except (pluggy.PluginValidationError, ValueError) as error:
            problems.append(f"{' '.join(str(error).split())}; {_SEE}")
    return problems


def _problems_of(hook: str, function: Callable[..., Any], options: Mapping[str, Any]) -> Iterable[str]:
    spec = getattr(hooks, hook, None) if hook.startswith(PREFIX) else None
    if spec is None:
        if not options.get("optionalhook"):
            names = [name.removeprefix(PREFIX) for name in hook_names()]
            close = get_close_matches(hook.removeprefix(PREFIX), names, n=1)
            yield f"there is no hook {hook}; {f'did you mean {PREFIX}{close[0]}?' if close else _SEE}"
        return
    if options.get("wrapper") or options.get("hookwrapper"):
        yield f"{hook} is a wrapper; hooks are called one by one here, so make it a plain function; {_SEE}"
        return
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        yield f"{hook} yields; let it return its result; {_SEE}"
    taken = inspect.signature(spec).parameters
    for parameter in inspect.signature(function).parameters.values():
        wanted = f"{hook} takes ({', '.join(taken)})"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            yield f"{wanted}, and no {parameter}; {_SEE}"
        elif parameter.name not in taken:
            if parameter.default is parameter.empty:
                yield f"{wanted}, and no {parameter.name}; {_SEE}"
        elif parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty:
            # pluggy would call it without the argument, and say nothing.
            yield f"{wanted}: {parameter.name} is positional and has no default; {_SEE}"

"""Finding plugins, and the errors of those that can't be used: all of them, at once, with what to do."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from catchment.plugins import loading
from catchment.plugins.errors import PluginErrors
from catchment.plugins.hooks import hookimpl
from catchment.plugins.loading import hook_names, load_plugins
from catchment.plugins.manager import PluginExtensions

from .support import plugin

HOOKS = (
    "catchment_configure",
    "catchment_close",
    "catchment_parse_user_agent",
    "catchment_locate",
    "catchment_validate",
    "catchment_enrich",
    "catchment_bill",
    "catchment_quota_state",
)


def problems(**plugins: object) -> tuple[str, ...]:
    with pytest.raises(PluginErrors) as caught:
        load_plugins(plugins, installed=False)
    return caught.value.errors


class Dist(SimpleNamespace):
    name: str
    version: str


def install(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str, str]) -> None:
    """Entry points by name, value and distribution, in place of those that are installed."""

    def entry_points(group: str) -> list[EntryPoint]:
        assert group == "catchment"
        found = [EntryPoint(name, value, group) for name, value, _ in points]
        for point, (_, _, distribution) in zip(found, points, strict=True):
            vars(point).update(dist=Dist(name=distribution, version="1.2"))
        return found

    monkeypatch.setattr(loading, "entry_points", entry_points)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that can be imported, with a plugin as a module, an object and a class."""

    class Plugin:
        @hookimpl
        def catchment_enrich(self) -> None: ...

    made = ModuleType("installed_plugin")
    Plugin.__module__ = made.__name__
    vars(made).update(Plugin=Plugin, plugin=Plugin(), catchment_validate=hookimpl(lambda event: None))
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


def test_the_hooks_there_are() -> None:
    assert hook_names() == HOOKS


def test_entry_points_are_found_and_described(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    """A module and an object are taken as they are; a class is called."""
    install(
        monkeypatch,
        ("as-module", "installed_plugin", "alpha"),
        ("as-object", "installed_plugin:plugin", "beta"),
        ("as-class", "installed_plugin:Plugin", "beta"),
    )
    given = plugin(bill=lambda usage: None)
    extensions = PluginExtensions(load_plugins({"given": given}))
    assert [(d.name, d.distribution, d.version, d.module, d.hooks) for d in extensions.describe()] == [
        ("as-class", "beta", "1.2", "installed_plugin", ("catchment_enrich",)),
        ("as-module", "alpha", "1.2", "installed_plugin", ("catchment_validate",)),
        ("as-object", "beta", "1.2", "installed_plugin", ("catchment_enrich",)),
        ("given", None, None, "tests.plugins.support", ("catchment_bill",)),
    ]


def test_an_entry_point_of_another_type_is_one_too(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    """The backport `importlib_metadata`, once any library imports it, makes Python find its own type of them."""
    point = SimpleNamespace(name="here", value="installed_plugin", load=lambda: module, dist=None)
    monkeypatch.setattr(loading, "entry_points", lambda group: [point])
    (described,) = PluginExtensions(load_plugins()).describe()
    assert (described.name, described.distribution, described.hooks) == ("here", None, ("catchment_validate",))


def test_the_shipped_plugins_are_entry_points_of_the_distribution() -> None:
    """As installed by `make setup`; an author's plugin comes in the same way."""
    described = {d.name: d for d in PluginExtensions(load_plugins()).describe()}
    shipped = {name: described[name] for name in ("bots", "campaigns", "csv", "geography", "useragent")}
    assert {d.distribution for d in shipped.values()} == {"catchment"}
    assert {name: d.hooks[-1] for name, d in shipped.items()} == {
        "bots": "catchment_enrich",
        "campaigns": "catchment_enrich",
        "csv": "catchment_bill",
        "geography": "catchment_locate",
        "useragent": "catchment_parse_user_agent",
    }


def test_one_that_is_disabled_is_not_even_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("broken", "there_is_no_such_module", "beta"))
    loaded = load_plugins({"good": plugin(enrich=lambda: None)}, disabled=["broken"])
    assert list(loaded.loaded) == ["good"]


def test_one_that_is_disabled_may_keep_its_settings(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    import asyncio

    install(monkeypatch, ("off", "installed_plugin:plugin", "beta"))
    asyncio.run(PluginExtensions(load_plugins(disabled=["off"])).configure({"off": {"a": 1}}))


def test_disabling_what_there_is_not_is_a_slip_of_the_pen() -> None:
    with pytest.raises(PluginErrors, match=r"\Aplugins\.disabled: there is no plugin 'gone'; there are: here"):
        load_plugins({"here": plugin(enrich=lambda: None)}, disabled=["gone"], installed=False)


def test_all_that_can_not_be_loaded_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "broken_plugin.py").write_text("import there_is_no_such_library\n")
    (tmp_path / "leaving_plugin.py").write_text("raise SystemExit('bye')\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    class Needy:
        def __init__(self, argument: object) -> None: ...

        @hookimpl
        def catchment_enrich(self) -> None: ...

    install(
        monkeypatch,
        ("broken", "broken_plugin", "one"),
        ("leaving", "leaving_plugin", "two"),
        ("missing", "installed_plugin:nothing", "three"),
        ("twice", "installed_plugin", "four"),
        ("twice", "installed_plugin:plugin", "five"),
    )
    with pytest.raises(PluginErrors) as caught:
        load_plugins({"needy": Needy})
    assert str(caught.value) == "\n".join(caught.value.errors)
    assert [line.partition(";")[0] for line in caught.value.errors] == [
        "plugin twice: four and five both have one of this name",
        "plugin broken: broken_plugin of one can't be loaded: ModuleNotFoundError: No module named "
        "'there_is_no_such_library'",
        "plugin leaving: leaving_plugin of two can't be loaded: SystemExit: bye",
        "plugin missing: installed_plugin:nothing of three can't be loaded: AttributeError: module "
        "'installed_plugin' has no attribute 'nothing'",
        "plugin needy: its class can't be loaded: TypeError: test_all_that_can_not_be_loaded_is_said_at_once."
        "<locals>.Needy.__init__() missing 1 required positional argument: 'argument'",
    ]


def test_one_handed_in_under_a_name_that_is_installed(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    install(monkeypatch, ("same", "installed_plugin", "alpha"))
    with pytest.raises(PluginErrors, match="plugin same: handed in, and installed under the same name"):
        load_plugins({"same": plugin(enrich=lambda: None)})


def test_a_hook_that_there_is_not() -> None:
    assert problems(a=plugin(enrihc=lambda event: None), b=plugin(dance=lambda event: None, enrich=lambda: None)) == (
        "plugin a: there is no hook catchment_enrihc; did you mean catchment_enrich?",
        "plugin b: there is no hook catchment_dance; see docs/plugins.md",
    )


def test_an_optional_hook_may_be_one_of_a_later_version() -> None:
    later = plugin(enrich=lambda: None, dance=hookimpl(optionalhook=True)(lambda: None))
    extensions = PluginExtensions(load_plugins({"later": later}, installed=False))
    assert extensions.describe()[0].hooks == ("catchment_enrich",)


def test_a_hook_that_is_not_marked() -> None:
    class Forgetful:
        @hookimpl
        def catchment_enrich(self) -> None: ...

        def catchment_validate(self, event: object) -> None: ...

        catchment_notes = "not a function"

    assert problems(forgetful=Forgetful()) == (
        "plugin forgetful: catchment_validate is not marked with @hookimpl; mark it, or rename it; see docs/plugins.md",
    )


def takes_another(evnt: object) -> None: ...
def has_a_default(event: object = None) -> None: ...
def takes_more(event: object, more: object) -> None: ...
def takes_anything(*args: object, **kwargs: object) -> None: ...
def keyword_only(*, event: object) -> None: ...
def own_default(event: object, size: int = 3) -> None: ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (takes_another, ["and no evnt"]),
        (takes_more, ["and no more"]),
        (takes_anything, ["and no *args: 'object'", "and no **kwargs: 'object'"]),
        (has_a_default, ["event is positional and has no default"]),
        (keyword_only, ["event is positional and has no default"]),
    ],
)
def test_a_wrong_signature(function: Any, words: list[str]) -> None:
    found = problems(wrong=plugin(enrich=function))
    assert len(found) == len(words)
    for line, word in zip(found, words, strict=True):
        assert line.startswith("plugin wrong: catchment_enrich takes (event)")
        assert word in line


def test_a_default_of_its_own_is_its_own_business() -> None:
    load_plugins({"fine": plugin(enrich=own_default)}, installed=False)


@pytest.mark.parametrize("marks", [{"wrapper": True}, {"hookwrapper": True}])
def test_a_wrapper(marks: dict[str, bool]) -> None:
    def wraps(event: object) -> Any:
        yield

    (line,) = problems(wrapping=plugin(enrich=hookimpl(**marks)(wraps)))
    assert line.startswith("plugin wrapping: catchment_enrich is a wrapper; hooks are called one by one here")


def test_one_that_yields() -> None:
    def yields(event: object) -> Any:
        yield {}

    async def yields_later(event: object) -> Any:
        yield {}

    assert problems(a=plugin(enrich=yields), b=plugin(enrich=yields_later)) == (
        "plugin a: catchment_enrich yields; let it return its result; see docs/plugins.md",
        "plugin b: catchment_enrich yields; let it return its result; see docs/plugins.md",
    )


def test_what_is_no_plugin_at_all() -> None:
    assert problems(nothing=object()) == (
        "plugin nothing: it implements no hook; point the entry point at what has the functions; see docs/plugins.md",
    )


def test_one_object_under_two_names() -> None:
    one = SimpleNamespace(catchment_enrich=hookimpl(lambda: None))
    (line,) = problems(a=one, b=one)
    assert line.startswith("plugin b: ")
    assert "already registered" in line


@pytest.mark.parametrize("name", ["", "Upper", "with:colon", "with space", "a" * 41, "ünder"])
def test_a_name_is_a_plain_word(name: str) -> None:
    (line,) = problems(**{name: plugin(enrich=lambda: None)})
    assert "a plugin's name is 1 to 40 of" in line


def test_importing_the_shipped_plugins_does_nothing() -> None:
    """No database is opened, no expression compiled, no library of data read, before `configure`."""
    import subprocess

    script = (
        "import sys, importlib\n"
        "for name in ('geography', 'useragent', 'campaigns', 'bots', 'billing_csv'):\n"
        "    importlib.import_module(f'catchment.plugins.{name}')\n"
        "heavy = {'crawleruseragents', 'ua_parser', 'ua_parser_rs'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

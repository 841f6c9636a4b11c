"""docs/plugins.md and the example package hold what they say: signatures, examples, tests."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest

from catchment.core.event import NO_USER_AGENT
from catchment.core.metering.ladder import State
from catchment.core.outcomes import Filtered
from catchment.plugins import hooks, testkit
from catchment.plugins.hooks import Enrichment, Place, UserAgent
from catchment.plugins.loading import hook_names, load_plugins
from catchment.plugins.manager import PluginExtensions
from catchment.plugins.testkit import (
    call_hook,
    check_plugin,
    run_hook,
    sample_event,
    sample_quota_state,
    sample_usage,
)

from .support import run

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "plugins.md").read_text(encoding="utf-8")
PACKAGE = DOCS / "examples" / "plugin-package"
_SIGNATURE = re.compile(r"def (catchment_\w+)(\(.*\) -> .*): \.\.\.\n")


def sections() -> Iterator[tuple[str, str]]:
    """Every section of the page, by its heading."""
    for part in re.split(r"^##+ ", PAGE, flags=re.M)[1:]:
        heading, _, text = part.partition("\n")
        yield heading, text


def blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.M | re.S)


def examples() -> dict[str, list[str]]:
    """The whole examples of every section that has any: all blocks but the signatures."""
    found = {heading: [b for b in blocks(text) if not _SIGNATURE.fullmatch(b)] for heading, text in sections()}
    return {heading: those for heading, those in found.items() if those}


def module_of(source: str) -> ModuleType:
    module = ModuleType("example")
    exec(compile(source, "docs/plugins.md", "exec"), vars(module))  # noqa: S102
    return module


def example(heading: str, number: int = 0) -> Any:
    """The plugin of an example: its object `plugin`, else the module."""
    module = module_of(examples()[heading][number])
    return getattr(module, "plugin", module)


def test_every_hook_has_its_section_with_the_signature_of_the_code() -> None:
    documented = {
        found[1]: (heading, found[2])
        for heading, text in sections()
        for block in blocks(text)
        if (found := _SIGNATURE.fullmatch(block))
    }
    expected = {name: (name, str(inspect.signature(getattr(hooks, name))).replace("'", "")) for name in hook_names()}
    assert documented == expected


@pytest.mark.parametrize("hook", hook_names())
def test_every_hook_says_the_same_four_things_and_has_a_whole_example(hook: str) -> None:
    text = dict(sections())[hook]
    for word in ("Arguments", "Returns", "Order", "None"):
        assert f"\n- **{word}.** " in text
    assert hook in check_plugin(example(hook))
    for word in ("Arguments:", "Returns:", "Order:"):
        assert word in (getattr(hooks, hook).__doc__ or "")


@pytest.mark.parametrize(
    ("heading", "number"), [(heading, n) for heading, those in examples().items() for n in range(len(those))]
)
def test_every_example_runs_and_so_do_the_tests_in_it(heading: str, number: int) -> None:
    module = module_of(examples()[heading][number])
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    for test in tests:
        test()
    if not tests:
        check_plugin(getattr(module, "plugin", module))


VALUES = [
    *(value for name in hooks.__all__ if is_dataclass(value := getattr(hooks, name))),
    hooks.Event,
    testkit.Refusal,
    testkit.Filtered,
    testkit.EventWarning,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_every_field_of_a_value_is_documented_with_its_type(value: type) -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \| (.+) \|$", dict(sections())[value.__name__], flags=re.M)
    documented = [(name, kind.replace(r"\|", "|")) for name, kind, _ in rows]
    assert documented == [(name, written(kind)) for name, kind in get_type_hints(value).items()]


def written(kind: Any) -> str:
    """Return a type as it is written in Python."""
    text = kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
    return re.sub(r"\b[a-z_]+(\.[a-z_]+)*\.(?=[A-Z])", "", text)


def test_everything_an_author_imports_is_in_one_place() -> None:
    """The shipped plugins and the example have it from there, too."""
    root = PACKAGE.parents[2]
    shipped = [path for path in (root / "plugins").glob("*/*.py") if "__pycache__" not in path.parts]
    seen = {"catchment.plugins.hooks": set(hooks.__all__), "catchment.plugins.testkit": set(testkit.__all__)}
    assert len(shipped) >= 6
    for path in (*shipped, *PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                module = "catchment.plugins.hooks" if (node.level, node.module) == (2, "hooks") else node.module or ""
                if module.startswith("catchment") and node.level in (0, 2) and module != "catchment_hello":
                    assert {alias.name for alias in node.names} <= seen.get(module, set()), (path, module)
                else:
                    assert node.level < 2, path
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith("catchment.") for alias in node.names), path
    for name in hooks.__all__:
        assert f"`{name}" in dict(sections())["The smallest plugin"], name


def test_the_example_package_fetches_nothing_by_a_name_that_is_free() -> None:
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"] == []


def test_the_smallest_example_greets() -> None:
    run = run_hook(example("The smallest plugin"), "catchment_enrich", sample_event())
    assert run.result == [Enrichment(properties={"greeting": "hello"})]


def test_the_example_of_an_object_counts() -> None:
    run = run_hook(example("The smallest plugin", 1), "catchment_enrich", sample_event())
    assert run.result == [Enrichment(properties={"number": 1})]


def test_the_example_of_settings_refuses_a_bad_one() -> None:
    sampling = example("catchment_configure")
    run_hook(sampling, "catchment_configure", {"keep": 10})
    assert sampling.keep == 10
    [error] = run_hook(sampling, "catchment_configure", {"keep": 200}).errors
    assert isinstance(error, hooks.PluginSettingsError)
    assert "keep: 200 is no percentage" in str(error)


def test_the_example_of_a_user_agent_answers() -> None:
    kiosk = example("catchment_parse_user_agent")
    found = run_hook(kiosk, "catchment_parse_user_agent", "Kiosk/4.2").result
    assert found == UserAgent(browser="Kiosk", browser_version="4.2", device="kiosk")
    assert run_hook(kiosk, "catchment_parse_user_agent", "Mozilla/5.0").result == NO_USER_AGENT


def test_the_example_of_a_locator_answers() -> None:
    offices = example("catchment_locate")
    assert run_hook(offices, "catchment_locate", "10.2.3.4").result == Place(country="FR", city="Lyon")
    assert run_hook(offices, "catchment_locate", "2001:db8::1").result == Place()


def test_the_example_of_a_validator_objects() -> None:
    strict = example("catchment_validate")
    refusal = run_hook(strict, "catchment_validate", sample_event(name="Purchase")).result
    assert refusal.code == "order_id_missing"
    internal = run_hook(strict, "catchment_validate", sample_event(page_path="/internal/a"), name="strict")
    assert internal.result == Filtered("plugin:strict:internal_page")
    assert run_hook(strict, "catchment_validate", sample_event()).result is None


def test_the_example_of_an_enricher_flags() -> None:
    uptime = example("catchment_enrich")
    found = run_hook(uptime, "catchment_enrich", sample_event(user_agent="uptime-check/home")).result
    assert found == [Enrichment(is_bot=True, properties={"check": "home"})]


def test_the_example_of_a_billing_backend_replaces() -> None:
    ledger = example("catchment_bill")
    run_hook(ledger, "catchment_bill", sample_usage(events=1))
    run_hook(ledger, "catchment_bill", sample_usage(events=2))
    assert list(ledger.rows.values()) == [2]


def test_the_example_of_one_who_is_told_states_of_quotas_keeps_each_once() -> None:
    mail = example("catchment_quota_state")
    for change in (sample_quota_state(), sample_quota_state(), sample_quota_state(state=State.WARNING)):
        assert run_hook(mail, "catchment_quota_state", change).errors == ()
    assert list(mail.sent.values()) == ["acme: 80,000 events a month, soft. It begins anew at 2025-09-01."]


def test_the_table_of_shipped_plugins_is_whole() -> None:
    from importlib.metadata import entry_points

    shipped = {p.name for p in entry_points(group="catchment") if p.dist is not None and p.dist.name == "catchment"}
    table = dict(sections())["The shipped plugins"]
    assert set(re.findall(r"^\| `(\w+)` \|", table, flags=re.M)) == shipped


def test_the_kit_is_for_a_running_loop_too() -> None:
    async def inside() -> Any:
        return (await call_hook(example("catchment_locate"), "catchment_locate", "10.1.0.1")).result.city

    assert run(inside()) == "Munich"


def test_the_kit_knows_no_other_hook() -> None:
    with pytest.raises(ValueError, match="there is no hook catchment_dance"):
        run_hook(example("catchment_enrich"), "catchment_dance", None)


def hello() -> ModuleType:
    spec = importlib.util.spec_from_file_location("catchment_hello", PACKAGE / "src/catchment_hello/__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tests_of_the_example_package_pass() -> None:
    paths = os.pathsep.join([str(PACKAGE / "src"), *(path for path in sys.path if path)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(PACKAGE), "-c", os.devnull],
        cwd=PACKAGE,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_package_has_its_way_over_the_shipped_locator() -> None:
    from catchment.plugins.geography import plugin as geography

    both = PluginExtensions(load_plugins({"geography": geography, "hello": hello()}, installed=False))

    async def locate() -> Place:
        await both.configure({})
        return await both.locate("203.0.113.7", [])

    assert run(locate()) == Place(country="AQ", region="Documentation", city="Example City")


def test_the_documented_entry_point_is_that_of_the_example_package() -> None:
    entry = '[project.entry-points.catchment]\nhello = "catchment_hello"\n'
    assert entry in PAGE
    assert entry in (PACKAGE / "pyproject.toml").read_text(encoding="utf-8")

"""Faults 18 and 19: a plugin that raises, hangs or changes its input; a map of addresses that is broken or gone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..support.plugins import install_plugin
from ..support.waiting import wait_until
from .load import event, new_id
from .rig import Rig
from .server import SHIPPED, environment_of

_PLUGIN = """
import asyncio, sys
from catchment.plugins.hooks import Place, UserAgent, hookimpl

def fail(how, event=None):
    if how == "raises":
        raise RuntimeError(repr(event))  # what it says is an event's, and belongs into no log
    if how == "exits":
        sys.exit(3)
    if how == "cancels":
        raise asyncio.CancelledError
    if how == "changes" and event is not None:
        event.data.clear()
        event.data["changed"] = True
        event.properties["changed"] = True

@hookimpl
def catchment_parse_user_agent(user_agent):
    fail(user_agent)
    return 42 if user_agent == "nonsense" else UserAgent(browser="Bad")

@hookimpl
def catchment_validate(event):
    fail(event.name, event)
    return "nonsense" if event.name == "nonsense" else None

@hookimpl
async def catchment_enrich(event):
    fail(event.name, event)
    if event.name == "hangs":
        await asyncio.sleep(3600)
    if event.name == "nonsense":
        return {"a": object(), 1: float("nan")}
    return {"seen": True}
"""


@pytest.fixture
def bad_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers have the plugin `bad` installed."""
    for name, value in install_plugin(tmp_path / "site", "bad", _PLUGIN).items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("how", ["raises", "exits", "cancels", "changes", "nonsense"])
@pytest.mark.usefixtures("bad_plugin")
def test_an_event_is_kept_as_it_was_whatever_a_plugin_does(rig: Rig, how: str) -> None:
    server = rig.serve()
    good = rig.post(event(new_id(), event_name="good"))
    assert (good.code, good.json["warnings"]) == ("stored", [])
    bad = rig.post(event(new_id(), event_name=how, userAgent=how))
    assert bad.code == "stored"
    warnings = [warning for warning in bad.json["warnings"] if warning["code"] == "plugin_failed"]
    assert {warning["field"] for warning in warnings} == {"bad"}
    assert len(warnings) >= 2
    stored = rig.execute("SELECT data, properties FROM catchment.event WHERE name = %s", how)
    assert stored == [({"note": event("")["event_data"]["note"]}, {})]
    assert rig.post(event(new_id(), event_name="good")).json["warnings"] == []
    rig.judge()
    assert server.running


@pytest.mark.usefixtures("bad_plugin")
def test_a_plugin_that_hangs_costs_its_part_and_a_bounded_time(rig: Rig) -> None:
    rig.serve()
    answers = rig.post_at_once([[event(new_id(), event_name="hangs")] for _ in range(20)])
    assert {answer.code for answer in answers} == {"stored"}
    assert max(answer.seconds for answer in answers) < 2
    assert rig.post(event(new_id(), event_name="hangs")).seconds < 0.3, "a hook that keeps hanging rests"
    rig.judge()


@pytest.mark.usefixtures("bad_plugin")
def test_failures_of_plugins_are_counted(rig: Rig) -> None:
    server = rig.serve()
    for _ in range(5):
        rig.post(event(new_id(), event_name="raises"))
    counted = wait_until(
        lambda: server.metric("catchment_plugin_failures_total", 'plugin="bad"', 'hook="catchment_validate"'),
        "they are counted",
    )
    assert counted == 5
    rig.judge()


WITHOUT_OTHERS = ",".join(name for name in SHIPPED.split(",") if name != "geography")
LONDON = "81.2.69.142"


@pytest.fixture
def addresses(rig: Rig, tmp_path: Path) -> Path:
    """A map of addresses that may be hurt."""
    from catchment.plugins import geography

    packaged = Path(str(geography.__file__)).parent / "data" / "geo-whois-asn-country.mmdb"
    if not packaged.is_file():
        pytest.skip("the shipped map of addresses is not there: make assets")
    command = [sys.executable, "-m", "catchment.config.main", "plugins"]
    ready = subprocess.run(
        command, env=environment_of(rig.dsn, PLUGINS__DISABLED=WITHOUT_OTHERS), capture_output=True, check=False
    )
    if ready.returncode != 0:
        pytest.skip(f"the plugin geography does not load: {ready.stderr.decode().strip()}")
    return Path(shutil.copy(packaged, tmp_path / "addresses.mmdb"))


def _country_of(rig: Rig) -> str | None:
    sent = event(new_id(), ip=LONDON)
    assert rig.post(sent, key=rig.site.server_key).code == "stored"
    country = rig.one("SELECT country FROM catchment.event WHERE event_id = %s", sent["eventId"])
    return None if country is None else str(country)


def test_a_map_of_addresses_that_is_hurt_while_it_is_read_stops_nothing(rig: Rig, addresses: Path) -> None:
    settings = {"PLUGINS__DISABLED": WITHOUT_OTHERS, "PLUGINS__GEOGRAPHY__DATABASE": addresses}
    server = rig.serve(**settings)
    assert _country_of(rig) == "GB"
    whole = addresses.read_bytes()
    with addresses.open("r+b") as file:
        file.truncate(1000)  # a reader that maps the file is killed by this
    assert _country_of(rig) in ("GB", None)
    addresses.unlink()
    assert _country_of(rig) in ("GB", None)
    addresses.write_bytes(os.urandom(5000))
    assert _country_of(rig) in ("GB", None)
    addresses.write_bytes(whole)
    assert _country_of(rig) in ("GB", None)
    rig.judge()
    assert server.running


@pytest.mark.parametrize("size", [0, 1000, 1_000_000])
def test_a_map_of_addresses_that_is_cut_off_leaves_the_country_empty(rig: Rig, addresses: Path, size: int) -> None:
    os.truncate(addresses, size)
    rig.serve(PLUGINS__DISABLED=WITHOUT_OTHERS, PLUGINS__GEOGRAPHY__DATABASE=addresses)
    assert _country_of(rig) is None
    rig.judge()


def test_a_map_of_addresses_is_taken_up_again_when_it_is_back(rig: Rig, addresses: Path) -> None:
    """In this process: the plugin looks at its file once a minute."""
    from catchment.plugins.geography.database import Database

    seconds = 0.0
    database = Database(addresses, now=lambda: seconds)
    whole = addresses.read_bytes()
    for content, expected in ((None, None), (whole, "GB"), (whole[:5000], None), (whole, "GB")):
        seconds += 61
        if content is None:
            addresses.unlink()
        else:
            addresses.write_bytes(content)
        place = database.find(LONDON)
        assert (place.country if place else None) == expected
    rig.judge()

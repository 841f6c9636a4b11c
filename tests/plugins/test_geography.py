"""The shipped plugin `geography`: the packaged map, files of others, and files that break."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from catchment.plugins.geography import PACKAGED, Geography
from catchment.plugins.geography.database import EVERY, Database, WrongKind
from catchment.plugins.hooks import Place, PluginSettingsError
from catchment.plugins.testkit import check_plugin, run_hook

from .support import Clock

LONDON = "81.2.69.160"
LONDON_RECORD: dict[str, Any] = {
    "country": {"iso_code": "GB", "names": {"en": "United Kingdom", "de": "Vereinigtes Königreich"}},
    "subdivisions": [
        {"iso_code": "ENG", "names": {"en": "England"}},
        {"iso_code": "LND", "names": {"en": "Greater London", "de": "Groß-London"}},
    ],
    "city": {"names": {"en": "London", "de": "London (Stadt)"}},
}


SPELLINGS = (
    "::ffff:81.2.69.160",
    "::FFFF:81.2.69.160",
    "::ffff:5102:45a0",
    "0:0:0:0:0:ffff:81.2.69.160",
    "::ffff:81.2.69.160%eth0",
    " 81.2.69.160 ",
)
"""London's address, as others write it."""


def write(path: Path, kind: str, record: object, network: str = "81.2.69.0/24") -> Path:
    writer = MMDBWriter(6, kind, languages=["en"], ipv4_compatible=True)
    writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


@pytest.fixture
def city(tmp_path: Path) -> Path:
    return write(tmp_path / "city.mmdb", "GeoLite2-City", LONDON_RECORD)


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    return write(tmp_path / "flat.mmdb", "country ipvAll", {"country_code": "FR"})


def locate(address: str, database: Path | None = None) -> Place:
    settings = {} if database is None else {"database": str(database)}
    run = run_hook(Geography(), "catchment_locate", address, settings=settings)
    for error in run.errors:
        raise error
    assert run.warnings == ()
    place: Place = run.result
    return place


def test_it_is_a_plugin() -> None:
    assert check_plugin(Geography()) == ("catchment_configure", "catchment_close", "catchment_locate")


def test_the_packaged_map_is_there() -> None:
    assert PACKAGED.is_file(), "make assets fetches it"


@pytest.mark.parametrize(
    ("address", "country"),
    [("8.8.8.8", "US"), (LONDON, "GB"), ("2001:4860:4860::8888", "US"), *((text, "GB") for text in SPELLINGS)],
)
def test_the_packaged_map_knows_countries(address: str, country: str) -> None:
    assert locate(address) == Place(country=country)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.0.1",
        "100.64.0.1",
        "100.127.0.1",
        "0.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
    ],
)
def test_loopback_and_private_addresses_are_not_looked_up(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    plugin = Geography()
    plugin.catchment_configure({})

    def find(self: Database, address: str) -> Place:
        raise AssertionError("looked up")

    monkeypatch.setattr(Database, "find", find)
    assert plugin.catchment_locate(address) is None


@pytest.mark.parametrize("address", ["100.63.0.1", "100.128.0.1", "172.15.0.1", "172.32.0.1", "11.0.0.1", "1.0.0.1"])
def test_their_neighbours_are(address: str) -> None:
    assert locate(address).country is not None


@pytest.mark.parametrize("address", ["", "nonsense", "999.1.1.1", "a" * 2_000])
def test_what_is_no_address_is_nowhere(address: str, city: Path) -> None:
    assert locate(address) == Place()
    assert locate(address, city) == Place()


@pytest.mark.parametrize("kind", ["GeoLite2-City", "GeoIP2-City-Europe", "DBIP-City-Lite", "GeoIP2-Enterprise"])
def test_a_city_file_adds_region_and_city_in_english(tmp_path: Path, kind: str) -> None:
    database = write(tmp_path / "a.mmdb", kind, LONDON_RECORD)
    assert locate(LONDON, database) == Place(country="GB", region="Greater London", city="London")
    assert locate("9.9.9.9", database) == Place()


@pytest.mark.parametrize("kind", ["GeoLite2-Country", "DBIP-Country-Lite"])
def test_a_country_file_says_the_country(tmp_path: Path, kind: str) -> None:
    database = write(tmp_path / "a.mmdb", kind, {"country": LONDON_RECORD["country"]})
    assert locate(LONDON, database) == Place(country="GB")


def test_a_city_file_that_knows_little_says_little(tmp_path: Path) -> None:
    database = write(tmp_path / "a.mmdb", "GeoLite2-City", {"country": {"iso_code": "GB"}})
    assert locate(LONDON, database) == Place(country="GB")


def test_a_flat_file_says_the_country(flat: Path) -> None:
    assert locate(LONDON, flat) == Place(country="FR")
    assert locate("9.9.9.9", flat) == Place()


def test_a_configured_file_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(PluginSettingsError, match=r"database: there is no file .*/none\.mmdb"):
        locate(LONDON, tmp_path / "none.mmdb")


def test_a_database_of_something_else_stops_the_start(tmp_path: Path) -> None:
    networks = write(tmp_path / "asn.mmdb", "GeoLite2-ASN", {"autonomous_system_number": 1})
    with pytest.raises(PluginSettingsError, match="'GeoLite2-ASN'; expected a City or a Country database"):
        locate(LONDON, networks)


@pytest.mark.parametrize("settings", [{"path": "x"}, {"database": 3}])
def test_bad_settings_stop_the_start(settings: dict[str, object]) -> None:
    [error] = run_hook(Geography(), "catchment_configure", settings).errors
    assert str(error).startswith(("path is not one of", "database: expected str"))


def test_a_truncated_file_at_the_start_leaves_the_country_empty(city: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.truncate(city, 200)
    assert locate(LONDON, city) == Place()
    assert len(caplog.records) == 1
    assert "InvalidDatabaseError" in caplog.text


def test_a_packaged_map_that_is_missing_leaves_the_country_empty(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("catchment.plugins.geography.PACKAGED", tmp_path / "none.mmdb")
    assert locate("8.8.8.8") == Place()
    assert len(caplog.records) == 1


class Running:
    """A database in use, whose file is looked at when the clock says so."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.database = Database(path, now=self.clock)

    def place(self, *, looks: bool = True) -> Place | None:
        self.clock.seconds += EVERY if looks else EVERY / 100
        return self.database.find(LONDON)


CITY = Place(country="GB", region="Greater London", city="London")


def truncate(path: Path) -> None:
    os.truncate(path, 100)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def remove(path: Path) -> None:
    path.unlink()


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(5_000))


def turn_into_another_kind(path: Path) -> None:
    write(path, "GeoLite2-ASN", {"autonomous_system_number": 1})


def turn_into_a_pipe_that_nobody_fills(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


BREAKS = [truncate, empty, remove, garbage, turn_into_another_kind, turn_into_a_pipe_that_nobody_fills]


@pytest.mark.parametrize("breaks", BREAKS)
def test_a_file_that_breaks_while_running(
    city: Path, breaks: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The process lives, the country is empty, the log has one line; when the file is back, so is the place."""
    caplog.set_level(logging.INFO)
    good = city.with_name("good.mmdb")
    shutil.copy(city, good)
    running = Running(city)
    assert running.place() == CITY
    breaks(city)
    assert running.place(looks=False) == CITY  # from its own copy, until it looks
    assert [running.place() for _ in range(5)] == [None] * 5
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    os.replace(good, city)
    assert running.place() == CITY
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_a_file_that_is_moved_away_and_back(city: Path) -> None:
    running = Running(city)
    os.rename(city, city.with_suffix(".away"))
    assert running.place() is None
    os.rename(city.with_suffix(".away"), city)
    assert running.place() == CITY


def test_a_file_that_is_replaced_is_taken_up_within_a_minute(city: Path, tmp_path: Path) -> None:
    running = Running(city)
    assert running.place() == CITY
    os.replace(write(tmp_path / "new.mmdb", "GeoLite2-Country", {"country": {"iso_code": "IE"}}), city)
    assert running.place(looks=False) == CITY
    assert running.place() == Place(country="IE")


def test_the_file_is_not_looked_at_for_every_address(city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running(city)
    looks: list[Path] = []
    monkeypatch.setattr("catchment.plugins.geography.database._state_of", looks.append)
    for _ in range(50):
        running.place(looks=False)
    assert looks == []


def test_a_record_that_can_not_be_read_ends_the_look_ups(city: Path, caplog: pytest.LogCaptureFixture) -> None:
    running = Running(city)

    def fails(address: str) -> Place:
        raise RuntimeError(address)

    running.database._lookup = fails
    assert [running.place(looks=False) for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
    assert LONDON not in caplog.text


def test_without_room_for_a_copy_it_reads_into_memory(city: Path, flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*args: object, **kwargs: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", no_room)
    assert locate(LONDON, city) == CITY
    assert locate(LONDON, flat) == Place(country="FR")


def test_no_copy_stays_behind(city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    database = Database(city)
    assert database.find(LONDON) == CITY
    assert list((tmp_path / "t").iterdir()) == []


def test_a_wrong_kind_is_an_error_at_the_start_only(tmp_path: Path) -> None:
    with pytest.raises(WrongKind):
        Database(write(tmp_path / "asn.mmdb", "GeoLite2-ASN", {"autonomous_system_number": 1}))


def mapped() -> int:
    """Copies of databases that this process has in its memory."""
    return Path("/proc/self/maps").read_text(encoding="utf-8").count("/catchment-")


def test_a_closed_plugin_has_no_file_open_and_can_be_started_again(city: Path) -> None:
    plugin, before = Geography(), mapped()
    for _ in range(2):
        plugin.catchment_configure({"database": str(city)})
        assert plugin.catchment_locate(LONDON) == Place(country="GB", region="Greater London", city="London")
        assert mapped() == before + 1
        plugin.catchment_close()
        assert mapped() == before
        assert plugin.catchment_locate(LONDON) is None

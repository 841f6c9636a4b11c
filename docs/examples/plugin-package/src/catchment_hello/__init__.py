"""An example of a Catchment plugin: an enricher, a validator and a locator, with one setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catchment.plugins.hooks import Event, Filter, Place, Refuse, check_settings, hookimpl

PLACES = {
    "127.0.0.1": Place(country="AQ", region="Loopback", city="Localhost"),
    "203.0.113.7": Place(country="AQ", region="Documentation", city="Example City"),
}
_settings = {"greeting": "hello"}


@hookimpl
def catchment_configure(settings: Mapping[str, Any]) -> None:
    check_settings(settings, greeting=str)
    _settings["greeting"] = settings.get("greeting", "hello")


@hookimpl
def catchment_locate(address: str) -> Place | None:
    return PLACES.get(address)


@hookimpl
def catchment_validate(event: Event) -> Refuse | Filter | None:
    if event.name == "Forbidden":
        return Refuse("forbidden_name", "No event may be named Forbidden here; choose another name.")
    if event.name == "Noise":
        return Filter("noise")
    return None


@hookimpl
def catchment_enrich() -> dict[str, str]:
    return {"greeting": _settings["greeting"]}

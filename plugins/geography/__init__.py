"""The shipped plugin that locates an address.

Without settings it reads the map of countries in the package (country only). The setting `database` is the path of a
GeoLite2, GeoIP2 or DB-IP file, City or Country, which adds region and city, in English.

The file may be replaced while the server runs: the plugin checks it once a minute. If it is broken or missing, events
have no country, and the log says so once. When it is back, it is read again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..hooks import Place, PluginSettingsError, canonical, check_settings, hookimpl
from .database import Database, WrongKind

PACKAGED = Path(__file__).parent / "data" / "geo-whois-asn-country.mmdb"

# Addresses that no map knows: this host, private networks, links. `is_global` takes longer than the look-up.
_NOWHERE = re.compile(
    r"(?:0|10|127|169\.254|192\.168|172\.(?:1[6-9]|2\d|3[01])|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\."
    r"|::1?$|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:",
)
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")


class Geography:
    """Locates addresses. It is called last, so any other plugin that knows the address overrides it."""

    def __init__(self) -> None:
        self._database: Database | None = None

    @hookimpl
    def catchment_configure(self, settings: Mapping[str, Any]) -> None:
        check_settings(settings, database=str)
        path = settings.get("database")
        if path is None:
            self._database = Database(PACKAGED)
            return
        if not os.path.isfile(path):
            raise PluginSettingsError(f"database: there is no file {path}")
        try:
            self._database = Database(Path(path))
        except WrongKind as error:
            raise PluginSettingsError(f"database: {error}") from error

    @hookimpl
    def catchment_close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()

    @hookimpl(trylast=True)
    def catchment_locate(self, address: str) -> Place | None:
        if self._database is None:
            return None
        if not _IPV4.fullmatch(address):  # IPv6 has many spellings, and some of them are IPv4
            canonical_address = canonical(address)
            if canonical_address is None:
                return None
            address = canonical_address
        if _NOWHERE.match(address):
            return None
        return self._database.find(address)


plugin = Geography()

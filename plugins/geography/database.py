"""A map of addresses in a file. The file may be cut off, replaced or removed while it is read."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geoip2.database
import maxminddb
from geoip2.errors import AddressNotFoundError

from ..hooks import Place

logger = logging.getLogger("catchment.plugins")

EVERY = 60.0
"""Seconds between two checks of the file."""
_MODELS = ("City", "Enterprise", "Country")
"""The kinds that geoip2 reads, by the names of its methods. The type of a database contains its kind."""

Lookup = Callable[[str], Place | None]
Reading = tuple[Lookup, Callable[[], None]]
"""A look-up, and a function that closes its file."""


class WrongKind(Exception):
    """A good database without places."""


class Database:
    """The places of one file. If the file can't be read, that is no error: `find` returns None until it can.

    Raises `WrongKind` at the start if the database holds something else, such as networks.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._now = now
        self._state: tuple[int, int, int] | None = None
        self._lookup: Lookup = _nothing
        self._close_file: Callable[[], None] = _close_nothing
        self._broken = False
        self._look_again = now() + EVERY
        self._open(starting=True)

    def find(self, address: str) -> Place | None:
        """Return the place of an address; None if the file does not have it, or if the text is no address."""
        if self._now() >= self._look_again:
            self._look_again = self._now() + EVERY
            if _state_of(self._path) != self._state:
                self._open()
        try:
            return self._lookup(address)
        except ValueError:  # no address. The library's message holds the text, so it is not logged
            return None
        except Exception as error:
            self._drop()
            self._lose(error)
            return None

    def close(self) -> None:
        """Close the file. From then on `find` returns None."""
        self._look_again = float("inf")
        self._drop()

    def _drop(self) -> None:
        close, self._lookup, self._close_file = self._close_file, _nothing, _close_nothing
        close()

    def _open(self, *, starting: bool = False) -> None:
        self._state = _state_of(self._path)
        self._drop()
        try:
            self._lookup, self._close_file = _open(self._path)
        except WrongKind as error:
            if starting:
                raise
            self._lose(error)
        except Exception as error:
            self._lose(error)
        else:
            if self._broken or not starting:
                logger.info("plugin geography: reads %s again", self._path)
            self._broken = False

    def _lose(self, error: Exception) -> None:
        if not self._broken:
            kind = type(error).__name__
            logger.error("plugin geography: can't read %s (%s); no event gets a place until it can", self._path, kind)
        self._broken = True


def _nothing(address: str) -> Place | None:
    return None


def _close_nothing() -> None:
    return None


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _open(path: Path) -> Reading:
    """Return a look-up in a copy of the file. The fast reader maps the file into memory. If a mapped file is cut off,
    reading beyond its end kills the process. So the reader gets a private copy, which lives as long as the map. If
    there is no space for a copy, the file is read into memory, and look-ups are slower."""
    with open(path, "rb", opener=_at_once) as source:
        if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
            raise OSError("no regular file")
        try:
            with tempfile.NamedTemporaryFile(prefix="catchment-", suffix=".mmdb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
                copy.flush()
                return _lookup_in(path, copy.name, maxminddb.MODE_AUTO)
        except OSError:
            return _lookup_in(path, path, maxminddb.MODE_MEMORY)


def _at_once(path: str, flags: int) -> int:
    """Open a file, and wait for nobody: to open a pipe takes until somebody writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _lookup_in(path: Path, file: str | Path, mode: int) -> Reading:
    reader = maxminddb.open_database(file, mode)
    kind = reader.metadata().database_type
    for model in _MODELS:
        if model in kind:
            reader.close()
            models = geoip2.database.Reader(file, ["en"], mode)
            return _models(models, model), models.close
    _, first = next(iter(reader), (None, None))
    if not isinstance(first, dict) or "country_code" not in first:
        reader.close()
        raise WrongKind(f"{path} is of the type {kind!r}; expected a City or a Country database")
    return _flat(reader), reader.close


def _models(reader: geoip2.database.Reader, model: str) -> Lookup:
    read: Callable[[str], Any] = getattr(reader, model.lower())

    def lookup(address: str) -> Place | None:
        try:
            found = read(address)
        except AddressNotFoundError:
            return None
        if model == "Country":
            return Place(country=found.country.iso_code)
        return Place(
            country=found.country.iso_code,
            region=found.subdivisions.most_specific.name,
            city=found.city.name,
        )

    return lookup


def _flat(reader: maxminddb.Reader) -> Lookup:
    places: dict[str, Place] = {}  # by country: there are some 250

    def lookup(address: str) -> Place | None:
        found: Any = reader.get(address)
        country = found.get("country_code") if found else None
        if not country:
            return None
        place = places.get(country)
        if place is None:
            place = places[country] = Place(country=country)
        return place

    return lookup

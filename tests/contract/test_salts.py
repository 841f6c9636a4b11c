"""`Salts`: the salt of a day."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

import pytest

from catchment.core.privacy import SALT_BYTES

from ..support.storage import Storage

pytestmark = pytest.mark.gen_test

DAY = date(2026, 11, 2)


async def test_a_day_has_one_salt(storage: Storage) -> None:
    salt = await storage.salts.of_day(DAY)
    assert len(salt) == SALT_BYTES
    assert await storage.salts.of_day(DAY) == salt


async def test_every_day_has_a_salt_of_its_own(storage: Storage) -> None:
    salts = [await storage.salts.of_day(DAY + timedelta(days=n)) for n in range(4)]
    assert len(set(salts)) == 4


async def test_the_salt_of_the_day_before_stays(storage: Storage) -> None:
    """A late event is hashed as the others of its day."""
    yesterday = await storage.salts.of_day(DAY - timedelta(days=1))
    await storage.salts.of_day(DAY)
    assert await storage.salts.of_day(DAY - timedelta(days=1)) == yesterday


async def test_those_who_ask_first_get_the_same_salt(storage: Storage) -> None:
    assert len(set(await asyncio.gather(*(storage.salts.of_day(DAY) for _ in range(20))))) == 1

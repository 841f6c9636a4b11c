"""`IpAnonymizer`: what may be kept of an address."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from catchment.core.project import Privacy

from ..support.events import NOON
from ..support.storage import Storage

pytestmark = pytest.mark.gen_test

ADDRESS = "81.2.69.142"


@pytest.mark.parametrize("mode", Privacy)
async def test_of_nothing_nothing_is_kept(storage: Storage, mode: Privacy) -> None:
    assert await storage.anonymizer.anonymise(None, mode, NOON) is None
    assert await storage.anonymizer.anonymise("no address", mode, NOON) is None


@pytest.mark.parametrize(
    ("mode", "address", "kept"),
    [
        (Privacy.MASK, ADDRESS, "81.2.69.0"),
        (Privacy.MASK, "::ffff:81.2.69.142", "81.2.69.0"),
        (Privacy.MASK, "2001:db8:1:2::3", "2001:db8:1::"),
        (Privacy.FULL, ADDRESS, ADDRESS),
        (Privacy.FULL, "2001:DB8:0::3", "2001:db8::3"),
        (Privacy.DROP, ADDRESS, None),
    ],
)
async def test_what_is_kept_is_what_the_mode_says(
    storage: Storage, mode: Privacy, address: str, kept: str | None
) -> None:
    assert await storage.anonymizer.anonymise(address, mode, NOON) == kept


async def hashed(storage: Storage, at: datetime, address: str = ADDRESS) -> str:
    text = await storage.anonymizer.anonymise(address, Privacy.HASH, at)
    assert text is not None
    assert address not in text
    return text


async def test_a_hash_is_the_same_during_a_day_in_utc(storage: Storage) -> None:
    begins, ends = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 2, 23, 59, 59, 999999, tzinfo=UTC)
    of_the_day = await hashed(storage, begins)
    assert await hashed(storage, ends) == of_the_day
    assert await hashed(storage, ends, "::ffff:81.2.69.142") == of_the_day
    assert await hashed(storage, ends, "81.2.69.143") != of_the_day


async def test_a_hash_is_another_one_the_next_day(storage: Storage) -> None:
    days = [await hashed(storage, NOON + timedelta(days=n)) for n in range(4)]
    assert len(set(days)) == 4


async def test_a_late_event_of_the_day_before_has_that_days_hash(storage: Storage) -> None:
    yesterday = await hashed(storage, NOON - timedelta(days=1))
    await hashed(storage, NOON)
    assert await hashed(storage, NOON - timedelta(days=1)) == yesterday


async def test_the_first_hashes_of_a_day_agree(storage: Storage) -> None:
    assert len(set(await asyncio.gather(*(hashed(storage, NOON) for _ in range(20))))) == 1

"""What an installation does for itself."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, timedelta

import pytest

from catchment.adapters.memory.parts import CountingIds, ToldClock
from catchment.adapters.postgres.anonymizer import SaltedAnonymizer
from catchment.adapters.postgres.maintenance import KNOWN_IDS, Maintenance, Upkeep
from catchment.core.outcomes import StoreOutcome
from catchment.core.project import Privacy

from ..support.database import Database
from ..support.events import NOON, an_event, an_id, events
from ..support.storage import open_links, open_sink

PROJECT = an_id(1)
_KEEP = "SELECT catchment.keep_partitions(%s, %s)"
_BOUNDS = (
    "SELECT relname, pg_get_expr(relpartbound, oid) FROM pg_class"
    " WHERE relispartition AND relname LIKE 'event\\_2%%' AND %s ORDER BY 1"
)


def made(database: Database, today: date, ahead: int) -> list[str]:
    return [name for (name,) in database.execute(_KEEP, today, ahead)]


def where(database: Database, event_id: str) -> str:
    return str(database.one("SELECT tableoid::regclass::text FROM catchment.event WHERE event_id = %s", event_id))


async def store(database: Database, *batch: object) -> None:
    async with open_sink(database, writers=1) as sink:
        assert set(await sink.store(batch, (), deadline=30)) == {StoreOutcome.STORED}  # type: ignore[arg-type]


# partitions


def test_partitions_are_made_once(database: Database) -> None:
    assert made(database, date(2026, 11, 30), 3) == []
    assert made(database, date(2026, 12, 31), 4) == ["event_2027_03", "event_2027_04"]
    assert made(database, date(2026, 12, 1), 4) == []
    assert made(database, date(2028, 2, 29), 0) == ["event_2028_02"]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_partitions_are_months_in_utc_whatever_the_sessions_zone(database: Database, zone: str) -> None:
    with contextlib.closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT set_config('TimeZone', %s, false)", (zone,))
        cursor.execute(_KEEP, (date(2027, 6, 1), 1))
        assert cursor.fetchall() == [("event_2027_06",), ("event_2027_07",)]
        cursor.execute("SET TimeZone = 'UTC'")
        cursor.execute(_BOUNDS, (True,))
        bounds = dict(cursor.fetchall())
    assert bounds["event_2027_06"] == "FOR VALUES FROM ('2027-06-01 00:00:00+00') TO ('2027-07-01 00:00:00+00')"
    assert bounds["event_2027_07"] == "FOR VALUES FROM ('2027-07-01 00:00:00+00') TO ('2027-08-01 00:00:00+00')"


@pytest.mark.gen_test
async def test_an_event_is_stored_in_the_month_of_its_arrival(database: Database) -> None:
    ends = datetime(2026, 12, 1, tzinfo=UTC)
    for name, arrival in (("last", ends - timedelta(microseconds=1)), ("first", ends)):
        await store(database, an_event(PROJECT, name, received_at=arrival))
    assert where(database, "last") == "catchment.event_2026_11"
    assert where(database, "first") == "catchment.event_2026_12"


@pytest.mark.gen_test
async def test_the_default_partition_catches_what_no_month_takes(database: Database) -> None:
    await store(database, an_event(PROJECT, "far", received_at=datetime(2030, 5, 31, 23, 59, tzinfo=UTC)))
    assert where(database, "far") == "catchment.event_default"
    # its month can't be attached any more: it is left out, and the others are made
    assert made(database, date(2030, 4, 1), 2) == ["event_2030_04", "event_2030_06"]
    await store(database, an_event(PROJECT, "again", received_at=datetime(2030, 5, 1, tzinfo=UTC)))
    assert where(database, "again") == "catchment.event_default"


def test_a_partition_has_the_indexes_of_the_table(database: Database) -> None:
    indexes = database.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'event_2026_12'")
    assert len(indexes) == 1
    assert "(project_id, received_at)" in indexes[0][0]


# ids and salts


@pytest.mark.gen_test
async def test_ids_are_forgotten_in_bites(database: Database) -> None:
    await store(database, *events(PROJECT, 25, "old", received_at=NOON - timedelta(days=40)), *events(PROJECT, 5))
    forget = "SELECT catchment.forget_ids(%s, %s)"
    assert [database.one(forget, NOON - timedelta(days=32), 10) for _ in range(4)] == [10, 10, 5, 0]
    assert database.one("SELECT count(*) FROM catchment.event_id") == 5


@pytest.mark.gen_test
async def test_ids_are_known_for_32_days(database: Database) -> None:
    clock = ToldClock()
    assert timedelta(days=32) == KNOWN_IDS
    young, old = NOON - KNOWN_IDS, NOON - KNOWN_IDS - timedelta(microseconds=1)
    await store(database, an_event(PROJECT, "young", received_at=young), an_event(PROJECT, "old", received_at=old))
    async with open_links(database) as links, open_sink(database) as sink:
        await Maintenance(links, clock).once()
        again = [an_event(PROJECT, event_id) for event_id in ("young", "old")]
        assert await sink.store(again, (), deadline=30) == [StoreOutcome.DUPLICATE, StoreOutcome.STORED]


@pytest.mark.gen_test
async def test_salts_are_forgotten_48_hours_after_their_day_began(database: Database) -> None:
    clock = ToldClock(datetime(2026, 11, 2, 0, 30, tzinfo=UTC))
    async with open_links(database) as links:
        anonymizer = SaltedAnonymizer(links, CountingIds())
        for days in range(5):
            await anonymizer.anonymise("81.2.69.142", Privacy.HASH, clock.now() - timedelta(days=days))
        await Maintenance(links, clock).once()
    kept = database.execute("SELECT day FROM catchment.salt ORDER BY day")
    assert kept == [(date(2026, 11, 1),), (date(2026, 11, 2),)]


@pytest.mark.gen_test
async def test_servers_agree_on_the_salt_of_a_day(database: Database) -> None:
    async with open_links(database) as links:
        servers = [SaltedAnonymizer(links, CountingIds()) for _ in range(3)]
        hashed = {await server.anonymise("81.2.69.142", Privacy.HASH, NOON) for server in servers}
    assert len(hashed) == 1
    assert database.one("SELECT length(salt) FROM catchment.salt") == 32


# all of it


@pytest.mark.gen_test
async def test_maintenance_does_all_of_it_and_says_what(database: Database) -> None:
    clock = ToldClock()
    async with open_links(database) as links:
        maintenance = Maintenance(links, clock)
        assert await maintenance.once() == Upkeep()
        await store(
            database, *events(PROJECT, 3), an_event(PROJECT, "far", received_at=datetime(2030, 5, 7, tzinfo=UTC))
        )
        clock.advance(timedelta(days=60))
        done = await maintenance.once()
        assert done == Upkeep(
            partitions=("event_2027_03", "event_2027_04"), ids_forgotten=3, misplaced=(date(2030, 5, 1),)
        )
        assert await maintenance.once() == Upkeep(misplaced=(date(2030, 5, 1),))


@pytest.mark.gen_test
async def test_events_are_moved_out_of_the_default_partition(database: Database) -> None:
    moments = {
        "before": datetime(2030, 4, 30, 23, 59, 59, tzinfo=UTC),
        "first": datetime(2030, 5, 1, tzinfo=UTC),
        "last": datetime(2030, 5, 31, 23, 59, 59, 999999, tzinfo=UTC),
        "after": datetime(2030, 6, 1, tzinfo=UTC),
    }
    await store(database, *(an_event(PROJECT, name, received_at=moment) for name, moment in moments.items()))
    async with open_links(database) as links:
        maintenance = Maintenance(links, ToldClock())
        assert await maintenance.place(date(2030, 5, 1)) == 2
        assert (await maintenance.once()).misplaced == (date(2030, 4, 1), date(2030, 6, 1))
    assert {name: where(database, name).removeprefix("catchment.event_") for name in moments} == {
        "before": "default",
        "first": "2030_05",
        "last": "2030_05",
        "after": "default",
    }
    await store(database, an_event(PROJECT, "new", received_at=moments["last"]))
    assert where(database, "new") == "catchment.event_2030_05"
    assert len(database.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'event_2030_05'")) == 1


@pytest.mark.gen_test
async def test_of_several_servers_one_does_it(database: Database) -> None:
    clock = ToldClock()
    clock.advance(timedelta(days=400))
    async with open_links(database) as links, open_links(database) as others:
        async with others.link() as other, other.transaction():
            assert await other.run("maintenance_lock") == [(True,)]
            assert await Maintenance(links, clock).once() == Upkeep()
            assert database.one("SELECT to_regclass('catchment.event_2027_12') IS NULL")
        await Maintenance(links, clock).once()
    assert database.one("SELECT to_regclass('catchment.event_2027_12') IS NOT NULL")


# periods


@pytest.mark.gen_test
async def test_closing_a_period_folds_the_writers_counts(database: Database) -> None:
    for n in range(4):
        await store(database, *events(PROJECT, 3, f"request-{n}"))
    await store(database, an_event(PROJECT, "december", received_at=datetime(2026, 12, 1, tzinfo=UTC)))
    counts = "SELECT period, sum(events), count(*) FROM catchment.usage_count GROUP BY 1 ORDER BY 1"
    for _ in range(2):
        database.execute("SELECT catchment.close_period('2026-11-01')")
        assert database.execute(counts) == [(date(2026, 11, 1), 12, 1), (date(2026, 12, 1), 1, 1)]
    await store(database, an_event(PROJECT, "straggler"))
    assert database.execute(counts)[0][:2] == (date(2026, 11, 1), 13)
    assert database.one("SELECT count(*) FROM catchment.closed_period") == 1

"""The maintenance of an installation: partitions, old ids and salts, the end of a month, and clocks that are wrong."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, date, datetime, timedelta

import pytest

from catchment.adapters.memory.parts import CountingIds, ToldClock
from catchment.adapters.postgres.errors import DatabaseError
from catchment.adapters.postgres.maintenance import Busy, PostgresMaintenance
from catchment.adapters.postgres.meter import PostgresMeter
from catchment.adapters.postgres.rows import batch_of, rows_of
from catchment.adapters.postgres.salts import PostgresSalts
from catchment.adapters.system.clock import SystemClock
from catchment.core.errors import Invalid, Unavailable
from catchment.core.maintenance import MaintenanceResult
from catchment.core.outcomes import StoreOutcome
from catchment.core.tasks import end

from ..support.database import Database
from ..support.events import LONG_AGO, NOON, an_event, an_id, events
from ..support.sessions import busy, locked, reading, reads, sessions, terminate
from ..support.storage import open_link, open_links, open_sink
from ..support.waiting import eventually

PROJECT = an_id(1)
KNOWN_IDS = timedelta(days=32)
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
        assert set((await sink.store(batch, deadline=30)).outcomes) == {StoreOutcome.STORED}  # type: ignore[arg-type]


# partitions


def test_partitions_are_made_once_with_the_indexes_of_the_table(database: Database) -> None:
    assert made(database, date(2026, 11, 30), 3) == []
    assert made(database, date(2026, 12, 31), 4) == ["event_2027_03", "event_2027_04"]
    assert made(database, date(2026, 12, 1), 4) == []
    assert made(database, date(2028, 2, 29), 0) == ["event_2028_02"]
    for partition in ("event_2026_12", "event_2028_02"):
        ((index,),) = database.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", partition)
        assert "(project_id, received_at)" in index


def test_partitions_are_months_in_utc_whatever_the_time_zone_of_the_session(database: Database) -> None:
    with contextlib.closing(database.connect()) as connection, connection.cursor() as cursor:
        for year, zone in ((2027, "UTC"), (2028, "Pacific/Kiritimati"), (2029, "America/Los_Angeles")):
            cursor.execute("SELECT set_config('TimeZone', %s, false)", (zone,))
            cursor.execute(_KEEP, (date(year, 6, 1), 1))
            assert cursor.fetchall() == [(f"event_{year}_06",), (f"event_{year}_07",)]
            cursor.execute("SET TimeZone = 'UTC'")
            cursor.execute(_BOUNDS, (True,))
            bounds = dict(cursor.fetchall())
            for n in (6, 7):
                first, past = f"{year}-{n:02}-01 00:00:00+00", f"{year}-{n + 1:02}-01 00:00:00+00"
                assert bounds[f"event_{year}_{n:02}"] == f"FOR VALUES FROM ('{first}') TO ('{past}')"


@pytest.mark.gen_test
async def test_an_event_is_stored_in_the_month_of_its_arrival_or_in_the_default_partition(database: Database) -> None:
    ends = datetime(2026, 12, 1, tzinfo=UTC)
    far = datetime(2030, 5, 31, 23, 59, tzinfo=UTC)
    for name, arrival in (("last", ends - timedelta(microseconds=1)), ("first", ends), ("far", far)):
        await store(database, an_event(PROJECT, name, received_at=arrival))
    assert [where(database, name) for name in ("last", "first", "far")] == [
        "catchment.event_2026_11",
        "catchment.event_2026_12",
        "catchment.event_default",
    ]
    # the month of `far` can't be attached any more: it is left out, and the others are made
    assert made(database, date(2030, 4, 1), 2) == ["event_2030_04", "event_2030_06"]
    await store(database, an_event(PROJECT, "again", received_at=datetime(2030, 5, 1, tzinfo=UTC)))
    assert where(database, "again") == "catchment.event_default"


# ids and salts


@pytest.mark.gen_test
async def test_ids_are_known_for_32_days(database: Database) -> None:
    clock = ToldClock(LONG_AGO)
    young, old = LONG_AGO - KNOWN_IDS, LONG_AGO - KNOWN_IDS - timedelta(microseconds=1)
    await store(database, an_event(PROJECT, "young", received_at=young), an_event(PROJECT, "old", received_at=old))
    async with open_link(database) as link, open_sink(database) as sink:
        await PostgresMaintenance(link, clock).once()
        again = [an_event(PROJECT, event_id) for event_id in ("young", "old")]
        assert (await sink.store(again, deadline=30)).outcomes == [StoreOutcome.DUPLICATE, StoreOutcome.STORED]


@pytest.mark.gen_test
async def test_salts_are_forgotten_48_hours_after_their_day_began(database: Database) -> None:
    clock = ToldClock(datetime(2025, 11, 2, 0, 30, tzinfo=UTC))
    async with open_links(database) as links, open_link(database, "maintenance") as link:
        salts = PostgresSalts(links, CountingIds())
        for days in range(5):
            await salts.of_day((clock.now() - timedelta(days=days)).date())
        await PostgresMaintenance(link, clock).once()
    kept = database.execute("SELECT day FROM catchment.salt ORDER BY day")
    assert kept == [(date(2025, 11, 1),), (date(2025, 11, 2),)]


@pytest.mark.gen_test
async def test_outcomes_and_refused_origins_are_deleted_after_13_months(database: Database) -> None:
    old, young = NOON - timedelta(days=400), NOON - timedelta(days=390)
    for number, hour in enumerate((old, young)):
        database.execute("INSERT INTO catchment.unstored_count VALUES (%s, %s, 'filtered', 'bot', 1)", PROJECT, hour)
        database.execute(
            "INSERT INTO catchment.refused_origin VALUES (%s, 'https://a.example', %s)", an_id(number), hour
        )
    async with open_link(database, "maintenance") as link:
        await PostgresMaintenance(link, ToldClock(NOON)).once()
    assert database.execute("SELECT hour FROM catchment.unstored_count") == [(young,)]
    assert database.execute("SELECT refused_at FROM catchment.refused_origin") == [(young,)]


@pytest.mark.gen_test
async def test_samples_of_the_inbox_are_deleted_after_7_days(database: Database) -> None:
    for sample_id, age in (("old", timedelta(days=7, microseconds=1)), ("young", timedelta(days=7))):
        database.execute(
            "INSERT INTO catchment.inbox_sample VALUES (%s, %s, 'bot', 'filtered', '{}', 'null', '{}', 'no', NULL, "
            "NULL, 'browser', '', NULL, '{}', false, '0 s', 0, %s)",
            sample_id, PROJECT, LONG_AGO - age,
        )  # fmt: skip
    async with open_link(database, "maintenance") as link:
        await PostgresMaintenance(link, ToldClock(LONG_AGO)).once()
    assert database.execute("SELECT id FROM catchment.inbox_sample") == [("young",)]


@pytest.mark.gen_test
async def test_hours_that_are_over_have_one_count_and_a_writer_holds_up_only_its_own(database: Database) -> None:
    past, now = NOON.replace(minute=0) - timedelta(hours=3), NOON.replace(minute=0)
    for hour in (past, now):
        for slot in range(3):
            database.execute("INSERT INTO catchment.usage_count VALUES (%s, %s, %s, 10)", PROJECT, hour, slot)
    counts = "SELECT hour, slot, events FROM catchment.usage_count ORDER BY 1, 2"
    running = [(now, slot, 10) for slot in range(3)]
    async with open_link(database, "maintenance") as link:
        maintenance = PostgresMaintenance(link, ToldClock(NOON))
        with database.connect() as storing, storing.cursor() as cursor:
            cursor.execute("UPDATE catchment.usage_count SET events = 11 WHERE slot = 1 AND hour = %s", (past,))
            await maintenance.once()
            storing.commit()
        assert database.execute(counts) == [(past, -1, 20), (past, 1, 11), *running]
        await maintenance.once()
    assert database.execute(counts) == [(past, -1, 31), *running]


@pytest.mark.gen_test
async def test_quota_windows_are_deleted_62_days_after_a_month_that_begins_with_them(database: Database) -> None:
    for day in (date(2026, 8, 1), date(2026, 8, 2), *[date(2025, 1, day) for day in range(1, 11)]):
        database.execute(
            "INSERT INTO catchment.quota_usage (quota_id, starts, events) VALUES (gen_random_uuid(), %s, 7)", day
        )
    assert database.one("SELECT catchment.forget_quota_windows('2026-01-01', 8)") == 8
    async with open_link(database, "maintenance") as link:
        assert await PostgresMaintenance(link, ToldClock(NOON)).once() == MaintenanceResult()
    assert database.execute("SELECT starts FROM catchment.quota_usage") == [(date(2026, 8, 2),)]


@pytest.mark.gen_test
async def test_servers_agree_on_the_salt_of_a_day(database: Database) -> None:
    async with open_links(database) as links:
        servers = [PostgresSalts(links, CountingIds()) for _ in range(3)]
        salts = {await server.of_day(NOON.date()) for server in servers}
    assert len(salts) == 1
    assert database.one("SELECT length(salt) FROM catchment.salt") == 32


# all of it


@pytest.mark.gen_test
async def test_maintenance_does_all_of_it_and_says_what(database: Database) -> None:
    clock = ToldClock()
    async with open_link(database) as link:
        maintenance = PostgresMaintenance(link, clock)
        assert await maintenance.once() == MaintenanceResult()
        await store(
            database,
            *events(PROJECT, 3, received_at=LONG_AGO),
            an_event(PROJECT, "far", received_at=datetime(2030, 5, 7, tzinfo=UTC)),
        )
        clock.advance(timedelta(days=60))
        done = await maintenance.once()
        misplaced = (LONG_AGO.date().replace(day=1), date(2030, 5, 1))
        assert done == MaintenanceResult(
            partitions=("event_2027_03", "event_2027_04"), ids_forgotten=3, misplaced=misplaced
        )
        assert await maintenance.once() == MaintenanceResult(misplaced=misplaced)


@pytest.mark.gen_test
async def test_events_are_moved_out_of_the_default_partition(database: Database) -> None:
    moments = {
        "before": datetime(2030, 4, 30, 23, 59, 59, tzinfo=UTC),
        "first": datetime(2030, 5, 1, tzinfo=UTC),
        "last": datetime(2030, 5, 31, 23, 59, 59, 999999, tzinfo=UTC),
        "after": datetime(2030, 6, 1, tzinfo=UTC),
    }
    await store(database, *(an_event(PROJECT, name, received_at=moment) for name, moment in moments.items()))
    async with open_link(database) as link:
        maintenance = PostgresMaintenance(link, ToldClock())
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
    """One session has the lock from the first part to the last, and releases it if it ends, fails or dies."""
    async with open_link(database) as link, open_link(database, "other") as other:
        maintenance, others = PostgresMaintenance(link, ToldClock()), PostgresMaintenance(other, ToldClock())
        with locked(database, "catchment.loss_report"):  # one of the last parts
            first = asyncio.create_task(maintenance.once())
            await busy(database, "test")
            with pytest.raises(Busy):
                await others.once()
            terminate(database, "test")
            with pytest.raises(DatabaseError):
                await first
            await eventually(lambda: sessions(database, "test") == 0, "it has let go, which is a little later")
            second = asyncio.create_task(others.once())
            await busy(database, "other")
            with pytest.raises(Busy):
                await maintenance.once()
            await end(second)  # type: ignore[arg-type]
        await eventually(lambda: sessions(database) == 0, "whoever was told to end has let go")
        assert await maintenance.once() == MaintenanceResult()
        assert await others.once() == MaintenanceResult()


@pytest.mark.gen_test
async def test_by_hand_one_waits_for_another(database: Database) -> None:
    async with open_link(database) as link, open_link(database, "other") as other:
        async with other.one_session():
            assert await other.run("try_lock", name="catchment maintenance") == [(True,)]
            by_hand = asyncio.create_task(PostgresMaintenance(link, SystemClock(), wait=30).once())
            await eventually(lambda: sessions(database, "test") == 1, "it waits")
        assert isinstance(await by_hand, MaintenanceResult)


@pytest.mark.gen_test
async def test_a_part_that_fails_does_not_stop_the_others(database: Database) -> None:
    await store(database, *events(PROJECT, 3, received_at=LONG_AGO))
    clock = ToldClock()
    clock.advance(timedelta(days=90))
    async with open_link(database) as link:
        with reading(database, "catchment.event"), pytest.raises(DatabaseError) as raised:
            await PostgresMaintenance(link, clock).once()
        assert raised.value.sqlstate == "55P03"  # never that of a statement that took too long
        assert database.one("SELECT count(*) FROM catchment.event_id") == 0
        assert (await PostgresMaintenance(link, clock).once()).partitions[-1] == "event_2027_04"


# what it costs


@pytest.mark.parametrize(
    ("tables", "function"), [("^event_id_", "forget_ids"), ("^loss_report", "forget_loss_reports")]
)
def test_old_ids_are_deleted_in_parts_that_cost_in_proportion_to_their_size(
    database: Database, tables: str, function: str
) -> None:
    """Old and new ids lie mixed, as they do after the space of deleted ones was used again."""
    table = "event_id" if "event" in tables else "loss_report"
    database.execute(
        f"INSERT INTO catchment.{table} SELECT %s, 'browser', n::text,"  # noqa: S608
        " now() - CASE WHEN n %% 4 = 0 AND n <= 4 * 207 THEN interval '40 days' ELSE interval '1 day' END"
        " FROM generate_series(1, 20000) AS n",
        PROJECT,
    )
    for expected in (100, 100, 7, 0):
        database.execute(f"VACUUM ANALYZE catchment.{table}")
        call = f"SELECT catchment.{function}(now() - interval '32 days', 100)"
        read, deleted = reads(database, tables, call)
        assert deleted == expected == database.one(call)
        assert read <= 3 * deleted
    assert database.one(f"SELECT count(*) FROM catchment.{table}") == 20000 - 207  # noqa: S608


@pytest.mark.gen_test
async def test_looking_for_misplaced_months_costs_in_proportion_to_their_number(database: Database) -> None:
    database.execute(
        "INSERT INTO catchment.event (project_id, event_id, name, data, session_id, is_bot, properties, occurred_at,"
        " received_at) SELECT lpad((n % 3)::text, 32, '0')::uuid, n::text, '', '{}', '', false, '{}', now(),"
        " timestamptz '2031-01-31 00:00Z' + n % 5 * interval '12 hours' FROM generate_series(1, 15000) AS n"
    )
    database.execute("VACUUM ANALYZE catchment.event_default")
    assert database.execute("SELECT * FROM catchment.misplaced_months()") == [(date(2031, 1, 1),), (date(2031, 2, 1),)]
    read, _ = reads(database, "^event_default", "SELECT count(*) FROM catchment.misplaced_months()")
    assert read <= 100


# starting


@pytest.mark.gen_test
async def test_a_month_that_is_missing_is_made_before_the_first_event(database: Database) -> None:
    clock = ToldClock(datetime(2027, 8, 15, tzinfo=UTC))
    async with open_link(database) as one, open_link(database, "other") as other:
        await asyncio.gather(*(PostgresMaintenance(link, clock).begin() for link in (one, other)))
        assert database.one("SELECT to_regclass('catchment.event_2027_08') IS NOT NULL")
        assert database.one("SELECT to_regclass('catchment.event_2027_09') IS NULL")
        assert await eventually(lambda: sessions(database) == 0, "no session is left")


@pytest.mark.gen_test
@pytest.mark.parametrize("why", ["somebody reads", "the month is in the default partition"])
async def test_a_month_that_can_not_be_made_stops_no_start(
    database: Database, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime(2027, 8, 15, tzinfo=UTC)
    async with open_link(database) as link:
        if why == "somebody reads":
            with reading(database, "catchment.event"):
                await PostgresMaintenance(link, ToldClock(now)).begin()
            assert "(keep_partitions: retry (55P03)): events go to the default partition" in caplog.text
            assert "`catchment maintain`" in caplog.text
        else:
            await store(database, an_event(PROJECT, "far", received_at=now))
            await PostgresMaintenance(link, ToldClock(now)).begin()
    await store(database, an_event(PROJECT, "near", received_at=now))
    assert where(database, "near") == "catchment.event_default"


@pytest.mark.gen_test
async def test_maintenance_that_fails_says_what_helps_and_goes_on(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ToldClock(datetime(2027, 8, 15, tzinfo=UTC))
    async with open_link(database) as link:
        maintenance = PostgresMaintenance(link, clock)
        with reading(database, "catchment.event"):
            maintenance.start()
            await eventually(lambda: "maintenance failed" in caplog.text, "it failed")
        assert "keep_partitions: retry (55P03)" in caplog.text
        assert "`catchment maintain` does it by hand" in caplog.text
        assert maintenance._task is not None
        assert not maintenance._task.done()
        await maintenance.close()


@pytest.mark.gen_test
async def test_what_is_done_by_hand_may_take_its_time(database: Database) -> None:
    """The session allows three seconds for a statement."""
    await store(database, an_event(PROJECT, "far", received_at=datetime(2030, 5, 7, tzinfo=UTC)))
    database.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(3.5); RETURN OLD; END';"
        "CREATE TRIGGER slow BEFORE DELETE ON catchment.event_default FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    async with open_link(database, timeout=3.0) as link:
        assert await PostgresMaintenance(link, ToldClock()).place(date(2030, 5, 1)) == 1
        assert await link.run("setting", name="statement_timeout") == [("2700ms",)]


@pytest.mark.gen_test
async def test_an_audit_may_take_its_time(database: Database) -> None:
    database.execute(
        "CREATE FUNCTION catchment.slow() RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint FROM pg_sleep(3.5)';"
        "ALTER TABLE catchment.usage_count RENAME TO counted;"
        "CREATE VIEW catchment.usage_count AS SELECT project_id, hour, slot, events + catchment.slow() AS events"
        " FROM catchment.counted"
    )
    async with open_links(database, count=1, timeout=3.0) as links:
        database.execute("INSERT INTO catchment.counted VALUES (%s, '2026-11-01', 0, 1)", PROJECT)
        (difference,) = await PostgresMeter(links, ToldClock()).audit()
        assert (difference.usage, difference.stored) == (1, 0)


# periods


@pytest.mark.gen_test
async def test_closing_a_period_folds_the_writers_counts(database: Database) -> None:
    for n in range(4):
        await store(database, *events(PROJECT, 3, f"request-{n}"))
    await store(database, an_event(PROJECT, "december", received_at=datetime(2026, 12, 1, tzinfo=UTC)))
    counts = (
        "SELECT date_trunc('month', hour, 'UTC')::date, sum(events), count(*) FROM catchment.usage_count"
        " GROUP BY 1 ORDER BY 1"
    )
    for _ in range(2):
        database.execute("SELECT catchment.close_period('2026-11-01')")
        assert database.execute(counts) == [(date(2026, 11, 1), 12, 1), (date(2026, 12, 1), 1, 1)]
    assert database.one("SELECT count(*) FROM catchment.closed_period") == 1


@pytest.mark.gen_test
async def test_who_closes_a_period_waits_for_those_that_add_to_it(database: Database) -> None:
    async with open_link(database, "slow") as slow, open_links(database) as links, open_sink(database) as sink:
        async with slow.transaction():
            batch = batch_of([rows_of(events(PROJECT, 3, "slow"))])
            await slow.run("log_events", batch=batch)
            closing = asyncio.create_task(links.run("close_period", period=date(2026, 11, 1)))
            await busy(database, "test 0")
            late = asyncio.create_task(sink.store(events(PROJECT, 1, "late"), deadline=30))
        await closing
        with pytest.raises(Unavailable):
            await late
    assert database.execute("SELECT slot, events FROM catchment.usage_count") == [(-1, 3)]


# clocks


@pytest.mark.gen_test
async def test_an_arrival_that_is_far_from_the_databases_clock_is_refused(database: Database) -> None:
    """Its id would be forgotten too early, or it would be billed in another month."""
    database.let_clocks_differ("10 minutes")
    now = datetime.now(UTC)
    near = [an_event(PROJECT, str(n), received_at=now + n * timedelta(minutes=9)) for n in (-1, 1)]
    await store(database, *near)
    for off in (timedelta(days=-40), timedelta(minutes=-11), timedelta(minutes=11)):
        async with open_sink(database) as sink:
            with pytest.raises(Unavailable):
                await sink.store([*near, an_event(PROJECT, "far", received_at=now + off)], deadline=30)
            assert "CA001" in str(sink.alert)
    assert database.one("SELECT count(*) FROM catchment.event_id") == 2


@pytest.mark.gen_test
@pytest.mark.parametrize("off", [timedelta(days=-20000), timedelta(days=100), timedelta(days=20000)])
async def test_maintenance_goes_by_the_databases_clock_if_a_servers_is_wrong(
    database: Database, off: timedelta
) -> None:
    now = datetime.now(UTC)
    for name, age in (("old", KNOWN_IDS + timedelta(hours=1)), ("young", KNOWN_IDS - timedelta(minutes=2))):
        await store(database, an_event(PROJECT, name, received_at=now - age))
    database.let_clocks_differ("10 minutes")
    for rows in (
        "loss_report SELECT project_id, key_kind, event_id, received_at FROM catchment.event_id",
        "salt SELECT (now() AT TIME ZONE 'UTC')::date - n, '' FROM (VALUES (0), (3)) AS v (n)",
        "quota_usage (quota_id, starts, events) SELECT gen_random_uuid(), (now() AT TIME ZONE 'UTC')::date - n, 1"
        " FROM (VALUES (30), (95)) AS v (n)",
    ):
        database.execute(f"INSERT INTO catchment.{rows}")
    async with open_link(database) as link:
        done = await PostgresMaintenance(link, ToldClock(now + off)).once()
    assert done.ids_forgotten == 2
    assert not [name for name in done.partitions if abs(int(name[6:10]) - now.year) > 1]
    assert database.execute("SELECT event_id FROM catchment.event_id") == [("young",)]
    for table in ("loss_report", "salt", "quota_usage"):
        assert database.one(f"SELECT count(*) FROM catchment.{table}") == 1  # noqa: S608


@pytest.mark.gen_test
async def test_a_period_that_runs_by_the_databases_clock_is_not_closed(database: Database) -> None:
    database.let_clocks_differ("10 minutes")
    ahead = ToldClock(datetime.now(UTC) + timedelta(days=62))
    async with open_links(database) as links:
        with pytest.raises(Invalid, match="by the database's clock"):
            await PostgresMeter(links, ahead).close(datetime.now(UTC).date().replace(day=1))

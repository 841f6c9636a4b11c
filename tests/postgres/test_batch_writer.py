"""Group commit on PostgreSQL: groups in one transaction, data that the database can't hold, a database that fails."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catchment.adapters.memory.parts import ToldClock
from catchment.core.collecting.group_commit import GroupCommit
from catchment.core.errors import CommitUnknown, Unavailable
from catchment.core.event import Event
from catchment.core.outcomes import StoreOutcome

from ..support.database import Database
from ..support.events import an_event, an_id, events, project_quota
from ..support.sessions import busy, closed, locked, terminate
from ..support.storage import Notes, in_words, open_sink, postgres_storage
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test

PROJECT = an_id(1)
STORED, DUPLICATE = StoreOutcome.STORED, StoreOutcome.DUPLICATE
FULL, INVALID = "quota_exceeded", StoreOutcome.INVALID_EVENT

_SECRET = "nobody-may-read-this"


def too_long_for_an_index() -> str:
    """Text that can't be compressed into an index row (54000)."""
    return "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=9000))


def culprits() -> dict[str, Event]:
    """Events that no validation would let through, by what is wrong with them."""
    good = an_event(PROJECT, "bad")
    return {
        "an id too long for the index": good._replace(event_id=too_long_for_an_index()),
        "NUL in a column": good._replace(page_title=f"{_SECRET}\x00"),
        "NUL in the data": good._replace(data={"a": {"b": [f"{_SECRET}\x00"]}}),
        "NUL in a key of the data": good._replace(data={f"{_SECRET}\x00": 1}),
        "NUL in a property": good._replace(properties={"a": f"{_SECRET}\x00"}),
        "half a surrogate pair": good._replace(name=f"{_SECRET}\ud800"),
        "half a surrogate pair in the data": good._replace(data={_SECRET: "\udfff"}),
        "what JSON can't hold": good._replace(properties={_SECRET: object()}),
        "an integer with too many digits": good._replace(data={_SECRET: 10**140_000}),
        "a session that is none": good._replace(session_id=None),  # type: ignore[arg-type]
    }


def asked(sink: GroupCommit, batch: Sequence[Event], deadline: float = 30) -> asyncio.Task[list[str]]:
    """A request that is under way."""

    async def store() -> list[str]:
        return in_words((await sink.store(batch, deadline=deadline)).outcomes)

    return asyncio.create_task(store())


async def first_under_way(database: Database, sink: GroupCommit) -> asyncio.Task[list[str]]:
    """A request that the only writer is at, while the table is locked."""
    first = asked(sink, events(PROJECT, 1, "first"))
    await busy(database, "writer 0")
    return first


async def queued(sink: GroupCommit, count: int) -> None:
    await eventually(lambda: sink.queued[0] == count, f"{count} events wait")


async def stored(sink: GroupCommit, batch: Sequence[Event]) -> list[str]:
    return in_words((await sink.store(batch, deadline=30)).outcomes)


async def refused(sink: GroupCommit, batch: Sequence[Event]) -> Unavailable:
    with pytest.raises(Unavailable) as raised:
        await sink.store(batch, deadline=30)
    return raised.value


def in_quarantine(database: Database) -> list[dict[str, Any]]:
    return [row for (row,) in database.execute("SELECT to_jsonb(quarantine) FROM catchment.quarantine ORDER BY id")]


def agree(database: Database) -> bool:
    """Whether usage, rows and ids are as many."""
    return database.one(
        "SELECT (SELECT count(*) FROM catchment.event) = (SELECT coalesce(sum(events), 0) FROM catchment.usage_count)"
        " AND (SELECT count(*) FROM catchment.event) = (SELECT count(*) FROM catchment.event_id)"
    )


@pytest.fixture(autouse=True)
def everything_agrees(request: pytest.FixtureRequest) -> Iterator[None]:
    database = request.getfixturevalue("database")
    yield
    assert agree(database)


# groups


async def test_requests_of_a_group_are_served_in_order(database: Database) -> None:
    async with postgres_storage(database) as storage, open_sink(database, writers=1) as sink:
        await storage.limit(project_quota(storage.project, 3))
        with locked(database):
            await first_under_way(database, sink)
            tasks = [asked(sink, events(storage.project, 2, f"request-{n}")) for n in range(3)]
            await queued(sink, 6)
        assert [await task for task in tasks] == [[STORED, STORED], [STORED, FULL], [FULL, FULL]]


async def test_a_retry_in_the_same_group_is_told_what_became_of_the_event(database: Database) -> None:
    """An event that found no room is not stored: nobody may be told that it is a duplicate of a stored one."""
    async with postgres_storage(database) as storage, open_sink(database, writers=1) as sink:
        await storage.limit(project_quota(storage.project, 0))
        event = an_event(storage.project, "one")
        with locked(database):
            await first_under_way(database, sink)
            tasks = [asked(sink, [event]) for _ in range(2)]
            await queued(sink, 2)
        assert [await task for task in tasks] == [[FULL], [FULL]]


async def test_the_same_event_in_two_requests_of_a_group_is_stored_once(database: Database) -> None:
    async with open_sink(database, writers=1) as sink:
        with locked(database):
            await first_under_way(database, sink)
            tasks = [asked(sink, events(PROJECT, 2)) for _ in range(3)]
            await queued(sink, 6)
        assert [await task for task in tasks] == [[STORED] * 2, [DUPLICATE] * 2, [DUPLICATE] * 2]


async def test_what_was_written_when_the_deadline_passed_may_be_stored(database: Database) -> None:
    clock = ToldClock()
    batch = events(PROJECT, 2)
    async with open_sink(database, writers=1, clock=clock) as sink:
        with locked(database):
            written = asked(sink, batch, deadline=5)
            await busy(database, "writer 0")
            clock.advance(timedelta(seconds=5))
            with pytest.raises(CommitUnknown):
                await written
        await eventually(
            lambda: database.one("SELECT count(*) FROM catchment.event") == 2, "the commit went through all the same"
        )
        assert await asked(sink, batch, deadline=100) == [DUPLICATE] * 2
        assert database.one("SELECT sum(events) FROM catchment.usage_count") == 2


# bad data


@pytest.mark.parametrize("fault", culprits())
async def test_a_culprit_is_refused_and_kept_in_quarantine(database: Database, fault: str) -> None:
    notes = Notes()
    async with open_sink(database, notes=notes) as sink:
        assert await stored(sink, [culprits()[fault]]) == [INVALID]
        assert await stored(sink, [an_event(PROJECT, "good")]) == [STORED]
    (kept,) = in_quarantine(database)
    assert (kept["project_id"], kept["key_kind"]) == (PROJECT, "browser")
    assert notes.in_quarantine == 1


async def test_of_two_hundred_the_good_ones_are_stored(database: Database) -> None:
    notes = Notes()
    batch = events(PROJECT, 200)
    for place, fault in ((0, "NUL in a column"), (117, "an id too long for the index"), (199, "NUL in the data")):
        batch[place] = culprits()[fault]._replace(**({} if "id" in fault else {"event_id": f"bad-{place}"}))
    async with open_sink(database, notes=notes) as sink:
        outcomes = await stored(sink, batch)
    assert [n for n, outcome in enumerate(outcomes) if outcome is INVALID] == [0, 117, 199]
    assert outcomes.count(STORED) == 197
    assert database.one("SELECT count(*) FROM catchment.event") == 197
    assert len(in_quarantine(database)) == notes.in_quarantine == 3


async def test_every_kind_of_culprit_at_once_hurts_nobody(database: Database) -> None:
    batch: list[Event] = []
    for n, event in enumerate(culprits().values()):
        batch += [event, an_event(PROJECT, f"good-{n}")]
    async with open_sink(database) as sink:
        assert await stored(sink, batch) == [INVALID, STORED] * len(culprits())


async def test_quarantine_holds_nothing_of_what_was_in_an_event(database: Database) -> None:
    batch = [event for fault, event in culprits().items() if _SECRET not in event.name]
    async with open_sink(database) as sink:
        await stored(sink, batch)
    kept = in_quarantine(database)
    assert kept
    assert _SECRET not in json.dumps(kept, default=str)
    assert {row["name"] for row in kept} == {"SignUp"}


async def test_of_several_requests_only_the_culprits_own_event_is_refused(database: Database) -> None:
    notes = Notes()
    async with open_sink(database, writers=1, notes=notes) as sink:
        with locked(database):
            first = await first_under_way(database, sink)
            batches = [events(PROJECT, 2, f"request-{n}") for n in range(4)]
            batches[2].insert(1, culprits()["NUL in the data"])
            tasks = [asked(sink, batch) for batch in batches]
            await queued(sink, 9)
        assert await first == [STORED]
        answers = [await task for task in tasks]
    assert answers == [[STORED, STORED], [STORED, STORED], [STORED, INVALID, STORED], [STORED, STORED]]
    assert notes.in_quarantine == 1


async def test_duplicates_and_quotas_hold_beside_a_culprit(database: Database) -> None:
    async with postgres_storage(database) as storage, open_sink(database) as sink:
        await storage.store(an_event(storage.project, "known"))
        batch = [an_event(storage.project, event_id) for event_id in ("a", "known", "b", "a", "c")]
        batch.insert(2, an_event(storage.project, "bad", label="\x00"))
        await storage.limit(project_quota(storage.project, 3))
        outcomes = await stored(sink, batch)
        assert outcomes == [STORED, DUPLICATE, INVALID, STORED, DUPLICATE, FULL]


async def test_a_culprit_that_was_mended_is_stored(database: Database) -> None:
    async with open_sink(database) as sink:
        assert await stored(sink, [an_event(PROJECT, "one", label="\x00")]) == [INVALID]
        assert await stored(sink, [an_event(PROJECT, "one", label="x")]) == [STORED]


async def test_what_looks_bad_and_is_not_is_stored(database: Database) -> None:
    hard = {
        "backslash": "\\u0000 \\ \\\\",
        "percent": "%s %(x)s %%",
        "quotes": "'; DROP TABLE catchment.event; -- $body$",
        "astral": "\U0001f600\uffff\ufffd",
        "number": 10**4000,
        "bidi": "\u202e\u2066",
    }
    async with open_sink(database) as sink:
        assert await stored(sink, [an_event(PROJECT, "one", data=hard, name="x" * 9000)]) == [STORED]
    text = database.one("SELECT data::text FROM catchment.event")
    assert json.loads(text.replace(str(hard["number"]), "7")) == {**hard, "number": 7}
    assert str(hard["number"]) in text


# the installation is wrong


async def test_without_the_procedure_nothing_is_dropped_and_an_operator_is_called(database: Database) -> None:
    notes = Notes()
    async with open_sink(database, notes=notes) as sink:
        database.execute("ALTER FUNCTION catchment.log_events RENAME TO gone")
        error = await refused(sink, events(PROJECT, 2))
        assert type(error) is Unavailable
        assert sink.alert is not None
        assert "42883" in sink.alert
        assert notes.failures == [("hold", "42883")]
        database.execute("ALTER FUNCTION catchment.gone RENAME TO log_events")
        assert await stored(sink, events(PROJECT, 2)) == [STORED] * 2
        assert sink.alert is None
    assert in_quarantine(database) == []


async def test_without_any_partition_nothing_is_taken_for_bad_data(database: Database) -> None:
    async with open_sink(database) as sink:
        database.execute("ALTER TABLE catchment.event DETACH PARTITION catchment.event_default")
        far = [an_event(PROJECT, "far", received_at=datetime(2031, 5, 1, tzinfo=UTC))]
        assert type(await refused(sink, far)) is Unavailable
        assert sink.alert is not None
        assert await stored(sink, events(PROJECT, 1)) == [STORED]
        database.execute("ALTER TABLE catchment.event ATTACH PARTITION catchment.event_default DEFAULT")
        assert await stored(sink, far) == [STORED]
    assert in_quarantine(database) == []


# the database can't now


async def test_a_database_that_may_only_be_read_is_not_taken_for_bad_data(database: Database) -> None:
    name = database.one("SELECT current_database()")
    notes = Notes()
    async with open_sink(database, notes=notes) as sink:
        database.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        terminate(database, "writer%")
        await eventually(lambda: _fails_with(sink, notes, "25006"), "the new sessions may only read")
        assert sink.alert is None
        database.beside("postgres").execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        terminate(database, "writer%")
        await eventually(lambda: _succeeds(sink), "events are stored again")
    assert in_quarantine(database) == []


async def _fails_with(sink: GroupCommit, notes: Notes, sqlstate: str) -> bool:
    await refused(sink, events(PROJECT, 1))
    return notes.failures[-1] == ("retry", sqlstate)


async def _succeeds(sink: GroupCommit) -> bool:
    try:
        return await stored(sink, events(PROJECT, 1)) != []
    except Unavailable:
        return False


async def test_a_writer_whose_session_ended_while_it_was_idle_goes_on(database: Database) -> None:
    async with open_sink(database) as sink:
        assert terminate(database, "writer%") == 2
        await eventually(lambda: _succeeds(sink), "events are stored again")


async def test_a_writer_whose_session_ends_while_it_is_busy_does_not_know_what_became_of_it(
    database: Database,
) -> None:
    async with open_sink(database, writers=1) as sink:
        with locked(database):
            task = asyncio.create_task(refused(sink, events(PROJECT, 2)))
            await busy(database, "writer 0")
            terminate(database, "writer%")
            assert type(await task) is CommitUnknown
        outcomes = await stored(sink, events(PROJECT, 2))
        assert outcomes in ([STORED] * 2, [DUPLICATE] * 2)


async def test_while_the_database_is_gone_every_request_is_told_so_and_then_it_goes_on(database: Database) -> None:
    async with open_sink(database) as sink:
        with closed(database):
            for _ in range(3):
                assert isinstance(await refused(sink, events(PROJECT, 1)), Unavailable)
            await eventually(lambda: sink.down, "it is known that nothing can be stored")
            assert type(await refused(sink, events(PROJECT, 1))) is Unavailable
            assert sink.queued == (0, 0)
        await eventually(lambda: sink.down is None, "the session is back")
        assert await stored(sink, events(PROJECT, 1)) == [STORED]


async def test_a_lock_that_is_held_too_long_is_waited_for_until_the_deadline(database: Database) -> None:
    """`lock_timeout` ends the statement (55P03): nothing was stored, and it is tried again at once."""
    notes = Notes()
    async with open_sink(database, writers=1, notes=notes, timeout=0.4) as sink:
        with locked(database):
            task = asked(sink, events(PROJECT, 1))
            await eventually(lambda: notes.failures, "the lock was not got")
        assert await task == [STORED]
    assert ("retry", "55P03") in notes.failures


async def test_a_clock_that_stands_still_changes_nothing(database: Database) -> None:
    async with open_sink(database, clock=ToldClock()) as sink:
        assert await stored(sink, events(PROJECT, 1)) == [STORED]


async def test_a_sink_with_nothing_to_do_notices_that_the_database_is_gone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GroupCommit, "HEARTBEAT_SECONDS", 0.05)
    async with open_sink(database) as sink:
        await eventually(lambda: sink.down is None, "it has its sessions")
        with closed(database):
            await eventually(lambda: sink.down is not None, "it knows that nothing can be stored")
        await eventually(lambda: sink.down is None, "it is back")
        assert await stored(sink, [an_event(PROJECT, "one")]) == [STORED]

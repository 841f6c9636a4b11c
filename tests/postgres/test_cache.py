"""The cache of keys: how long entries live, and what a look-up costs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from catchment import sql
from catchment.adapters.memory.parts import CountingIds, ToldClock
from catchment.adapters.postgres.link import Link, Links
from catchment.adapters.postgres.low_descriptors import LowDescriptors
from catchment.adapters.postgres.projects import CachedProjects, CacheLives
from catchment.adapters.postgres.registry import PostgresRegistry
from catchment.adapters.system.ids import SystemIds
from catchment.core.accounts.administer import Administer
from catchment.core.errors import Unavailable
from catchment.core.keys import fingerprint
from catchment.core.project import KeyKind

from ..support.database import Database
from ..support.sessions import closed, locked, sessions, terminate
from ..support.storage import open_links, open_projects
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test

_REVOKE = "UPDATE catchment.key SET revoked_at = now()"


@contextlib.contextmanager
def deaf(links: Links, clock: ToldClock, lives: CacheLives | None = None, **more: Any) -> Iterator[CachedProjects]:
    """A cache to which changes are not announced."""
    descriptors = LowDescriptors(0)
    nowhere = Link("postgresql:///x?host=/nowhere", name="listener", timeout=5, descriptors=descriptors)
    yield CachedProjects(links, nowhere, clock=clock, lives=lives, **more)
    descriptors.close()


@contextlib.asynccontextmanager
async def a_key(database: Database) -> AsyncIterator[tuple[Links, bytes]]:
    """Yield sessions, and the fingerprint of a key of a project."""
    async with open_links(database) as links:
        administer = Administer(PostgresRegistry(links), CountingIds(), str)
        await administer.create_account("acme")
        _, new = await administer.create_project("shop", "acme", [])
        yield links, fingerprint(new.text)


class Counting:
    """Sessions that count their queries."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self.asked = 0

    async def run(self, name: str, /, **parameters: object) -> object:
        self.asked += 1
        return await self._links.run(name, **parameters)


class Stuck:
    """Sessions that are busy for ever."""

    async def run(self, name: str, /, **parameters: object) -> object:
        return await asyncio.Event().wait()


async def revoked(projects: CachedProjects, known: bytes) -> bool:
    access = await projects.find(known)
    assert access is not None
    return access.revoked


async def test_without_announcements_an_answer_lives_for_five_seconds(database: Database) -> None:
    """Of a key that is there, and of one that is not."""
    async with a_key(database) as (links, known):
        clock = ToldClock()
        with deaf(links, clock) as projects:
            assert not projects.listening
            assert not await revoked(projects, known)
            database.execute(_REVOKE)
            clock.advance(timedelta(seconds=4.9))
            assert not await revoked(projects, known)
            clock.advance(timedelta(seconds=0.1))
            assert await revoked(projects, known)
            clock.advance(timedelta(seconds=5))
            database.execute("UPDATE catchment.key SET fingerprint = '\\x00'")
            assert await projects.find(known) is None
            database.execute("UPDATE catchment.key SET fingerprint = %s", known)
            clock.advance(timedelta(seconds=4.9))
            assert await projects.find(known) is None
            clock.advance(timedelta(seconds=0.1))
            assert await projects.find(known) is not None


async def test_with_announcements_an_aged_answer_is_served_while_it_is_asked_anew_once(database: Database) -> None:
    async with a_key(database) as (links, known):
        clock, counted = ToldClock(), Counting(links)
        database.execute("DROP TRIGGER announce ON catchment.key")  # so that nothing is announced
        async with open_projects(database, counted, clock=clock) as projects:  # type: ignore[arg-type]
            assert not await revoked(projects, known)
            database.execute(_REVOKE)
            clock.advance(timedelta(seconds=59.9))
            assert not await revoked(projects, known)
            assert counted.asked == 1
            clock.advance(timedelta(seconds=0.1))
            with locked(database, "catchment.key"):
                for _ in range(5):
                    assert not await revoked(projects, known)
            await eventually(lambda: revoked(projects, known), "the answer was asked anew")
            assert counted.asked == 2


async def test_with_announcements_an_answer_of_two_minutes_is_not_served(database: Database) -> None:
    """Even if nobody asked meanwhile: an announcement may have been lost."""
    async with a_key(database) as (links, known):
        clock = ToldClock()
        database.execute("DROP TRIGGER announce ON catchment.key")
        async with open_projects(database, links, clock=clock) as projects:
            assert not await revoked(projects, known)
            database.execute(_REVOKE)
            clock.advance(timedelta(seconds=120))
            assert await revoked(projects, known)


async def test_when_the_listener_is_lost_everything_is_forgotten_and_then_it_listens_again(database: Database) -> None:
    async with a_key(database) as (links, known):
        database.execute("DROP TRIGGER announce ON catchment.key")
        async with open_projects(database, links, clock=ToldClock()) as projects:
            assert not await revoked(projects, known)
            database.execute(_REVOKE)
            assert terminate(database, "listener") == 1
            await eventually(lambda: not projects.listening, "the loss is noticed")
            assert await revoked(projects, known)
            await eventually(lambda: projects.listening, "changes are announced again")


async def test_after_the_listener_was_lost_changes_are_announced_again(database: Database) -> None:
    async with a_key(database) as (links, known), open_projects(database, links, clock=ToldClock()) as projects:
        assert not await revoked(projects, known)
        assert terminate(database, "listener") == 1
        await eventually(lambda: not projects.listening, "the loss is noticed")
        await eventually(lambda: projects.listening, "changes are announced again")
        assert not await revoked(projects, known)
        database.execute(_REVOKE)
        await eventually(lambda: revoked(projects, known), "the key is revoked")


@pytest.mark.parametrize("words", ["project nobody", "project ", "", "account 1 project", "x" * 7999])
async def test_words_of_other_roles_on_the_channel_change_nothing(
    database: Database, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_key(database) as (links, known):
        counted = Counting(links)
        async with open_projects(database, counted, clock=ToldClock()) as projects:  # type: ignore[arg-type]
            assert not await revoked(projects, known)
            database.execute("SELECT pg_notify('catchment_changed', %s)", words)
            database.execute(_REVOKE)  # announced after it, so both were heard when this one is
            await eventually(lambda: revoked(projects, known), "the change is heard")
            assert projects.listening
            assert counted.asked == 2
    assert not caplog.messages


async def test_a_session_that_is_quiet_is_asked_whether_it_lives(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CachedProjects, "HEARTBEAT_SECONDS", 0.02)
    asked = "SELECT set_config('application_name', 'catchment listener that was asked', false)"
    monkeypatch.setitem(sql.queries(), "heartbeat", asked)
    async with a_key(database) as (links, known), open_projects(database, links, clock=ToldClock()) as projects:
        await eventually(lambda: sessions(database, "listener that was asked"), "the listener was asked")
        assert projects.listening
        assert not await revoked(projects, known)
        database.execute(_REVOKE)
        await eventually(lambda: revoked(projects, known), "the key is revoked")


async def test_a_look_up_is_shared_by_all_who_wait_for_it(database: Database) -> None:
    async with a_key(database) as (links, known):
        counted = Counting(links)
        with deaf(counted, ToldClock()) as projects:  # type: ignore[arg-type]
            found = await asyncio.gather(*(projects.find(known) for _ in range(50)))
            assert counted.asked == 1
            assert len({id(access) for access in found}) == 1
            await projects.find(known)
            assert counted.asked == 1


async def test_who_gives_up_a_look_up_takes_nobody_along(database: Database) -> None:
    async with a_key(database) as (links, known):
        with deaf(links, ToldClock()) as projects:
            impatient, patient = (asyncio.create_task(projects.find(known)) for _ in range(2))
            await asyncio.sleep(0)
            impatient.cancel()
            assert await patient is not None
            with pytest.raises(asyncio.CancelledError):
                await impatient


async def test_guessed_keys_do_not_push_out_the_good_ones(database: Database) -> None:
    async with a_key(database) as (links, known):
        with deaf(links, ToldClock(), CacheLives(entries=5)) as projects:
            assert not await revoked(projects, known)
            for n in range(50):
                assert await projects.find(fingerprint(f"guess {n}")) is None
            database.execute(_REVOKE)
            assert not await revoked(projects, known)
            assert len(projects._unknown) == 5


async def test_made_up_keys_stand_before_no_key_that_exists(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a key that was there at the start, nor a key that was made since."""
    monkeypatch.setattr("catchment.adapters.postgres.projects._PAGE", 2)
    async with a_key(database) as (links, known):
        administer = Administer(PostgresRegistry(links), SystemIds(), str)
        keys = [(await administer.create_key("shop", KeyKind.SERVER)).text for _ in range(5)]
        stuck = Stuck()
        async with open_projects(database, links, clock=ToldClock(), strangers=stuck, patience=0.5) as projects:  # type: ignore[arg-type]
            made_up = [projects.find(fingerprint(f"made up {n}")) for n in range(500)]
            told = [str(error) for error in await asyncio.gather(*made_up, return_exceptions=True)]
            most = CachedProjects.MOST_STRANGERS
            assert told.count("too many unknown keys are looked up at this moment") == 500 - most
            assert told.count("looking up the key took too long") == most

            assert await projects.find(known) is not None
            for key in keys:
                assert await projects.find(fingerprint(key)) is not None
            new = await administer.create_key("shop", KeyKind.SERVER)

            async def answered() -> bool:
                with contextlib.suppress(Unavailable):
                    return await projects.find(fingerprint(new.text)) is not None
                return False

            await eventually(answered, "the new key was announced, and is answered")
            assert terminate(database, "listener") == 1  # the entries are dropped, and the keys are still known
            await eventually(lambda: not projects.listening, "the loss is noticed")
            assert await projects.find(known) is not None


async def test_a_database_that_is_gone_is_said_and_what_is_kept_is_answered(database: Database) -> None:
    async with a_key(database) as (links, known):
        clock = ToldClock()
        with deaf(links, clock) as projects:
            assert not await revoked(projects, known)
            with closed(database):
                assert not await revoked(projects, known)
                with pytest.raises(Unavailable):
                    await projects.find(fingerprint("another"))
                clock.advance(timedelta(seconds=5))
                with pytest.raises(Unavailable):
                    await projects.find(known)
            assert not await revoked(projects, known)


async def test_while_the_database_is_down_who_asks_for_an_unknown_key_is_told_at_once(database: Database) -> None:
    async with a_key(database) as (links, known):
        down: list[str] = []
        with deaf(links, ToldClock(), down=lambda: down[0] if down else None) as projects:
            assert not await revoked(projects, known)
            down.append("no session with the database")
            assert not await revoked(projects, known)
            with pytest.raises(Unavailable, match="no session with the database"):
                await projects.find(fingerprint("pk_other"))


async def test_a_look_up_is_waited_for_in_bounds(database: Database) -> None:
    """A look-up may wait for a session, for its connection, and for the answer: all of it together is bounded."""
    async with a_key(database) as (links, known):
        with (
            deaf(links, ToldClock(), patience=0.05) as projects,
            locked(database, "catchment.key"),
            pytest.raises(Unavailable, match="took too long"),
        ):
            await projects.find(known)
        await eventually(lambda: not projects._asked, "the look-up has ended")

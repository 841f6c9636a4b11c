"""Many websites are connected: the database's sockets have low file descriptors all the same.

aiopg calls `select()`, which can't name a descriptor of 1,024 or above; a query that errs would hang. Each test runs
in a process of its own, with descriptors of its own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from textwrap import dedent

import pytest

from ..support.database import Database

_PRELUDE = """
import asyncio, os, resource, sys, warnings
from catchment import sql
from catchment.adapters.postgres.errors import DatabaseError, Failure, NotConnected
from catchment.adapters.postgres.link import Link
from catchment.adapters.postgres.low_descriptors import LowDescriptors

sql.queries()["divide"] = "SELECT 1 / %(by)s"
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))

def crowd(count):
    for _ in range(count):
        os.open(os.devnull, os.O_RDONLY)

def count_descriptors():
    return len(os.listdir("/dev/fd"))

def a_link(descriptors):
    return Link(sys.argv[1], name="test", timeout=5, descriptors=descriptors)
"""

pytestmark = pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2048, reason="this machine allows fewer than 2,048 descriptors"
)


def run(script: str, database: Database | None = None) -> None:
    """Runs a script, which fails by an exception or by hanging."""
    command = [sys.executable, "-c", _PRELUDE + dedent(script), *([database.dsn] if database else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_a_query_works_and_errs_however_many_are_connected(embedded_database: Database) -> None:
    run(
        """
        async def main():
            descriptors = LowDescriptors(2)
            crowd(1200)
            link = a_link(descriptors)
            for _ in range(5):
                assert await link.run("heartbeat") == [(1,)]
                try:
                    await link.run("divide", by=0)
                    raise SystemExit("divided")
                except DatabaseError as error:
                    assert (error.failure, error.sqlstate) == (Failure.BAD_DATA, "22012"), error
                link.drop()

        asyncio.run(main())
        """,
        embedded_database,
    )


def test_two_sessions_have_their_descriptors_again_and_again(embedded_database: Database) -> None:
    run(
        """
        async def main():
            descriptors = LowDescriptors(2)
            crowd(1200)
            links = [a_link(descriptors), a_link(descriptors)]
            for _ in range(5):
                for link in links:
                    assert await link.run("heartbeat") == [(1,)]
                for link in links:
                    link.drop()

        asyncio.run(main())
        """,
        embedded_database,
    )


def test_without_a_low_descriptor_it_is_said_and_nobody_hangs(embedded_database: Database) -> None:
    run(
        """
        async def main():
            crowd(1200)
            link = a_link(LowDescriptors(0))
            try:
                await link.run("heartbeat")
                raise SystemExit("connected")
            except NotConnected as error:
                assert "no low file descriptor" in str(error)
            assert not link.connected

        asyncio.run(main())
        """,
        embedded_database,
    )


def test_without_any_descriptor_it_is_said_and_a_session_is_made_later(embedded_database: Database) -> None:
    """As many as the process may have are open, and the one that was kept is taken by somebody else."""
    run(
        """
        async def main():
            taken = []
            class Robbed(LowDescriptors):
                def lend(self):
                    super().lend()
                    taken.append(os.open(os.devnull, os.O_RDONLY))

            descriptors = Robbed(1)
            link = a_link(descriptors)
            soft = max(map(int, os.listdir("/proc/self/fd"))) + 1
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            try:
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                pass
            try:
                await link.run("heartbeat")
                raise SystemExit("connected")
            except NotConnected:
                pass
            for descriptor in taken:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
            assert await a_link(LowDescriptors(0)).run("heartbeat") == [(1,)]

        asyncio.run(main())
        """,
        embedded_database,
    )


def test_descriptors_are_kept_lent_and_closed() -> None:
    run(
        """
        before = count_descriptors()
        descriptors = LowDescriptors(3)
        assert count_descriptors() == before + 6, "as many again are in reserve"
        for _ in range(5):
            descriptors.lend()
        assert count_descriptors() == before + 1
        descriptors.take_back()
        assert count_descriptors() == before + 2
        descriptors.close()
        assert count_descriptors() == before
        """
    )


def test_another_one_is_kept_in_place_of_one_that_somebody_else_got() -> None:
    run(
        """
        before = count_descriptors()
        descriptors = LowDescriptors(1)
        descriptors.lend()
        somebody = os.open(os.devnull, os.O_RDONLY)
        descriptors.take_back()
        assert count_descriptors() == before + 3
        os.close(somebody)
        descriptors.lend()
        descriptors.take_back()
        assert count_descriptors() == before + 2
        descriptors.close()
        """
    )

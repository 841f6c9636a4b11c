"""The metrics that an operator needs move with what they measure: each of these fails where one stands still."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest

from ..support.database import Database
from ..support.plugins import install_plugin
from ..support.running import Installation, Project, Serving
from ..support.sessions import busy_sessions
from ..support.waiting import wait_until

Samples = dict[str, float]


def samples(server: Serving) -> Samples:
    lines = server.get("/metrics").body.decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line and line[0] != "#"}


def wait_for(server: Serving, condition: Callable[[Samples], bool], what: str) -> Samples:
    """The samples as they are when this is true of them."""

    def look() -> Samples | None:
        found = samples(server)
        return found if condition(found) else None

    found: Samples = wait_until(look, what)
    return found


@contextmanager
def locked(database: Database, table: str) -> Iterator[None]:
    """Nobody else can use the table: what is to be stored waits."""
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


def test_metrics_tell_how_many_events_wait_and_for_how_long(
    installation: Installation, project: Project, embedded_database: Database
) -> None:
    depth, size, age = "catchment_queue_events", "catchment_queue_bytes", "catchment_queue_oldest_seconds"
    with installation.serving(COLLECT__DEADLINE="20", DATABASE__WRITERS="1") as server:
        server.post(project.event())
        at_rest = samples(server)
        assert (at_rest[depth], at_rest[size], at_rest[age]) == (0, 0, 0)
        with ThreadPoolExecutor(13) as pool, locked(embedded_database, "catchment.event"):
            replies = [pool.submit(server.post, project.event())]
            wait_until(lambda: busy_sessions(embedded_database, "writer 0"), "the one writer has what came first")
            replies += [pool.submit(server.post, project.event()) for _ in range(12)]
            first = wait_for(server, lambda now: now[depth] == 12, "the rest waits")
            assert first[size] > 100 * first[depth]
            wait_for(server, lambda now: now[age] > first[age] + 0.9, "the oldest has waited for longer")
        assert {reply.result().status for reply in replies} == {200}
        wait_for(server, lambda now: (now[depth], now[size], now[age]) == (0, 0, 0), "nothing waits")


def test_metrics_tell_how_many_events_a_commit_has_and_how_long_it_takes(
    installation: Installation, project: Project, embedded_database: Database
) -> None:
    with installation.serving() as server:
        server.post(project.event())
        before = samples(server)
        assert before["catchment_commit_events_count"] == before["catchment_commit_seconds_count"] == 1
        embedded_database.execute(
            "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$; "
            "CREATE TRIGGER slow BEFORE INSERT ON catchment.event FOR EACH STATEMENT EXECUTE FUNCTION public.slow()"
        )
        batch = {"projectKey": project.browser_key, "events": [project.event() for _ in range(7)]}
        assert server.post(batch, "/v1/batch").status == 200
        after = samples(server)
    assert after["catchment_commit_events_count"] == after["catchment_commit_seconds_count"] == 2
    assert after["catchment_commit_events_sum"] - before["catchment_commit_events_sum"] == 7
    assert after["catchment_commit_seconds_sum"] - before["catchment_commit_seconds_sum"] >= 0.3
    of_seven = {name: after[name] - before[name] for name in after if name.startswith("catchment_commit_events_bucket")}
    assert of_seven['catchment_commit_events_bucket{le="5.0"}'] == 0
    assert of_seven['catchment_commit_events_bucket{le="10.0"}'] == 1


def test_metrics_tell_what_became_of_events_by_reason(
    installation: Installation, project: Project, embedded_database: Database
) -> None:
    installation.json("quota", "set", "--project", project.name, "--window", "month", "--hard", "2")
    with installation.serving(COLLECT__DEADLINE="3") as server:
        for body, expected in (
            (project.event(eventId="e-1"), "stored"),
            (project.event(eventId="e-1"), "duplicate"),
            (project.event(event_name=""), "invalid_event"),
            (project.event(url="https://elsewhere.example/"), "origin_not_allowed"),
            (project.event(projectKey="pk_nobody"), "unknown_key"),
            (b"{", "invalid_json"),
            (project.event(), "stored"),
            (project.event(), "quota_exceeded"),
        ):
            assert server.post(body).code == expected
        with locked(embedded_database, "catchment.event_id"):
            unknown = server.post(project.event()).code
        assert unknown in ("unavailable", "commit_unknown")
        found = samples(server)
    told = {name: n for name, n in found.items() if name.startswith("catchment_events_total") and n}
    assert told == {
        _event("stored", ""): 2,
        _event("duplicate", ""): 1,
        **{
            _event("refused", reason): 1
            for reason in (
                "invalid_event",
                "origin_not_allowed",
                "unknown_key",
                "invalid_json",
                "quota_exceeded",
                unknown,
            )
        },
    }


def _event(outcome: str, reason: str) -> str:
    return f'catchment_events_total{{outcome="{outcome}",reason="{reason}"}}'


_BLOCKS = """
import time
from catchment.plugins.hooks import hookimpl

@hookimpl
def catchment_validate(event):
    if event.name == "Block":
        time.sleep(1.6)  # and with it the event loop
"""


@pytest.fixture
def blocking(installation: Installation, tmp_path: Path) -> Installation:
    """An installation with a plugin that holds its worker up."""
    return Installation(installation.dsn, installation.folder, install_plugin(tmp_path / "site", "blocks", _BLOCKS))


def test_metrics_tell_how_late_the_event_loop_is(blocking: Installation, project: Project) -> None:
    lag = "catchment_event_loop_lag_seconds"
    with blocking.serving() as server:
        # never late at all: nobody looked
        wait_for(server, lambda now: 0 < now[lag] < 0.3, "the event loop is on time")
        with ThreadPoolExecutor(1) as pool:
            reply = pool.submit(server.post, project.event(event_name="Block"))
            wait_for(server, lambda now: now[lag] > 0.5, "the event loop is late")
        assert reply.result().code == "stored"
        wait_for(server, lambda now: 0 < now[lag] < 0.3, "the event loop is on time again")


def test_metrics_tell_of_all_workers_and_every_known_series_begins_at_0(installation: Installation) -> None:
    with installation.serving(2, PLUGINS__DISABLED="csv") as server:
        found = wait_for(server, lambda now: now["catchment_workers_alive"] == 2, "both workers have begun")
        assert found["catchment_workers_configured"] == 2
        build = f'catchment_build_info{{python="{platform.python_version()}",version="{version("catchment")}"}}'
        assert found[build] == 1
        assert server.get("/readyz").json["version"] == version("catchment")
        for series in (
            *(_event(outcome, "") for outcome in ("stored", "duplicate", "dry_run")),
            *(_event("filtered", reason) for reason in ("bot", "do_not_track", "plugin")),
            *(_event("refused", reason) for reason in ("unknown_key", "quota_exceeded", "commit_unknown")),
            'catchment_http_responses_total{route="/v1/batch",status="503"}',
            'catchment_database_failures_total{failure="hold",sqlstate=""}',
            'catchment_plugin_failures_total{hook="catchment_locate",plugin="geography"}',
            'catchment_client_losses_total{reason="other"}',
            'catchment_loss_reports_total{outcome="recorded"}',
            "catchment_database_alert",
        ):
            assert found[series] == 0, series
        for name in ("resident_memory_bytes", "open_fds", "max_fds", "start_time_seconds", "cpu_seconds_total"):
            # Workers measure themselves once a second.
            wait_for(server, lambda now, name=name: now[f"process_{name}"] > 0, f"process_{name} is measured")
        wait_for(server, lambda now: now["catchment_database_up"] == 1, "the database is up")

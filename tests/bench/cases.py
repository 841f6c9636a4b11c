"""What is measured. Each case gives rows: a name, a figure, what it is beside, and the ratio."""

from __future__ import annotations

import io
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from .house import Bench, Server
from .processes import Memory, ProcessorTime, memory_of

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is done for a figure. A small one shows that every case works, and nothing more."""

    seconds: float = 5
    """Of each load; whole ones, since wrk knows no others."""
    pairs: int = 3
    """How often what is compared is measured in turn."""
    warm_up: bool = True
    copied: int = 50_000
    projects: tuple[int, ...] = (100, 10_000)
    events: int = 1_000_000
    """That memory is looked at for."""
    rows: int = 10_000_000
    """That the table grows to."""
    filling: float = 20
    """Seconds of a load that only fills the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table. `ratio` is figure / beside, of pairs taken in turn: the median."""

    name: str
    figure: float
    unit: str
    beside: float | None = None
    beside_what: str = ""
    ratio: float | None = None
    aim: float | None = None
    note: str = ""


def _pairs(first: Callable[[], float], second: Callable[[], float], times: int) -> tuple[float, float, float]:
    """Medians of both and of their ratio, taken in turn: a machine that gets slower makes both slower."""
    ours, theirs = [], []
    for _ in range(times):
        ours.append(first())
        theirs.append(second())
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return statistics.median(ours), statistics.median(theirs), ratio


def single(bench: Bench, size: Size, say: Say) -> Iterator[Row]:
    """Single events, answered after commit, beside a handler that only parses."""
    keys = bench.keys(1)
    errors = bench.errors
    say("single events beside a RequestHandler")
    with bench.server() as server, bench.baseline() as baseline:

        def rate_of(port: int) -> float:
            return bench.load(port, keys, seconds=size.seconds)["rate"]

        if size.warm_up:
            rate_of(server.port)
        rate, theirs, ratio = _pairs(lambda: rate_of(server.port), lambda: rate_of(baseline.port), size.pairs)
    yield Row(
        name="single events",
        figure=rate,
        unit="events/s",
        beside=theirs,
        beside_what="RequestHandler",
        ratio=ratio,
        aim=0.7,
        note=f"{bench.errors - errors:g} errors",
    )


def _copy_rate(dsn: str, rows: int) -> float:
    """PostgreSQL's own COPY of the same rows into the same tables; taken back afterwards."""
    events, ids, columns = io.StringIO(), io.StringIO(), dict[str, str]()
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id::text, now()::text FROM catchment.project LIMIT 1")
        project, now = cursor.fetchone()
        run = uuid.uuid4().hex[:12]
        for n in range(rows):
            event_id = f"{run}-0-{n}"
            columns = {
                "project_id": project, "event_id": event_id, "name": "ButtonClick", "category": "CTA",
                "label": "Homepage Hero", "value": "1", "data": '{"custom_field": "custom value"}',
                "session_id": f"s-{n % 1000}", "url": f"https://yourdomain.com/page/{n % 200}?utm_source=newsletter",
                "page_title": "Home", "page_path": f"/page/{n % 200}", "referrer": "https://referrer.com/",
                "referrer_host": "referrer.com", "user_agent": agent, "browser": "Chrome", "browser_version": "142.0.0",
                "os": "Windows", "os_version": "10", "device": "desktop", "ip": "127.0.0.0",
                "visitor": rf"\\x{n:032x}", "utm_source": "newsletter", "is_bot": "f", "properties": "{}",
                "occurred_at": now, "received_at": now,
            }  # fmt: skip
            events.write("\t".join(columns.values()) + "\n")
            ids.write("\t".join([project, "browser", event_id, now]) + "\n")
        events.seek(0)
        ids.seek(0)
        started = time.perf_counter()
        cursor.copy_expert("COPY catchment.event_id FROM STDIN", ids)
        cursor.copy_expert(f"COPY catchment.event ({', '.join(columns)}) FROM STDIN", events)
        connection.commit()
        rate = rows / (time.perf_counter() - started)
        # taken back, so that usage goes on to equal stored rows
        cursor.execute("DELETE FROM catchment.event WHERE event_id LIKE %s", (f"{run}-0-%",))
        cursor.execute("DELETE FROM catchment.event_id WHERE event_id LIKE %s", (f"{run}-0-%",))
        connection.commit()
        return rate


def batches(bench: Bench, size: Size, say: Say) -> Iterator[Row]:
    """Batches of 100, beside COPY."""
    say("batches of 100 beside COPY")
    keys = bench.keys(1)
    with bench.server() as server:

        def ours() -> float:
            return 100 * bench.load(server.port, keys, seconds=size.seconds, connections=16, batch=100)["rate"]

        if size.warm_up:
            ours()
        rate, copied, ratio = _pairs(ours, lambda: _copy_rate(bench.dsn, size.copied), size.pairs)
    yield Row(
        name="batches of 100", figure=rate, unit="events/s", beside=copied, beside_what="COPY", ratio=ratio, aim=0.35
    )


def workers(bench: Bench, size: Size, say: Say) -> Iterator[Row]:
    """Two workers beside one; and how long it takes at half of what one can."""
    keys = bench.keys(1)
    say("two workers beside one, and latency at half load")
    with bench.server() as one, bench.server(workers=2) as two:

        def rate_of(server: Server) -> float:
            return bench.load(server.port, keys, seconds=size.seconds)["rate"]

        if size.warm_up:
            rate_of(two)
        rate, alone, ratio = _pairs(lambda: rate_of(two), lambda: rate_of(one), size.pairs)
        yield Row(name="two workers", figure=rate, unit="events/s", beside=alone, beside_what="one worker", ratio=ratio)
        half = bench.load(one.port, keys, seconds=size.seconds, delay_ms=64 / (alone / 2) * 1000)
    for name in ("p50_ms", "p99_ms"):
        note = f"at {half['rate']:.0f} events/s, {half['errors']:g} errors"
        yield Row(name=f"{name[:3]} at half load", figure=half[name], unit="ms", note=note)


def memory(bench: Bench, size: Size, say: Say) -> Iterator[Row]:
    """Memory of all processes, the server's and PostgreSQL's, while many events are stored."""
    keys = bench.keys(1)
    with bench.server() as server:

        def look() -> tuple[Memory, Memory]:
            return memory_of(server.processes()), memory_of(bench.postgres())

        bench.load(server.port, keys, seconds=size.seconds, connections=8, batch=100)
        seen, before = [look()], bench.rows()
        while (stored := bench.rows() - before) < size.events:
            say(f"memory: {stored:,} of {size.events:,} events")
            bench.load(server.port, keys, seconds=size.seconds, connections=8, batch=100)
            seen.append(look())
    peak = max(ours.total + theirs.total for ours, theirs in seen)
    start, end = seen[0], seen[-1]
    after = f"after {stored:,} events"
    beside_what = f"MiB after the first {size.seconds:g} s"

    def row(name: str, bytes_of: Callable[[tuple[Memory, Memory]], int], note: str) -> Row:
        was, now = bytes_of(start), bytes_of(end)
        return Row(
            name=name,
            figure=now / 2**20,
            unit="MiB",
            beside=was / 2**20,
            beside_what=beside_what,
            ratio=now / was,
            note=note,
        )

    yield row(
        "memory of all processes",
        lambda one: one[0].total + one[1].total,
        f"{after}; highest {peak / 2**20:.0f} MiB; every shared page counted once (PSS)",
    )
    yield row("of that the server", lambda one: one[0].total, "")
    yield row("of that PostgreSQL", lambda one: one[1].own, "without what its processes share")
    yield row("of that shared buffers", lambda one: one[1].shared, "they fill up to shared_buffers, and no further")


def projects(bench: Bench, size: Size, say: Say) -> Iterator[Row]:
    """With 1, 100 and 10,000 projects."""
    first = bench.keys(1)
    many = {count: bench.keys(count) for count in size.projects}
    with bench.server() as server:

        def rate_of(keys: Path) -> float:
            return bench.load(server.port, keys, seconds=size.seconds)["rate"]

        for count, keys in many.items():
            say(f"{count:,} projects beside one")
            if size.warm_up:
                rate_of(keys)
            rate, alone, ratio = _pairs(lambda keys=keys: rate_of(keys), lambda: rate_of(first), size.pairs)
            yield Row(
                name=f"{count:,} projects",
                figure=rate,
                unit="events/s",
                beside=alone,
                beside_what="one project",
                ratio=ratio,
            )


_BILLION = "1000000000"
_QUOTAS: dict[str, tuple[tuple[str, ...], ...]] = {
    "a hard quota": (("--window", "month", "--hard", _BILLION),),
    "a soft quota": (("--window", "month", "--soft", _BILLION),),
    "a quota with a grace": (("--window", "month", "--soft", "1", "--hard", "2", "--grace", "27"),),
    "a quota of a kind of key": (("--window", "month", "--keys", "browser", "--hard", _BILLION),),
    "a quota of a pattern": (("--window", "month", "--events", "But*Cl*", "--hard", _BILLION),),
    "a quota that counts nothing": (("--window", "month", "--events", "Other*", "--hard", _BILLION),),
    "five quotas": (
        ("--window", "month", "--hard", _BILLION),
        ("--window", "day", "--hard", _BILLION),
        ("--window", "month", "--keys", "browser", "--hard", _BILLION),
        ("--window", "day", "--events", "But*", "--soft", "1", "--hard", _BILLION),
        ("--window", "day", "--events", "Other*", "--hard", _BILLION),
    ),
}
"""The quotas of a project, by the name of the row."""


def quotas(bench: Bench, size: Size, say: Say) -> Iterator[Row]:
    """With each kind of quota, single events and batches, beside a project without; and what others pay for it."""
    first = bench.keys(1)
    with bench.server() as server:

        def rate_of(keys: Path, batch: int) -> float:
            if batch == 1:
                return bench.load(server.port, keys, seconds=size.seconds)["rate"]
            return batch * bench.load(server.port, keys, seconds=size.seconds, connections=16, batch=batch)["rate"]

        if size.warm_up:
            rate_of(first, 1)
        without = {batch: rate_of(first, batch) for batch in (1, 100)}
        for name, options in _QUOTAS.items():
            keys = bench.keys(1)
            for one in options:
                bench.command("quota", "set", "--project", f"p{bench.projects}", *one)
            for batch, of in ((1, "single events"), (100, "batches of 100")):
                say(f"{name} beside none, {of}")
                rate, alone, ratio = _pairs(
                    lambda keys=keys, batch=batch: rate_of(keys, batch),
                    lambda batch=batch: rate_of(first, batch),
                    size.pairs,
                )
                yield Row(
                    name=f"{name}, {of}",
                    figure=rate,
                    unit="events/s",
                    beside=alone,
                    beside_what="no quota",
                    ratio=ratio,
                )
        for batch, of in ((1, "single events"), (100, "batches of 100")):
            say(f"a project without a quota, now that others have some, {of}")
            rate = rate_of(first, batch)
            yield Row(
                name=f"no quota, others have some, {of}",
                figure=rate,
                unit="events/s",
                beside=without[batch],
                beside_what="before they had",
                ratio=rate / without[batch],
            )


def plugins(bench: Bench, size: Size, say: Say) -> Iterator[Row]:
    """With 5 and 20 plugins, an enricher and a validator each, and with those that are shipped, beside none at all."""
    keys = bench.keys(1)
    shipped = ",".join(plugin["name"] for plugin in bench.command("plugins"))
    with bench.server(CATCHMENT_PLUGINS__DISABLED=shipped) as without:

        def beside_none(with_them: Server, name: str) -> Row:
            def rate_of(server: Server) -> float:
                return bench.load(server.port, keys, seconds=size.seconds)["rate"]

            if size.warm_up:
                rate_of(with_them)
            rate, alone, ratio = _pairs(lambda: rate_of(with_them), lambda: rate_of(without), size.pairs)
            return Row(
                name=name, figure=rate, unit="events/s", beside=alone, beside_what="without plugins", ratio=ratio
            )

        for count in (5, 20):
            say(f"{count} plugins beside none")
            path = str(_plugin_folder(bench, count))
            with bench.server(PYTHONPATH=path, CATCHMENT_PLUGINS__DISABLED=shipped) as with_them:
                yield beside_none(with_them, f"{count} plugins")
        say("the shipped plugins beside none")
        with bench.server() as with_them:
            yield beside_none(with_them, f"the {len(shipped.split(','))} that are shipped")


def _plugin_folder(bench: Bench, count: int) -> Path:
    """A folder in which so many plugins are installed."""
    folder = bench.folder / f"plugins-{count}"
    information = folder / f"bench_plugins_{count}-1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: bench-plugins-{count}\nVersion: 1\n")
    points = [f"bench{n} = bench_plugins:Plugin{n}" for n in range(count)]
    (information / "entry_points.txt").write_text("[catchment]\n" + "\n".join(points) + "\n")
    lines = ["from catchment.plugins.hooks import hookimpl"]
    for n in range(count):
        lines += [
            f"class Plugin{n}:",
            "    @hookimpl",
            "    def catchment_validate(self, event): return None",
            "    @hookimpl",
            f"    def catchment_enrich(self, event): return {{'p{n}': event.name}}",
        ]
    (folder / "bench_plugins.py").write_text("\n".join(lines) + "\n")
    return folder


def growth(bench: Bench, size: Size, say: Say) -> Iterator[Row]:
    """The rate while the table grows, in a database that begins empty; and what took the processors' time."""
    keys = bench.keys(1)
    with bench.server() as server:

        def batches_for(seconds: float) -> float:
            return 100 * bench.load(server.port, keys, seconds=seconds, connections=8, batch=100)["rate"]

        costs: list[dict[str, float]] = []

        @contextmanager
        def costing() -> Iterator[None]:
            """Notes the microseconds of processor time an event, by kind."""
            first = bench.rows()
            with ProcessorTime(server.processes, bench.postgres) as spent:
                yield
            events = max(1, bench.rows() - first)
            costs.append({kind: 1e6 * seconds / events for kind, seconds in spent.seconds.items()})

        if size.warm_up:
            batches_for(1)
        say("growth: the rate at the start")
        began = bench.rows()
        with costing():
            start = statistics.median(batches_for(size.seconds) for _ in range(size.pairs))
        with costing():
            stored = 0
            while stored < size.rows:
                batches_for(size.filling)
                stored = bench.rows()
                say(f"growth: {stored:,} of {size.rows:,} rows")
        say("growth: the rate at the end")
        with costing():
            end = statistics.median(batches_for(size.seconds) for _ in range(size.pairs))
    seen = {kind for cost in costs for kind, cost_of_kind in cost.items() if cost_of_kind >= 0.05}
    kinds = sorted(seen, key=lambda kind: -costs[-1].get(kind, 0.0))
    told = [f"{kind} {' → '.join(f'{cost.get(kind, 0.0):.1f}' for cost in costs)}" for kind in kinds]
    yield Row(
        name=f"with {stored:,} rows",
        figure=end,
        unit="events/s",
        beside=start,
        beside_what=f"with {began:,}",
        ratio=end / start,
        aim=0.9,
        note=f"µs of processor time an event, at the start, while it grew, at the end: {', '.join(told)}",
    )

"""What is measured. Each case gives rows: a name, a figure, what it is beside, and the ratio."""

from __future__ import annotations

import io
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg2

from .house import Bench, load

Say = Callable[[str], None]


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


def _pairs(first: Callable[[], float], second: Callable[[], float], times: int = 3) -> tuple[float, float, float]:
    """Medians of both and of their ratio, taken in turn: a machine that gets slower makes both slower."""
    ours, theirs = [], []
    for _ in range(times):
        ours.append(first())
        theirs.append(second())
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return statistics.median(ours), statistics.median(theirs), ratio


def single(bench: Bench, seconds: float, say: Say) -> Iterator[Row]:
    """Single events, answered after commit, beside a handler that only parses."""
    keys = bench.keys(1)
    errors: list[float] = []
    say("single events beside a RequestHandler")
    with bench.server() as server, bench.baseline() as baseline:

        def ours() -> float:
            figures = load(server.port, keys, seconds=seconds)
            errors.append(figures["errors"])
            return figures["rate"]

        ours()
        rate, theirs, ratio = _pairs(ours, lambda: load(baseline.port, keys, seconds=seconds)["rate"])
    yield Row(
        name="single events",
        figure=rate,
        unit="events/s",
        beside=theirs,
        beside_what="RequestHandler",
        ratio=ratio,
        aim=0.7,
        note=f"{sum(errors):g} errors",
    )


_COPIED = 50_000


def _copy_rate(dsn: str) -> float:
    """PostgreSQL's own COPY of the same rows into the same tables; taken back afterwards."""
    events, ids, none = io.StringIO(), io.StringIO(), "\\N"
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id::text, now()::text FROM catchment.project LIMIT 1")
        project, now = cursor.fetchone()
        run = uuid.uuid4().hex[:12]
        for n in range(_COPIED):
            event_id = f"{run}-0-{n}"
            columns = [
                project, event_id, "ButtonClick", "CTA", "Homepage Hero", "1", '{"custom_field": "custom value"}',
                f"s-{n % 1000}", none, f"https://yourdomain.com/page/{n % 200}?utm_source=newsletter", "Home",
                f"/page/{n % 200}", "https://referrer.com/", "referrer.com", agent, "Chrome", "142.0.0", "Windows",
                "10", "desktop", "127.0.0.0", none, none, none, "newsletter", none, none, none, none, "f", "{}", now,
                now,
            ]  # fmt: skip
            events.write("\t".join(columns) + "\n")
            ids.write("\t".join([project, "browser", event_id, now]) + "\n")
        events.seek(0)
        ids.seek(0)
        started = time.perf_counter()
        cursor.copy_expert("COPY catchment.event_id FROM STDIN", ids)
        cursor.copy_expert("COPY catchment.event FROM STDIN", events)
        connection.commit()
        rate = _COPIED / (time.perf_counter() - started)
        # taken back, so that usage goes on to equal stored rows
        cursor.execute("DELETE FROM catchment.event WHERE event_id LIKE %s", (f"{run}-0-%",))
        cursor.execute("DELETE FROM catchment.event_id WHERE event_id LIKE %s", (f"{run}-0-%",))
        connection.commit()
        return rate


def batches(bench: Bench, seconds: float, say: Say) -> Iterator[Row]:
    """Batches of 100, beside COPY."""
    say("batches of 100 beside COPY")
    keys = bench.keys(1)
    with bench.server() as server:

        def ours() -> float:
            return 100 * load(server.port, keys, seconds=seconds, connections=16, batch=100)["rate"]

        ours()
        rate, copied, ratio = _pairs(ours, lambda: _copy_rate(bench.dsn))
    yield Row(
        name="batches of 100", figure=rate, unit="events/s", beside=copied, beside_what="COPY", ratio=ratio, aim=0.35
    )


def workers(bench: Bench, seconds: float, say: Say) -> Iterator[Row]:
    """Two workers beside one; and how long it takes at half of what one can."""
    keys = bench.keys(1)
    say("two workers beside one, and latency at half load")
    with bench.server() as one, bench.server(workers=2) as two:
        load(two.port, keys, seconds=1)
        rate, alone, ratio = _pairs(
            lambda: load(two.port, keys, seconds=seconds)["rate"], lambda: load(one.port, keys, seconds=seconds)["rate"]
        )
        yield Row(name="two workers", figure=rate, unit="events/s", beside=alone, beside_what="one worker", ratio=ratio)
        half = load(one.port, keys, seconds=seconds, delay_ms=64 / (alone / 2) * 1000)
    for name in ("p50_ms", "p99_ms"):
        note = f"at {half['rate']:.0f} events/s, {half['errors']:g} errors"
        yield Row(name=f"{name[:3]} at half load", figure=half[name], unit="ms", note=note)


def memory(bench: Bench, events: int, say: Say) -> Iterator[Row]:
    """Memory of all processes of the server while it stores many events."""
    keys = bench.keys(1)
    with bench.server() as server:
        load(server.port, keys, seconds=3, connections=8, batch=100)
        start, before = server.memory(), bench.rows()
        peak = start
        while (stored := bench.rows() - before) < events:
            say(f"memory: {stored:,} of {events:,} events")
            load(server.port, keys, seconds=5, connections=8, batch=100)
            peak = max(peak, server.memory())
        end = server.memory()
    yield Row(
        name="memory",
        figure=end / 2**20,
        unit="MiB",
        beside=start / 2**20,
        beside_what="after the first seconds",
        ratio=end / start,
        note=f"after {stored:,} events; highest {peak / 2**20:.0f} MiB",
    )


def projects(bench: Bench, seconds: float, say: Say) -> Iterator[Row]:
    """With 1, 100 and 10,000 projects; with and without a hard quota."""
    first = bench.keys(1)
    quota_keys = bench.keys(1)
    bench.command("quota", "set", "--project", f"p{bench.projects}", "--window", "month", "--hard", "1000000000")
    many = {count: bench.keys(count) for count in (100, 10_000)}
    with bench.server() as server:
        for count, keys in many.items():
            say(f"{count:,} projects beside one")
            load(server.port, keys, seconds=seconds)
            rate, alone, ratio = _pairs(
                lambda keys=keys: load(server.port, keys, seconds=seconds)["rate"],
                lambda: load(server.port, first, seconds=seconds)["rate"],
            )
            yield Row(
                name=f"{count:,} projects",
                figure=rate,
                unit="events/s",
                beside=alone,
                beside_what="one project",
                ratio=ratio,
            )
        say("a hard quota beside none")
        rate, alone, ratio = _pairs(
            lambda: load(server.port, quota_keys, seconds=seconds)["rate"],
            lambda: load(server.port, first, seconds=seconds)["rate"],
        )
        yield Row(name="a hard quota", figure=rate, unit="events/s", beside=alone, beside_what="no quota", ratio=ratio)


def plugins(bench: Bench, seconds: float, say: Say) -> Iterator[Row]:
    """With 5 and 20 plugins more, an enricher and a validator each, beside those that are shipped."""
    keys = bench.keys(1)
    for count in (5, 20):
        say(f"{count} plugins beside none of them")
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
        with bench.server(PYTHONPATH=str(folder)) as with_them, bench.server() as without:
            load(with_them.port, keys, seconds=1)
            rate, alone, ratio = _pairs(
                lambda server=with_them: load(server.port, keys, seconds=seconds)["rate"],
                lambda server=without: load(server.port, keys, seconds=seconds)["rate"],
            )
        yield Row(
            name=f"{count} more plugins",
            figure=rate,
            unit="events/s",
            beside=alone,
            beside_what="those shipped",
            ratio=ratio,
        )


def growth(bench: Bench, rows: int, seconds: float, say: Say) -> Iterator[Row]:
    """The rate while the table grows: at the start, and with so many rows in it."""
    keys = bench.keys(1)
    with bench.server() as server:
        load(server.port, keys, seconds=2, connections=8, batch=100)
        say("growth: the rate at the start")
        start = statistics.median(
            load(server.port, keys, seconds=seconds, connections=8, batch=100)["rate"] for _ in range(3)
        )
        while (stored := bench.rows()) < rows:
            say(f"growth: {stored:,} of {rows:,} rows")
            load(server.port, keys, seconds=20, connections=8, batch=100)
        end = statistics.median(
            load(server.port, keys, seconds=seconds, connections=8, batch=100)["rate"] for _ in range(3)
        )
    yield Row(
        name=f"with {stored:,} rows",
        figure=100 * end,
        unit="events/s",
        beside=100 * start,
        beside_what="at the start",
        ratio=end / start,
        aim=0.9,
    )

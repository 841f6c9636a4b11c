"""`python -m tests.bench`: runs the cases, prints a table, and writes the figures as JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from . import cases
from .house import Bench

SMOKE = cases.Size(seconds=1, pairs=1, warm_up=False, copied=1000, projects=(10,), events=1000, rows=1000, filling=1)
NAMES = ("single", "batches", "workers", "projects", "quotas", "plugins", "memory", "growth")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*NAMES, []], help="which; all unless given")
    parser.add_argument("--seconds", type=int, help="of each load")
    parser.add_argument("--events", type=int, help="for memory")
    parser.add_argument("--rows", type=int, help="for growth")
    parser.add_argument("--smoke", action="store_true", help="as little as shows that every case still works; for CI")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the figures go")
    chosen = parser.parse_args()
    if shutil.which("wrk") is None:
        print("the benchmark needs wrk (Debian: apt-get install wrk)", file=sys.stderr)
        return 2
    say = Console(stderr=True).print
    size = SMOKE if chosen.smoke else cases.Size()
    told = {name: getattr(chosen, name) for name in ("seconds", "events", "rows")}
    size = dataclasses.replace(size, **{name: value for name, value in told.items() if value is not None})
    rows: list[cases.Row] = []
    audits, errors = [], 0.0
    names = chosen.cases or NAMES
    # the table must be small when its growth begins: a database of its own
    for group in ([name for name in names if name != "growth"], [name for name in names if name == "growth"]):
        if group:
            with Bench.opened() as bench:
                for name in group:
                    rows += getattr(cases, name)(bench, size, say)
                audits.append(bench.command("audit")["ok"])
                errors += bench.errors
    _print(rows)
    machine = {"processors": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    figures = {"machine": machine, "audit": all(audits), "errors": errors, "rows": [*map(dataclasses.asdict, rows)]}
    chosen.json.write_text(json.dumps(figures, indent=1) + "\n")
    if chosen.smoke and errors:
        print(f"{errors:g} requests had no answer, or an error's", file=sys.stderr)
        return 1
    return 0 if all(audits) else 1


def _print(rows: list[cases.Row]) -> None:
    table = Table(box=None, header_style="bold")
    for heading in ("Case", "Figure", "Beside", "Ratio", "Aim", "Note"):
        table.add_column(heading, justify="right" if heading in ("Ratio", "Aim") else "left")
    for row in rows:
        beside = f"{row.beside:,.0f} {row.beside_what}" if row.beside is not None else ""
        table.add_row(
            row.name,
            f"{row.figure:,.1f} {row.unit}",
            beside,
            f"{row.ratio:.2f}" if row.ratio is not None else "",
            f"≥ {row.aim:g}" if row.aim is not None else "",
            row.note,
        )
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())

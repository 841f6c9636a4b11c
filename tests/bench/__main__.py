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

NAMES = ("single", "batches", "workers", "projects", "plugins", "memory", "growth")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*NAMES, []], help="which; all unless given")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load")
    parser.add_argument("--events", type=int, default=1_000_000, help="for memory")
    parser.add_argument("--rows", type=int, default=10_000_000, help="for growth")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the figures go")
    chosen = parser.parse_args()
    if shutil.which("wrk") is None:
        print("the benchmark needs wrk (Debian: apt-get install wrk)", file=sys.stderr)
        return 2
    say = Console(stderr=True).print
    bench = Bench()
    rows: list[cases.Row] = []
    try:
        for name in chosen.cases or NAMES:
            case = getattr(cases, name)
            if name == "memory":
                rows += case(bench, chosen.events, say)
            elif name == "growth":
                rows += case(bench, chosen.rows, chosen.seconds, say)
            else:
                rows += case(bench, chosen.seconds, say)
        audit = bench.command("audit")
    finally:
        bench.close()
    _print(rows)
    machine = {"processors": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    figures = {"machine": machine, "audit": audit["ok"], "rows": [dataclasses.asdict(row) for row in rows]}
    chosen.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if audit["ok"] else 1


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

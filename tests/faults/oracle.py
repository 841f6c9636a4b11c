"""The oracle: what must be true after every fault, in one place.

- acknowledged minus stored is empty
- no id twice in `catchment.event`
- usage equals stored rows, for every project and period
- every error answer had a code and CORS headers
- memory stayed bounded
- no event's text got into a log

Never that stored equals acknowledged: a stored event whose answer was lost is right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

from catchment import sql

from .book import Book
from .server import Server

MEMORY = 400 * 1024 * 1024
"""Resident bytes that a server may have with all its workers: some 100 MB is what one has at rest."""
CANARY = "canary-4f1c2a"
"""Stands in every event's data, and must stand in no log."""

_TWICE = "SELECT event_id, count(*) FROM catchment.event GROUP BY project_id, event_id HAVING count(*) > 1"
_STORED = "SELECT DISTINCT event_id FROM catchment.event"
_COUNTED = """
SELECT coalesce(stored.project_id, counted.project_id)::text, stored.period, stored.events, counted.events
FROM (SELECT project_id, to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM') AS period, count(*) AS events
      FROM catchment.event GROUP BY 1, 2) AS stored
FULL JOIN (SELECT project_id, to_char(period, 'YYYY-MM') AS period, sum(events) AS events
           FROM catchment.usage GROUP BY 1, 2) AS counted USING (project_id, period)
WHERE stored.events IS DISTINCT FROM counted.events
"""


class Judged(Protocol):
    """What the oracle looks at."""

    book: Book
    servers: Sequence[Server]

    def execute(self, text: str, *parameters: object) -> list[tuple[Any, ...]]: ...
    def database_log(self) -> str: ...


def judge(judged: Judged, *, memory: int = MEMORY) -> None:
    """Raises AssertionError, naming everything that is wrong."""
    wrong = [*_wrong_in_database(judged), *_wrong_answers(judged.book)]
    wrong += [
        f"a server grew to {server.peak // 2**20} MiB, of {memory // 2**20}"
        for server in judged.servers
        if server.peak > memory
    ]
    wrong += _wrong_in_logs(judged)
    assert not wrong, "\n".join([*wrong, str(judged.book)])


def _wrong_in_database(judged: Judged) -> list[str]:
    wrong = []
    stored = {event_id for (event_id,) in judged.execute(_STORED)}
    lost = judged.book.acknowledged - stored
    if lost:
        wrong.append(f"LOST: {len(lost)} acknowledged events are not stored: {sorted(lost)[:3]} …")
    twice = judged.execute(_TWICE)
    if twice:
        wrong.append(f"TWICE: {len(twice)} ids are stored more than once: {twice[:3]} …")
    differences = judged.execute(_COUNTED)
    if differences:
        wrong.append(f"MISCOUNTED: (project, period, stored, counted) {differences}")
    audited = judged.execute(sql.query("audit").replace("%(project)s", "NULL"))  # of all projects
    if bool(audited) != bool(differences):
        wrong.append(f"the audit says {audited}, and is wrong")
    return wrong


def _wrong_answers(book: Book) -> list[str]:
    return [f"a wrong answer: {answer}" for answer in book.wrong]


def _without_panics(log: str) -> str:
    """The log without the statements of processes that panicked: PostgreSQL writes those whatever it is told
    (`log_min_error_statement = panic` is the highest there is), and the driver has the data in them."""
    panicked = set(re.findall(r"\[(\d+)\].* PANIC:", log))
    kept, leave_out = [], False
    for line in log.splitlines():
        if not line.startswith("\t"):  # which goes on with the line before
            found = re.search(r"\[(\d+)\].* STATEMENT:", line)
            leave_out = found is not None and found[1] in panicked
        if not leave_out:
            kept.append(line)
    return "\n".join(kept)


def _wrong_in_logs(judged: Judged) -> list[str]:
    logs = {"the database's log": _without_panics(judged.database_log())}
    logs |= {f"the log of server {number}": server.log_text() for number, server in enumerate(judged.servers)}
    wrong = [f"an event's text stands in {name}" for name, text in logs.items() if CANARY in text]
    return wrong + [f"a traceback stands in {name}" for name, text in logs.items() if "Traceback (most" in text]

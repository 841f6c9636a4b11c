"""Finding the events that the database can't hold, among others that it can."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from catchment.core.event import TEXTS, Event

from .errors import DatabaseError, Failure
from .link import Link
from .rows import NotJson, batch_of, rows_of


class _NotReally(Exception):
    """Ends a transaction that was only a try."""


async def find_culprits(link: Link, events: Sequence[Event]) -> set[int]:
    """The numbers of the events that can't be stored, by trying halves in transactions that are rolled back.

    Raises `DatabaseError` for any failure but bad data.
    """
    if await _can_be_stored(link, events):
        return set()
    if len(events) == 1:
        return {0}
    middle = len(events) // 2
    first = await find_culprits(link, events[:middle])
    second = await find_culprits(link, events[middle:])
    return first | {middle + n for n in second}


async def _can_be_stored(link: Link, events: Sequence[Event]) -> bool:
    try:
        batch = batch_of([rows_of(events)])
        async with link.transaction():
            await link.run("log_events", batch=batch)
            raise _NotReally
    except _NotReally:
        return True
    except NotJson:
        return False
    except DatabaseError as error:
        if error.failure is Failure.BAD_DATA:
            return False
        raise


async def quarantine(link: Link, events: Sequence[Event]) -> None:
    """Keeps of each culprit what the database surely can hold, for an operator to look at: no data, no person."""
    for event in events:
        name = event.name.encode("ascii", "backslashreplace").replace(b"\x00", b"\\0").decode()
        await link.run(
            "quarantine",
            project_id=event.project_id,
            key_kind=event.key_kind,
            name=name[:120],
            received_at=event.received_at,
            fields=msgspec.json.encode(sorted(_shape(event))).decode(),
        )


def _shape(event: Event) -> list[str]:
    """Return which fields it has, and how long they are: enough to see which one was too much."""
    return [
        f"{name}:{len(value)}" for name in (*TEXTS, "data", "properties") if (value := getattr(event, name)) is not None
    ]

"""The inbox: samples of refused and filtered events, for operators who ask why events do not arrive.

A sample has the reason, a hint that says what to do, and the event without personal data. Once the cause is mended, the
event can be sent again from it (`catchment.core.metering.replaying`). `catchment.core.metering.sampling` takes samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from ..outcomes import Outcome
from ..ports import IdGenerator
from ..project import KeyKind
from .hints import Hint
from .scrub import Json, Replay

KEPT_SAMPLES = 20
"""Samples of a project and reason."""
KEPT_FOR = timedelta(days=7)
LONGEST_REASON = 120
"""A plugin's code may be longer. It is cut."""
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Those of ids: no letter that looks like another one or like a digit."""
_ID_LETTERS = 8
_LOOK_ALIKE = str.maketrans("oil", "011")


class Obstacle(StrEnum):
    """The cause why an event can't be sent again from its sample."""

    UNREADABLE = "unreadable"
    """It was no event, or could not be read."""
    PARTS_MISSING = "parts_missing"
    """A part without which it would be another event was taken out, or left out for want of space."""
    SIGNED = "signed"
    """A back end signed its id. Signatures are secrets, so the sample has none."""
    NOT_TRACKED = "not_tracked"
    """The visitor asked not to be tracked, so only the event's name is kept."""
    WRONG = "wrong"
    """The event itself is wrong, so it would be refused again. Its sender has to correct it."""
    KEY_REVOKED = "key_revoked"
    """Its key was revoked, which can't be undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One refused or filtered event without personal data."""

    id: str
    """Eight letters and digits that people can type."""
    project_id: str
    outcome: Outcome
    reason: str
    hint: Hint
    payload: Json
    """At most `SAMPLE_BYTES` as JSON. None if the event could not be read."""
    taken: Mapping[str, tuple[str, ...]]
    """The kinds of data that were taken out of the payload, by field."""
    replay: Replay
    obstacle: Obstacle | None
    """With `Replay.NO`: why."""
    event_id: str | None
    """The id to send the event again with, if the payload has none. None with `Replay.NO`."""
    key_kind: KeyKind
    key_fingerprint: bytes
    """The fingerprint of the key that the event came with, as the database has it."""
    origin: str | None
    headers: Mapping[str, str]
    """With a browser key: `Submission.headers`."""
    do_not_track: bool
    clock_offset: timedelta
    """The difference between the clock here and the sender's."""
    received_at: datetime
    sender: int
    """A number that tells the senders of a project apart. Nobody can find out the address from it."""
    replayed_at: datetime | None = None
    """The last time when the event was sent again and was stored, then or before."""

    @property
    def name(self) -> str | None:
        """The event's name. None if it has none."""
        name = self.payload.get("event_name") if isinstance(self.payload, dict) else None
        return name if isinstance(name, str) else None


def kept_of(samples: Iterable[Sample]) -> list[Sample]:
    """Return those samples of one project and reason that are kept, newest first.

    The newest one of each sender comes before the second newest of any. So a sender who floods the inbox replaces
    its own samples, and not those of the others.
    """
    newest = sorted(samples, key=lambda one: (one.received_at, one.id), reverse=True)
    of_sender: Counter[int] = Counter()
    ranks: dict[str, int] = {}
    for one in newest:
        of_sender[one.sender] += 1
        ranks[one.id] = of_sender[one.sender]
    kept = {one.id for one in sorted(newest, key=lambda one: ranks[one.id])[:KEPT_SAMPLES]}
    return [one for one in newest if one.id in kept]


def make_sample_id(ids: IdGenerator) -> str:
    """Return an id of eight letters and digits (40 random bits), in which none looks like another one."""
    number = int.from_bytes(ids.random_bytes(_ID_LETTERS * 5 // 8))
    return "".join(_LETTERS[number >> 5 * place & 31] for place in range(_ID_LETTERS))


def read_sample_id(text: str) -> str:
    """Return the id that a person has typed."""
    return text.strip().lower().translate(_LOOK_ALIKE)


class SampleStore(Protocol):
    """Stores samples: of each project and reason those that `kept_of` returns, for `KEPT_FOR`. Samples of a deleted
    project are never returned."""

    async def add(self, samples: Sequence[Sample]) -> None:
        """Store samples. One whose id is there already is passed over. Raises `Unavailable`."""

    async def samples(self, project_id: str, *, reason: str | None = None, now: datetime) -> Sequence[Sample]:
        """Return the samples of a project, newest first; of one reason, or of all. Raises `Unavailable`."""

    async def find(self, sample_id: str, *, now: datetime) -> Sample | None:
        """Return the sample with this id; None if there is none. Raises `Unavailable`."""

    async def mark_replayed(self, sample_id: str, at: datetime) -> None:
        """Note that the event of a sample was sent again and is stored. Raises `Unavailable`."""

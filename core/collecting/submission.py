"""The values of the collecting use case: the submission of a request, and the answer to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from .. import keys
from ..event import TEXTS, Event
from ..limits import Limits
from ..metering.ladder import QuotaUse
from ..outcomes import EventWarning, Outcome
from ..project import Access
from ..refusals import Refusal
from .charging import Charge
from .losses import LossReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One request: what was posted, and what the connection tells."""

    payloads: list[object]
    """The events as plain values; an `Unreadable` where a line could not be read. Emptied while they are collected:
    what waits for the database is what will be stored, and no more."""
    key: str | None = None
    """`Authorization`'s, else the envelope's, else the first event's."""
    key_fingerprint: bytes | None = None
    """With an event of the inbox, instead of `key`: the key's fingerprint."""
    sent_at: object = None
    """The sender's clock when it sent, as it came."""
    losses: object = None
    """The sender's report of what it lost, as it came."""
    id_signature: str | None = None
    """The back end's signature of the event's id, as it came (`keys.sign_id`)."""
    dry_run: bool = False
    origin: str | None = None
    """The `Origin` header."""
    address: str | None = None
    """The client's full address, behind trusted proxies; None if nobody knows it."""
    charge: Charge | None = None
    """The cost of the request so far; None if nobody is charged."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Texts from the request's headers, by the attribute of an event that falls back to them."""
    do_not_track: bool = False
    """`DNT: 1` or `Sec-GPC: 1`."""
    received_at: datetime
    deadline: float
    """The time by which the answer must be given, by `Clock.monotonic`."""

    @property
    def fingerprint(self) -> bytes:
        """The fingerprint of its key."""
        return self.key_fingerprint or keys.fingerprint(self.key or "")


_HEADERS = [
    (attribute, text.header.name, text.limit, text.header.read)
    for attribute, text in TEXTS.items()
    if text.header is not None
]


def texts_of_headers(header: Callable[[str], str | None], limits: Limits) -> dict[str, str]:
    """Return the texts of an event that the headers say, by attribute. `header` returns the header of a name.

    A text that is too long has one character more than its limit: enough for the check to warn of it.
    """
    found: dict[str, str] = {}
    for attribute, name, limit, read in _HEADERS:
        sent = header(name)
        text = read(sent) if sent else None
        if text:
            found[attribute] = text[: limits.texts[limit] + 1]
    return found


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An event of a batch that could not be read, and why."""

    refusal: Refusal


@dataclass(slots=True, kw_only=True)
class Receipt:
    """The answer for one event."""

    outcome: Outcome
    event_id: str | None = None
    session_id: str | None = None
    reason: str | None = None
    refusal: Refusal | None = None
    """With `Outcome.REFUSED`: the whole of it."""
    warnings: list[EventWarning] = field(default_factory=list)
    event: Event | None = None
    """The event that was stored, or would have been."""
    name: str = ""
    """With `Outcome.REFUSED`, and no `event`: the event's name as it was sent, cut."""


@dataclass(slots=True, kw_only=True)
class Answer:
    """The answer for one request: a receipt for every event, or one refusal for all."""

    receipts: list[Receipt] = field(default_factory=list)
    refusal: Refusal | None = None
    names: tuple[str, ...] = ()
    """With `refusal`: the names of the first events, as they were sent, cut."""
    access: Access | None = None
    uses: Sequence[QuotaUse] = ()
    """The quotas that count at least one of the events, as they are after them."""
    losses: LossReceipt | None = None
    """Set if the request had a report of losses and was not refused as a whole."""
    warnings: Sequence[EventWarning] = ()
    """Those about the request itself, not about one of its events."""

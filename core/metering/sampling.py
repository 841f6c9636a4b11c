"""Takes the samples of the inbox.

The samples of a worker are kept in memory, bounded, and written every few seconds: a refused event never causes a write
of its own. Only requests with a key of a project have samples, so a stranger without one causes nothing. The key of a
browser is public; `Bounds` says how little a stranger causes with it.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import blake2b

from ..collecting.submission import Submission
from ..errors import Unavailable
from ..outcomes import Filtered
from ..ports import Clock, IdGenerator
from ..privacy import mask
from ..project import Access, KeyKind
from ..refusals import Reason, Refusal
from .allowances import Allowances
from .inbox import KEPT_SAMPLES, LONGEST_REASON, Sample, SampleStore, kept_of, make_sample_id
from .make_sample import make_sample

log = logging.getLogger(__name__)

_NOT_SAMPLED = frozenset({Reason.UNAVAILABLE, Reason.COMMIT_UNKNOWN})
"""Refusals that no operator of a project can mend. Their senders try again by themselves."""
_OTHER_BYTES = 512
"""The memory of a sample beside its JSON, about."""
_KEY_BYTES = 16
_TRUSTED = 0
"""The sender of all events with a valid server key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The most that a worker keeps, and does, for samples."""

    sample_bytes: int = 1024 * 1024
    """The bytes of all samples in memory together, about."""
    project_samples: int = 100
    """Samples of one project in memory."""
    reason_samples: int = KEPT_SAMPLES
    """Samples of one project and reason that are taken at once."""
    reason_seconds: float = 10.0
    """After those, one event of a project and reason is sampled in so many seconds."""
    sender_samples: int = 10
    """Samples of one sender that are taken at once, of all projects: half of those of a reason."""
    sender_seconds: float = 60.0
    """After those, one event of a sender is sampled in so many seconds: a sixth of those of a reason."""
    at_once: int = 80
    """Samples of all projects that are taken at once. A project takes one only while it has fewer in memory than are
    left of these: so one that is flooded leaves half of them to the others."""
    a_second: float = 10.0
    """After those, so many samples are taken in a second."""
    make_seconds: float = 0.002
    """The time in which a sample is made. One that takes longer, because its payload is hostile, counts as several for
    its sender and for all: so samples cost a fiftieth of a worker's time at most."""
    names: int = 2_000
    """Senders, and pairs of project and reason, that were sampled lately."""


BOUNDS = Bounds()

_Kept = deque[tuple[Sample, int]]
"""The samples of one project in memory, oldest first, with their sizes."""


class InboxSampler:
    """`catchment.core.collecting.sampling.Sampler` of one worker. Keeps samples until they are written.

    The allowance of a project and reason is asked first, so most events of a flood cost one look into a table.
    """

    def __init__(self, store: SampleStore, clock: Clock, ids: IdGenerator, bounds: Bounds = BOUNDS) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._bounds = bounds
        self._key = ids.random_bytes(_KEY_BYTES)
        """Senders can't be found out from their numbers: nobody else has this key, and it ends with the process."""
        self._kept: dict[str, _Kept] = {}
        self._bytes = 0
        self._of_reason = Allowances(at_once=bounds.reason_samples, seconds=bounds.reason_seconds, names=bounds.names)
        self._of_sender = Allowances(at_once=bounds.sender_samples, seconds=bounds.sender_seconds, names=bounds.names)
        self._of_all = Allowances(at_once=bounds.at_once, seconds=1 / bounds.a_second, names=1)
        self._failing = False

    def offer(
        self, submission: Submission, access: Access, payload: object, verdict: Refusal | Filtered, event_id: str | None
    ) -> bool:
        if submission.dry_run or submission.key_fingerprint is not None or verdict.reason in _NOT_SAMPLED:
            return False  # an event of the inbox has its sample
        project_id = access.project.id
        now = self._clock.monotonic()
        pair = (project_id, verdict.reason[:LONGEST_REASON])
        if self._of_reason.left(pair, now) < 1:
            return False
        sender = self._sender(submission, access)
        if sender != _TRUSTED and self._of_sender.left(sender, now) < 1:
            return False
        if self._of_all.left("", now) < 1 + len(self._kept.get(project_id, ())):
            return False
        taken = self._take(sender, submission, access, payload, verdict, event_id)
        cost = max(1.0, (self._clock.monotonic() - now) / self._bounds.make_seconds)
        self._of_reason.take(pair, now)
        self._of_all.take("", now, cost)
        if sender != _TRUSTED:
            self._of_sender.take(sender, now, cost)
        return taken

    async def flush(self) -> None:
        """Write the samples. If the database does not take them, they stay for the next time. They have ids, so a
        repetition does no harm."""
        samples = [sample for kept in self._kept.values() for sample, _ in kept]
        if not samples:
            return
        self._kept, self._bytes = {}, 0
        try:
            await self._store.add(samples)
        except Unavailable as error:
            if not self._failing:
                log.warning("samples for the inbox are not written now, and are tried again until they are: %s", error)
            self._failing = True
            self._put_back(samples)
        else:
            self._failing = False

    def _take(
        self,
        sender: int,
        submission: Submission,
        access: Access,
        payload: object,
        verdict: Refusal | Filtered,
        event_id: str | None,
    ) -> bool:
        sample_id = make_sample_id(self._ids)
        try:
            sample = make_sample(sample_id, sender, submission, access, payload, verdict, event_id)
        except Exception as error:  # a fault here must not change what the sender is answered
            log.error("an event was not sampled: %s", type(error).__name__)  # its text may hold the event
            return False
        self._keep(sample)
        return True

    def _sender(self, submission: Submission, access: Access) -> int:
        """Return a number for the sender's network. With a valid server key it is `_TRUSTED`."""
        if access.kind is KeyKind.SERVER and not access.revoked:
            return _TRUSTED
        network = mask(submission.address or "") or ""
        return 1 + int.from_bytes(blake2b(network.encode(), key=self._key, digest_size=2).digest())

    def _put_back(self, samples: Iterable[Sample]) -> None:
        """Keep samples that could not be written, as far as newer ones leave space."""
        newer = [sample for kept in self._kept.values() for sample, _ in kept]
        self._kept, self._bytes = {}, 0
        for sample in (*samples, *newer):
            self._keep(sample)

    def _keep(self, sample: Sample) -> None:
        """Keep a sample. Another one of its reason, of its project or of the project with the most bytes gives way."""
        size = _size(sample)
        kept = self._kept.setdefault(sample.project_id, deque())
        kept.append((sample, size))
        self._bytes += size
        same = [one for one, _ in kept if one.reason == sample.reason]
        if len(same) > KEPT_SAMPLES:
            stays = {one.id for one in kept_of(same)}
            self._drop(kept, next(one for one in kept if one[0].reason == sample.reason and one[0].id not in stays))
        elif len(kept) > self._bounds.project_samples:
            self._drop(kept, kept[0])
        while self._bytes > self._bounds.sample_bytes:
            largest = max(self._kept.values(), key=_bytes_of)
            self._drop(largest, largest[0])

    def _drop(self, kept: _Kept, entry: tuple[Sample, int]) -> None:
        kept.remove(entry)
        self._bytes -= entry[1]


def _bytes_of(kept: _Kept) -> int:
    return sum(size for _, size in kept)


def _size(sample: Sample) -> int:
    told = json.dumps(
        [sample.payload, asdict(sample.hint), sample.origin, *sample.headers.values()], ensure_ascii=False
    )
    return len(told.encode()) + _OTHER_BYTES

"""Records about when keys were last used: gathers it in memory, and writes it down once a minute."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from catchment.core.tasks import end, regularly

from .errors import DatabaseError
from .link import Links

log = logging.getLogger(__name__)

_BITE = 1_000
_MOST = 10_000
_LAST_SECONDS = 2.0


class KeyUses:
    """Gathers the keys that requests came with.

    What is wanted: an operator who rotates a key sees whether the old one is still in use. It must cost no event
    anything: a request adds its key to a set, and a task writes the set down. The price: it is told to about a minute,
    and a server that is killed forgets its last minute.
    """

    def __init__(self, links: Links, *, every: float = 60.0) -> None:
        self._links = links
        self._every = every
        self._gathered: set[bytes] = set()
        self.note = self._gathered.add
        """Notes that a request came with the key of this fingerprint; only for keys that exist."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(
            regularly(self.flush, self._every, failed=_warn), name="key uses"
        )

    async def close(self) -> None:
        """Writes down what was gathered, as far as the database answers."""
        await end(self._task)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await self.flush()

    async def flush(self) -> None:
        """Writes down what was gathered. What can't be written is kept for the next time, up to a bound."""
        gathered = list(self._gathered)
        self._gathered.clear()
        try:
            while gathered:
                await self._links.run("note_key_uses", fingerprints=gathered[-_BITE:])
                del gathered[-_BITE:]
        except DatabaseError as error:
            log.debug("when keys were used was not written down: %s", error)
        finally:
            self._gathered.update(gathered[: max(0, _MOST - len(self._gathered))])


def _warn(error: Exception) -> None:
    log.warning("when keys were used was not written down: %s", type(error).__name__)

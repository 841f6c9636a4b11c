"""Charges a request to its client address, in events.

A request is charged before anything is spent on it: for the bytes that came, then for the bytes they unpack to, then
for the events. Requests that cannot be read, wait in vain or are refused cost the same, and so do dry runs. A request
with a good server key gets everything back.

A request to another route costs more: `adapters/http/request_rates.py`.

A key is charged only for events that passed the checks (`collect.py`). So nobody can use up the rate of a key by
posting rubbish to it.
"""

from __future__ import annotations

from .ports import RateLimiter

EVENT_BYTES = 2_048
"""Bytes of an unpacked body that cost as much as an event."""


class Charge:
    """The cost of one request so far. `share` stands for the client's address: IPv4, or an IPv6 one's /64."""

    __slots__ = ("_free", "_limiter", "_paid", "share")

    def __init__(self, limiter: RateLimiter, share: str | None) -> None:
        self._limiter = limiter
        self.share = share
        self._paid = 0.0
        self._free = False

    def enter(self, size: int, events: int = 1) -> int | None:
        """Charge for a request of `size` bytes as they came. Return None if it may go on, else the seconds after which
        a request with so many events may."""
        cost = max(1.0, size / EVENT_BYTES)
        wait = self._limiter.take_address(self.share, cost, least=1, enough=max(cost, events))
        if wait is None:
            self._paid = cost
        return wait

    def weigh(self, size: int) -> None:
        """Charge for the unpacked size of a body, even if the address has nothing left: it was unpacked."""
        more = size / EVENT_BYTES - self._paid
        if more > 0 and not self._free:
            self._limiter.charge_address(self.share, more)
            self._paid += more

    def count(self, events: int) -> int | None:
        """Charge for the events that their bytes have not paid for. Return as `enter` does."""
        more = events - self._paid
        if more <= 0 or self._free:
            return None
        wait = self._limiter.take_address(self.share, more, least=more, enough=events, paid=self._paid)
        if wait is None:
            self._paid += more
        return wait

    def give_back(self) -> None:
        """Return everything to the address, and charge it no more: the request comes with a good server key."""
        if self._paid:
            self._limiter.charge_address(self.share, -self._paid)
        self._paid = 0.0
        self._free = True

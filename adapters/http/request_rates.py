"""The rate of requests from an address: what a request costs that has no events, and how a refusal is slowed down.

An event costs its address one event (`core/collecting/charging.py`). Any other request costs it eight: otherwise a
sender who asks for nothing, many times on each of many connections, would have the whole server.
"""

from __future__ import annotations

import asyncio

from catchment.core.collecting.charging import EVENT_BYTES, Charge
from catchment.core.collecting.ports import RateLimiter

from .engine.message import Request

_COST = 8
"""Events. A page asks for the script once an hour at most, so nobody with a browser comes near the rate. The number at
once must not last longer than a worker needs to answer it."""
_LATEST = 1.0
"""Seconds that a sender over its rate waits for its answer, at most."""
_REFUSED_A_SECOND = 250


class RequestRates:
    """Charges requests to their addresses. There is one for all requests of a worker."""

    def __init__(self, rate_limiter: RateLimiter) -> None:
        self._rate_limiter = rate_limiter
        self._waiting = 0

    def charge(self, request: Request) -> int | None:
        """Charge the address for a request without events. Return None if it may go on, else the seconds to wait."""
        return Charge(self._rate_limiter, request.client.share).enter(max(request.size, _COST * EVENT_BYTES))

    async def slow_down(self, request: Request) -> None:
        """Let a sender over its rate wait for its refusal, longer if there are many: a sender without pauses would keep
        the server busy with refusals."""
        request.body = b""
        request.memory.release()
        self._waiting += 1
        try:
            await asyncio.sleep(min(_LATEST, self._waiting / _REFUSED_A_SECOND))
        finally:
            self._waiting -= 1

"""Attacks, each from one address and with 1 Mbit/s: `python -m tests.strangers.attacks KIND HOST PORT KEY SECONDS`.

Prints as JSON how often each status was answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from catchment.core.keys import make_key
from catchment.core.project import KeyKind

BYTES_A_SECOND = 125_000
_random = random.Random(0)


def _post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


def _packed(path: str, body: bytes) -> bytes:
    return _post(path, gzip.compress(body, 6), "Content-Encoding: gzip")


def _letters(count: int) -> str:
    return "".join(_random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=count))


def _key() -> str:
    return make_key(KeyKind.BROWSER, os.urandom(16))


_BLANKS = _packed("/v1/batch", b" " * 2 * 1024 * 1024)


def _numbers(key: str) -> bytes:
    event = b'{"event_name":"a","url":"https://example.com/","event_data":{"value":1e999}}'
    body = b'{"projectKey":"%s","events":[%s]}' % (key.encode(), b",".join([event] * 999))
    return _packed("/v1/batch?dry_run=1", body)


def _long_key() -> bytes:
    body = json.dumps({"events": [], "projectKey": "\U0001f600" + "a" * 2_000_000 + _letters(8)}, ensure_ascii=False)
    return _packed("/v1/batch", body.encode())


def _long_fields(key: str) -> bytes:
    url = f"https://example.com/{_letters(900)}?utm_campaign={_letters(190)}&utm_term={_letters(190)}"
    event = {"event_name": _letters(100), "url": url, "referrer": url, "userAgent": _letters(1000)}
    headers = [f"{_letters(4000)}: 1", f"User-Agent: {_letters(2000)}"]
    if _random.random() < 0.5:  # it refuses the request before its events are looked at
        headers.append(f"Origin: https://{_letters(4000)}.example")
    return _post("/v1/events", json.dumps({"projectKey": key, **event}).encode(), *headers)


Request = Callable[[str], bytes]
LOOPS: dict[str, tuple[int, Request]] = {
    "batches that are no events": (
        60,
        lambda key: _packed("/v1/batch", b'{"projectKey":"%s","events":[%s0]}' % (key.encode(), b"0," * 999)),
    ),
    "blanks": (60, lambda key: _BLANKS),
    "numbers out of range, as dry runs": (60, _numbers),
    "requests without events": (200, lambda key: b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"),
    "keys that nobody has": (200, lambda key: _post("/v1/events", b'{"projectKey":"%s"}' % _key().encode())),
    "long keys": (20, lambda key: _long_key()),
    "long fields and headers": (20, _long_fields),
}
"""By name: how many connections send how many requests of which kind, one after the other."""
HELD: dict[str, tuple[int, Request]] = {
    "unfinished bodies": (300, lambda key: _post("/v1/batch", b"x" * 1_500_000)[:200_000]),
    "idle connections": (500, lambda key: b""),
}
"""The same, of requests that never come to an end."""
KINDS = [*LOOPS, *HELD]
ADDRESS_OF = {kind: f"127.0.0.{number}" for number, kind in enumerate(KINDS, start=10)}
"""One each, so that none is refused for what another one did."""


class Pace:
    """Lets no more bytes pass than the bandwidth."""

    def __init__(self) -> None:
        self._free = asyncio.get_running_loop().time()

    async def wait(self, size: int) -> None:
        now = asyncio.get_running_loop().time()
        self._free = max(self._free, now) + size / BYTES_A_SECOND
        await asyncio.sleep(self._free - now)


async def _loop(
    own: str, address: tuple[str, int], make: Callable[[], bytes], pace: Pace, statuses: Counter[str]
) -> None:
    while True:
        try:
            reader, writer = await asyncio.open_connection(*address, local_addr=(own, 0))
            while True:
                request = make()
                await pace.wait(len(request))
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                statuses[head.split()[1].decode()] += 1
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
        except (OSError, asyncio.IncompleteReadError):
            statuses["no answer"] += 1
            await asyncio.sleep(0.1)


async def _hold(
    own: str, address: tuple[str, int], make: Callable[[], bytes], pace: Pace, statuses: Counter[str]
) -> None:
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection(*address, local_addr=(own, 0))
        for start in range(0, len(request := make()), 10_000):
            await pace.wait(10_000)
            writer.write(request[start : start + 10_000])
        await reader.read()


async def attack(kind: str, address: tuple[str, int], key: str, seconds: float) -> Counter[str]:
    """Attack for so long; how often each status was answered."""
    work, (count, make) = (_loop, LOOPS[kind]) if kind in LOOPS else (_hold, HELD[kind])
    pace, statuses = Pace(), Counter[str]()
    own = ADDRESS_OF[kind]
    tasks = [asyncio.ensure_future(work(own, address, lambda: make(key), pace, statuses)) for _ in range(count)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return statuses


def main(kind: str, host: str, port: str, key: str, seconds: str) -> None:
    statuses: Any = asyncio.run(attack(kind, (host, int(port)), key, float(seconds)))
    print(json.dumps(statuses))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""An attacker from one address, with 1 Mbit/s, beside a good sender from another."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ..faults.load import event, exchange, hang_up, new_id, request_of
from ..faults.processes import memory_of
from ..faults.rig import KILLS, Rig
from ..faults.server import Address, Server
from ..support.answers import Answer
from ..support.waiting import wait_until
from .attacks import KINDS

GOOD = "127.0.0.3"
SECONDS = 3.0 if KILLS <= 20 else 15.0
"""How long each attack lasts."""
PART = 0.9 if KILLS <= 20 else 0.99
"""Of the good sender's events so many have their answer within a second; in the short form there are few of them."""
PAUSE = 0.05
SETTLED = 25.0
"""Seconds after an attack within which what came last is answered, and what was free is given back."""
MEMORY = 1.3
"""How much more memory all processes may have than before the attacks."""


def attack(server: Server, kind: str, key: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.strangers.attacks", kind, *map(str, (*server.address, key, SECONDS))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


class Sender:
    """A website's visitors: a batch of one event, as the tracker sends it, every 50 ms."""

    def __init__(self, rig: Rig, address: Address) -> None:
        self._rig = rig
        self._address = address
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.answers: list[Answer] = []

    async def _post(self) -> None:
        sent = event(new_id())
        request = request_of(self._rig.site.browser_key, [sent], batch=True)
        started = time.monotonic()
        self._rig.book.sent([sent["eventId"]])
        async with asyncio.timeout(15):
            if not self._free:
                self._free.append(await asyncio.open_connection(*self._address, local_addr=(GOOD, 0)))
            connection = self._free.pop()
            answer = await exchange(*connection, request)
        self._free.append(connection)
        self._rig.book.answered([sent["eventId"]], answer)
        self.answers.append(Answer(answer.status, answer.headers, answer.body, time.monotonic() - started))

    async def send_while(self, process: subprocess.Popen[str] | None, count: int = 0) -> list[Answer]:
        """Send so many events, or until the process has ended; the answers."""
        self.answers = []
        posts = []
        while process.poll() is None if process is not None else len(posts) < count:
            posts.append(asyncio.ensure_future(self._post()))
            await asyncio.sleep(PAUSE)
        await asyncio.gather(*posts)
        for _, writer in self._free:
            await hang_up(writer)
        self._free.clear()
        return self.answers


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stranger_costs_the_others_neither_events_nor_time_nor_memory(rig: Rig, workers: int) -> None:
    rates = {"LIMITS__RATE_PER_ADDRESS": None}  # the default
    server = rig.serve(workers=workers, PLUGINS__DISABLED=None, **rates)
    sender = Sender(rig, server.address)
    large = [event(new_id()) for _ in range(1000)]
    for _ in range(4 * workers):  # what an honest day brings, so that memory is what it is then
        rig.post(*large, key=rig.site.server_key)
    asyncio.run(sender.send_while(None, 20))
    before = memory_of(server.process)
    lines = []
    for kind in KINDS:
        process = attack(server, kind, rig.site.browser_key)
        answers = asyncio.run(sender.send_while(process))
        told = json.loads(process.communicate()[0])
        took = sorted(answer.seconds for answer in answers)
        p50, slow, p99 = (took[int(part * (len(took) - 1))] for part in (0.5, PART, 0.99))
        wait_until(lambda: server.readiness()["requests_in_flight"] <= 1, "what came last is answered", SETTLED)
        wait_until(lambda: memory_of(server.process) < MEMORY * before, "the memory is free again", SETTLED)
        grown = memory_of(server.process) / before
        lines.append(
            f"{workers} workers, {kind}: {len(took)} events, p50 {p50:.3f} s, p99 {p99:.3f} s, "
            f"slowest {took[-1]:.3f} s; memory {grown:.2f} of {before >> 20} MiB; told the attacker {told}"
        )
        print(lines[-1])
        assert {(answer.status, answer.json["stored"]) for answer in answers} == {(200, 1)}, kind
        assert slow < 1.0, lines[-1]
    rig.judge()

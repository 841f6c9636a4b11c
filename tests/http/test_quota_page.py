"""docs/quotas.md says what happens: every command in it is run, in its order, on one server."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catchment.core.metering.plans import read_plans

from ..cli.acting import Commands
from .serving import Site

pytestmark = pytest.mark.gen_test

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "quotas.md").read_text(encoding="utf-8")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REST = "…"
"""What follows is not shown."""


def steps() -> list[tuple[str, list[str]]]:
    """Every command of the page, and the lines that it prints."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, flags=re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


class EmptySite(Site):
    """A server without a project: the page makes its own."""

    async def set_up(self) -> None:
        pass


async def curl(site: Site, command: str) -> tuple[list[str], str]:
    """Send what a command says, with the real key. Return the status line with the headers, and the body."""
    _, shows_head, address, as_json, body = shlex.split(command)
    assert (shows_head, as_json) == ("-i", "--json")
    (key,) = [key.text for key, _ in site.storage.keys.values()]
    path = address.removeprefix("https://collect.example")
    answer = await site.post({**json.loads(body), "projectKey": key}, path)
    words = {200: "OK", 402: "Payment Required"}[answer.status]
    headers = ("RateLimit-Policy", "RateLimit", "Retry-After")
    lines = [f"{name}: {answer.headers[name]}" for name in headers if name in answer.headers]
    return [f"HTTP/1.1 {answer.status} {words}", *lines], answer.body.decode()


def shown(printed: str) -> list[str]:
    return [_ID.sub("ID", line).rstrip() for line in printed.splitlines()]


async def test_every_command_of_the_page_does_what_the_page_says() -> None:
    (toml,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, flags=re.M | re.S)
    plans = read_plans(tomllib.loads(toml)["plans"])
    site = EmptySite()
    commands = Commands(store=site.storage, ids=site.ids, plans=plans)
    site.clock.jump(datetime(2026, 11, 2, 11, tzinfo=UTC))  # an hour before the commands
    await site.start()
    try:
        assert len(steps()) > 15
        for command, expected in steps():
            if command.startswith("curl"):
                head, body = await curl(site, command)
                if "402 Payment Required" in expected[0]:
                    assert head[0] == "HTTP/1.1 200 OK"
                    while head[0] == "HTTP/1.1 200 OK":
                        head, body = await curl(site, command)
                *told, last = expected
                if last != _REST:
                    assert told.pop() == _REST
                    assert last in body
                else:
                    assert told
                assert head == told, command
                continue
            _, *words = shlex.split(command)
            if words[-1] == "ID":  # the quota that was listed last
                words[-1] = list(site.storage.quotas.quotas.values())[1].id
            done = await asyncio.to_thread(commands.run, *words)
            assert done.exit_code == 0, (command, done.output)
            printed = shown(done.stdout)
            if expected[-1].endswith(_REST):
                *whole, begun = expected
                assert printed[: len(whole)] == whole, command
                assert "".join(printed[len(whole) :]).startswith(begun.removesuffix(_REST)), command
            else:
                assert printed == expected, command
    finally:
        await site.stop()

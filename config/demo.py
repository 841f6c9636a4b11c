"""The demo: a server, a small website whose pages post to it, and a person who watches."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from catchment.adapters.cli.actions import Management
from catchment.adapters.cli.demo import introduce, show_answer
from catchment.adapters.demo_site.site import DemoSite
from catchment.adapters.http.tracker.handing_out import MISSING
from catchment.adapters.http.tracker.tag import short_path, tag
from catchment.adapters.postgres.alone import alone
from catchment.core.accounts.administer import Administer
from catchment.core.accounts.scripts import TRACKER
from catchment.core.errors import NotFound, NotPossible
from catchment.core.project import Project
from catchment.core.times import period_of

from .management import open_management
from .running import bind_sockets, reviver
from .server import CollectingServer
from .settings import Settings

ACCOUNT = "demo"
_CHECK_ACCOUNT = "demo-check-"
"""The beginning of the names of the checks' accounts."""
HELLO = "hello"
HELLO_ORIGIN = "https://yourdomain.com"
SITE = "demo-site"
SITE_ORIGINS = ("http://localhost:*", "http://127.0.0.1:*")
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """The demo's account, projects and keys."""

    hello: Project
    hello_key: str
    site: Project
    site_key: str


async def _set_up(administer: Administer, name: str = ACCOUNT) -> _Ready:
    """Make the demo's account and projects if they are missing. Raise `NotPossible` if the account is not the
    demo's."""
    try:
        account = await administer.account(name)
    except NotFound:
        account = await administer.create_account(name, demo=True)
    if not account.demo:
        raise NotPossible(
            f"there is an account {name!r} that the demo did not make; the demo needs the name: "
            f"catchment account rename {name} ANOTHER"
        )
    hello, hello_key, _ = await administer.keep_project(HELLO, account.id, (HELLO_ORIGIN,))
    site, site_key, _ = await administer.keep_project(SITE, account.id, SITE_ORIGINS)
    return _Ready(hello=hello, hello_key=hello_key, site=site, site_key=site_key)


def _event(server: CollectingServer, key: str, event_id: str) -> dict[str, Any]:
    now = server.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "projectKey": key,
        "event_name": "ButtonClick",
        "event_data": {"category": "CTA", "label": "Homepage Hero", "value": 1, "custom_field": "custom value"},
        "url": f"{HELLO_ORIGIN}/page?utm_source=newsletter&utm_medium=email&utm_campaign=autumn"
        "&utm_term=coffee&utm_content=hero",
        "language": "en-GB",
        "page_title": "Home",
        "page_path": "/page",
        "referrer": "https://referrer.com/",
        "userAgent": BROWSER,
        "sessionId": "demo-session",
        "userId": "demo-user",
        "eventId": event_id,
        "timestamp": now,
    }


def _curl(address: str, event: dict[str, Any]) -> str:
    body = json.dumps(event, indent=1)
    return f"curl -sS {address}/v1/events -H 'Content-Type: application/json' -d {shlex.quote(body)}; echo"


def _site(collector: str, key: str, sockets: list[socket.socket]) -> DemoSite:
    return DemoSite(collector, key, tag(collector + short_path(TRACKER), key), sockets)


def run(settings: Settings, dsn: str, site_port: int | None, say: Callable[[str], None]) -> int:
    """Run the demo until Ctrl-C."""
    sockets = bind_sockets(settings)
    http = replace(settings.http, port=sockets[0].getsockname()[1])
    settings = replace(settings, http=http)
    site_http = replace(http, port=http.port + 1 if site_port is None else site_port)
    site_sockets = bind_sockets(replace(settings, http=site_http))
    return asyncio.run(_run(settings, dsn, sockets, site_sockets, say))


async def _run(
    settings: Settings,
    dsn: str,
    sockets: list[socket.socket],
    site_sockets: list[socket.socket],
    say: Callable[[str], None],
) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = CollectingServer(
        settings,
        dsn,
        on_death=lambda _: stop.set(),
        watch=lambda answer, dry: show_answer(answer, dry, say),
        revive=reviver(settings),
    )
    async with open_management(settings, dsn) as management:
        ready = await _set_up(management.administer)
    site = _site(settings.public_url, ready.site_key, site_sockets)
    event = _event(server, ready.hello_key, server.ids.new_id())

    async def stopped() -> None:
        site.start()
        introduce(
            say,
            address=settings.public_url,
            site=f"http://localhost:{site_sockets[0].getsockname()[1]}/",
            curl=_curl(settings.public_url, event),
            missing={name: MISSING for name, version in server.http.tracker.versions.items() if version is None},
            project=f"{ACCOUNT}/{HELLO}",
            program=called(settings),
            has_variables=any(name.startswith("CATCHMENT_") for name in os.environ),
        )
        await stop.wait()
        say("\nEnding: what is in flight is stored first.")
        await site.close()

    await server.run(sockets, stopped)
    return 0


def called(settings: Settings) -> str:
    """Return the command of this program, which can be pasted into a terminal in any folder."""
    if Path(sys.argv[0]).suffix == ".py":
        words = [sys.executable, "-m", "catchment.config.main"]
    else:
        words = [os.path.abspath(shutil.which(sys.argv[0]) or sys.argv[0])]
    if settings.file is not None:
        words += ["--config", os.path.abspath(settings.file)]
    return shlex.join(words)


# The check


class _Checker:
    """Posts, and compares the answers with the expected ones."""

    def __init__(self, address: str, say: Callable[[str], None]) -> None:
        self.address = address
        self._say = say
        self._client = AsyncHTTPClient(force_instance=True)
        self.checked = 0

    async def post(self, path: str, body: object, origin: str | None = None) -> tuple[int, dict[str, Any], Any]:
        headers = {"Content-Type": "application/json", **({"Origin": origin} if origin else {})}
        response = await self._client.fetch(
            self.address + path, method="POST", headers=headers, body=json.dumps(body), raise_error=False
        )
        return response.code, json.loads(response.body), response.headers

    async def get(self, address: str) -> str:
        return (await self.fetch(address)).body.decode()

    async def fetch(self, address: str) -> HTTPResponse:
        return await self._client.fetch(address)

    def holds(self, what: str, got: object, expected: object) -> None:
        """Raise `NotPossible` if it does not."""
        if got != expected:
            raise NotPossible(f"the check failed: {what}: expected {expected!r}, got {got!r}")
        self.checked += 1
        self._say(f"✓ {what}")

    def close(self) -> None:
        self._client.close()


def check(settings: Settings, dsn: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Do what a person would do with the demo, on free ports, and verify everything. Raise `NotPossible`.

    It works on the settings' database, in an account of its own. The account is removed at the end in any case; after a
    SIGKILL the next check removes it.
    """
    settings = replace(settings, http=replace(settings.http, host="127.0.0.1", port=0, workers=1))
    interrupted: list[int] = []

    async def work() -> dict[str, Any]:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def interrupt(number: int) -> None:
            if not interrupted and task is not None:
                task.cancel()
            interrupted.append(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, interrupt, number)
        waits = partial(say, "Another check runs on this database: waiting for its end.")
        async with alone(dsn, "demo check", waits=waits), open_management(settings, dsn) as management:
            await _take_away(management.administer)  # of a check that was killed
            try:
                return await _check(settings, dsn, management, say)
            finally:
                # a separate task, because this one may be cancelled
                await loop.create_task(_take_away(management.administer), name="taking away")

    with contextlib.suppress(asyncio.CancelledError):
        found = asyncio.run(work())
        if not interrupted:  # a cancellation can be lost: see `end`
            return found
    say("Interrupted: what the check had made is gone.")
    raise SystemExit(128 + interrupted[0])


async def _take_away(administer: Administer) -> None:
    """Remove the accounts of all checks on this database."""
    for deleted in (False, True):
        for account in await administer.accounts(deleted=deleted):
            if account.demo and account.name.startswith(_CHECK_ACCOUNT):
                await administer.remove_demo(account.id)


async def _check(settings: Settings, dsn: str, management: Management, say: Callable[[str], None]) -> dict[str, Any]:
    sockets, site_sockets = bind_sockets(settings), bind_sockets(settings)
    address = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    site_address = f"http://127.0.0.1:{site_sockets[0].getsockname()[1]}"
    died: list[BaseException] = []
    server = CollectingServer(settings, dsn, on_death=died.append)
    ready = await _set_up(management.administer, _CHECK_ACCOUNT + server.ids.new_id())
    site = _site(address, ready.site_key, site_sockets)
    checker = _Checker(address, say)
    found: dict[str, Any] = {}

    async def checks() -> None:
        site.start()
        try:
            found.update(await _checks(checker, server, management, ready, site_address))
        finally:
            await site.close()

    try:
        await server.run(sockets, checks)
    finally:
        checker.close()
    checker.holds("the writer lives", died, [])
    return {"ok": True, "checked": checker.checked, **found}


async def _checks(
    checker: _Checker, server: CollectingServer, management: Management, ready: _Ready, site_address: str
) -> dict[str, Any]:
    async def usage() -> int:
        period = period_of(server.clock.now())
        return sum(one.events for one in await management.reports.usage(project=ready.hello.id, period=period))

    before = await usage()
    event = _event(server, ready.hello_key, server.ids.new_id())
    dry = (await checker.post("/v1/events?dry_run=1", event))[1]
    missing = [name for name, value in dry["row"].items() if value in (None, "")]
    checker.holds("a dry run fills every column that a loopback address can", missing, ["country", "region", "city"])
    status, receipt, _ = await checker.post("/v1/events", event)
    checker.holds("the event is stored", (status, receipt["outcome"]), (200, "stored"))
    status, receipt, _ = await checker.post("/v1/events", event)
    checker.holds("the same again is a duplicate", (status, receipt["outcome"]), (200, "duplicate"))
    batch = [
        dict(event, eventId=server.ids.new_id()),
        dict(event, eventId=server.ids.new_id(), url="https://evil.example/"),
    ]
    results = (await checker.post("/v1/batch", batch))[1]["results"]
    outcomes = [(one["outcome"], one.get("reason")) for one in results]
    checker.holds(
        "in a batch each has its own outcome", outcomes, [("stored", None), ("refused", "origin_not_allowed")]
    )
    status, problem, headers = await checker.post("/v1/events", event, origin="https://evil.example")
    refused = (status, problem["code"], headers["Access-Control-Allow-Origin"])
    checker.holds("a foreign origin is refused, readably", refused, (403, "origin_not_allowed", "https://evil.example"))
    status, problem, _ = await checker.post("/v1/events", dict(event, projectKey="pk_nobodys"))
    checker.holds("an unknown key is refused", (status, problem["code"]), (401, "unknown_key"))
    page = await checker.get(site_address + "/beans")
    checker.holds("the website's page loads the script", f'src="{checker.address}/catchment.js"' in page, True)
    checker.holds("the website's page carries its key", ready.site_key in page, True)
    seen = {"projectKey": ready.site_key, "event_name": "PageView", "url": f"{site_address}/beans"}
    status, receipt, headers = await checker.post("/v1/events", seen, origin=site_address)
    posted = (status, receipt["outcome"], headers["Access-Control-Allow-Origin"])
    checker.holds("what the page posts is stored", posted, (200, "stored", site_address))
    await _check_scripts(checker, server)
    opened = urlencode({"k": ready.hello_key, "n": "MailOpened", "u": event["url"], "e": server.ids.new_id()})
    for outcome in ("stored", "duplicate"):
        picture = await checker.fetch(f"{checker.address}/v1/pixel.gif?{opened}")
        answered = (picture.headers["Content-Type"], picture.headers["X-Catchment-Outcome"])
        checker.holds(f"a mail's picture is shown, and its event is {outcome}", answered, ("image/gif", outcome))
    checker.holds("usage grew by what was stored", await usage() - before, 3)
    for project in (ready.hello, ready.site):
        differences = await management.reports.audit(project=project.id)
        checker.holds(f"usage equals stored rows, of the project {project.name}", list(differences), [])
    ready_text = await checker.get(f"{checker.address}/readyz")
    checker.holds("the server is ready", json.loads(ready_text)["status"], "ready")
    return {"project": ready.hello.id, "stored": 4}


async def _check_scripts(checker: _Checker, server: CollectingServer) -> None:
    """Check the scripts that are built."""
    for name, version in server.http.tracker.versions.items():
        if version is None:
            continue
        short = await checker.fetch(f"{checker.address}/{name}.js")
        pinned = await checker.fetch(f"{checker.address}/{name}.{version}.js")
        served = (short.headers["Content-Type"], short.body == pinned.body, bool(short.body))
        checker.holds(f"/{name}.js is served", served, ("text/javascript; charset=utf-8", True, True))

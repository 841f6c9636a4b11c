"""The scripts that websites load: short and versioned addresses, caching, and what pages of other origins need."""

from __future__ import annotations

import asyncio
import gzip
from datetime import timedelta

import pytest

from catchment.adapters.http.tracker.handing_out import Tracker
from catchment.adapters.http.tracker.tag import short_path, versioned_path
from catchment.core.accounts.scripts import NAMES, TRACKER, TRACKER_PLUS, Script
from catchment.core.errors import Unavailable

from ..support.waiting import eventually
from .serving import SHIPPED, Answer, MakeSite, Site, check_problem

pytestmark = pytest.mark.gen_test

FOR_NOW = "public, max-age=3600"
FOR_GOOD = "public, max-age=31536000, immutable"
OLD = Script(name=TRACKER, content=b"/* as it was shipped once */")
PATHS = [path for script in SHIPPED.values() for path in (short_path(script.name), versioned_path(script))]


def check_script(answer: Answer, script: Script, caching: str) -> None:
    """A script, whole and plain, as any page may load it."""
    assert (answer.status, answer.body) == (200, script.content)
    headers = answer.headers
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert headers["Cache-Control"] == caching
    check_for_any_page(answer)
    assert "Content-Encoding" not in headers


def check_for_any_page(answer: Answer) -> None:
    headers = answer.headers
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Vary"] == "Accept-Encoding"
    assert headers["ETag"].startswith('"')
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("origin", ["https://shop.example", "https://stranger.example", "null", None])
async def test_the_shipped_scripts_are_served_to_every_page(site: Site, name: str, origin: str | None) -> None:
    script = SHIPPED[name]
    check_script(await site.ask("GET", short_path(script.name), origin=origin), script, FOR_NOW)
    check_script(await site.ask("GET", versioned_path(script), origin=origin), script, FOR_GOOD)
    assert site.archive.asked == site.projects.asked == 0


@pytest.mark.parametrize("query", ["?", "?v=1", "?k=pk_1&cb=123"])
async def test_a_query_changes_nothing(site: Site, query: str) -> None:
    check_script(await site.ask("GET", f"/catchment.js{query}"), SHIPPED[TRACKER], FOR_NOW)


@pytest.mark.parametrize("path", PATHS)
async def test_head_says_what_get_would(site: Site, path: str) -> None:
    for headers in ({}, {"Accept-Encoding": "gzip"}):
        got, head = await site.ask("GET", path, b"", headers), await site.ask("HEAD", path, b"", headers)
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["Content-Length"]) == len(got.body)
        assert {n: v for n, v in head.headers.items() if n != "x-request-id"} == {
            n: v for n, v in got.headers.items() if n != "x-request-id"
        }


@pytest.mark.parametrize("path", PATHS)
async def test_what_a_browser_has_is_not_sent_again(site: Site, path: str) -> None:
    for packed in ({}, {"Accept-Encoding": "gzip"}):
        first = await site.ask("GET", path, b"", packed)
        for sent in ("{}", "W/{}", '"other", {}', '"a,b" , W/"x",{}', "*"):
            headers = {"If-None-Match": sent.format(first.headers["ETag"]), **packed}
            wire = await site.connect()
            for method in ("GET", "HEAD", "GET"):  # on one connection: what follows a 304 is no body of it
                again = await _on(wire, method, path, headers)
                assert (again.status, again.body) == (304, b"")
                assert "Content-Type" not in again.headers
                assert again.headers["ETag"] == first.headers["ETag"]
                assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
                check_for_any_page(again)


async def _on(wire: object, method: str, path: str, headers: dict[str, str]) -> Answer:
    from .serving import Wire, request

    assert isinstance(wire, Wire)
    await wire.send(request(method, path, b"", [*headers.items(), ("Origin", "https://shop.example")]))
    return await wire.answer(method)


@pytest.mark.parametrize("sent", ['"other"', 'W/"other"', "", "x", '"a", "b"'])
async def test_what_a_browser_has_of_another_version_is_replaced(site: Site, sent: str) -> None:
    answer = await site.ask("GET", "/catchment.js", b"", {"If-None-Match": sent})
    check_script(answer, SHIPPED[TRACKER], FOR_NOW)


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("*", True),
        ("identity;q=0, *;q=0.1", True),
        ("br", False),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("x-gzipped", False),
    ],
)
async def test_it_is_packed_for_those_who_accept_it(site: Site, accepted: str, packed: bool) -> None:
    answer = await site.ask("GET", "/catchment.js", b"", {"Accept-Encoding": accepted})
    check_for_any_page(answer)
    assert answer.headers.get("Content-Encoding") == ("gzip" if packed else None)
    content = SHIPPED[TRACKER].content
    assert (gzip.decompress(answer.body) if packed else answer.body) == content
    assert (len(answer.body) < len(content)) is packed


async def test_packed_and_plain_are_two_to_a_cache(site: Site) -> None:
    plain = await site.ask("GET", "/catchment.js")
    packed = await site.ask("GET", "/catchment.js", b"", {"Accept-Encoding": "gzip"})
    assert plain.headers["ETag"] != packed.headers["ETag"]
    crossed = {"Accept-Encoding": "gzip", "If-None-Match": plain.headers["ETag"]}
    assert (await site.ask("GET", "/catchment.js", b"", crossed)).status == 200


@pytest.mark.parametrize("path", ["/catchment.js", versioned_path(SHIPPED[TRACKER])])
async def test_other_methods_are_told_which_there_are(site: Site, path: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = await site.ask(method, path, b"")
        check_problem(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


# what is not there


async def test_a_script_that_was_not_built_says_how_to_build_it(make_site: MakeSite) -> None:
    site = await make_site(shipped={})
    for path in ("/catchment.js", "/catchment.plus.js"):
        assert "make assets" in check_problem(await site.ask("GET", path), 404, "not_found")["detail"]
    assert site.http.tracker.versions == {TRACKER: None, TRACKER_PLUS: None}


async def test_it_is_said_in_the_log_at_the_start(make_site: MakeSite, caplog: pytest.LogCaptureFixture) -> None:
    (await make_site()).http.tracker.warn()
    assert caplog.text == ""
    (await make_site(shipped={TRACKER: SHIPPED[TRACKER]})).http.tracker.warn()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "/catchment.plus.js" in record.getMessage()
    assert "make assets" in record.getMessage()


@pytest.mark.parametrize(
    "path",
    [
        "/catchment.0123456789abcde.js",
        "/catchment.0123456789abcdef0.js",
        "/catchment.0123456789ABCDEF.js",
        "/catchment.0123456789abcdeg.js",
        "/catchment..js",
        "/catchment.plus.plus.js",
        "/catchment.x.0123456789abcdef.js",
        "/catchment.0123456789abcdef.js.map",
        "/catchment.0123456789abcdef",
        "/catchment/0123456789abcdef.js",
        "/catchment.../../0123456789abcdef.js",
        "/catchment.%30123456789abcdef.js",
        "/Catchment.js",
        "/catchment.js/",
        "//catchment.js",
        "/scripts/catchment.js",
    ],
)
async def test_what_is_no_address_of_a_script_asks_nobody(site: Site, path: str) -> None:
    check_problem(await site.ask("GET", path), 404, "not_found")
    assert site.archive.asked == 0


# versions that were handed out


async def test_a_version_that_was_handed_out_is_served_for_good(site: Site) -> None:
    """After an upgrade the shipped script is another one."""
    await site.archive.keep(OLD)
    for _ in range(3):
        check_script(await site.ask("GET", versioned_path(OLD)), OLD, FOR_GOOD)
    assert site.archive.asked == 1
    packed = await site.ask("GET", versioned_path(OLD), b"", {"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.body) == OLD.content
    check_script(await site.ask("GET", "/catchment.js"), SHIPPED[TRACKER], FOR_NOW)


async def test_a_version_is_of_its_name_alone(site: Site) -> None:
    await site.archive.keep(OLD)
    check_problem(await site.ask("GET", f"/catchment.plus.{OLD.version}.js"), 404, "not_found")


async def test_a_version_that_nobody_has_is_looked_for_once_in_a_while(site: Site) -> None:
    for _ in range(3):
        check_problem(await site.ask("GET", versioned_path(OLD)), 404, "not_found")
    assert site.archive.asked == 1
    await site.archive.keep(OLD)
    site.clock.advance(timedelta(seconds=Tracker.UNKNOWN_SECONDS))
    check_script(await site.ask("GET", versioned_path(OLD)), OLD, FOR_GOOD)


async def test_while_the_database_is_away_the_shipped_version_is_there(site: Site) -> None:
    await site.archive.keep(OLD)
    site.storage.failing = Unavailable("away", retry_after=7)
    for script in SHIPPED.values():
        check_script(await site.ask("GET", short_path(script.name)), script, FOR_NOW)
        check_script(await site.ask("GET", versioned_path(script)), script, FOR_GOOD)
    answer = await site.ask("GET", versioned_path(OLD))
    check_problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "7"
    assert answer.headers["Cache-Control"] == "no-store"
    site.storage.failing = None
    check_script(await site.ask("GET", versioned_path(OLD)), OLD, FOR_GOOD)


async def test_look_ups_at_the_same_time_are_bounded(site: Site) -> None:
    site.archive.gate.clear()
    paths = [f"/catchment.{n:016x}.js" for n in range(Tracker.AT_ONCE)]
    asked = [asyncio.ensure_future(site.ask("GET", path)) for path in paths]
    await eventually(lambda: site.archive.asked == Tracker.AT_ONCE, "all are being looked up")
    check_problem(await site.ask("GET", versioned_path(OLD)), 503, "unavailable")
    check_script(await site.ask("GET", "/catchment.js"), SHIPPED[TRACKER], FOR_NOW)
    site.archive.gate.set()
    for answer in await asyncio.gather(*asked):
        check_problem(answer, 404, "not_found")
    check_problem(await site.ask("GET", versioned_path(OLD)), 404, "not_found")


async def test_what_is_kept_in_memory_is_bounded(site: Site) -> None:
    old = [Script(name=TRACKER, content=b"%d" % n) for n in range(Tracker.KEPT + 1)]
    for script in old:
        await site.archive.keep(script)
        check_script(await site.ask("GET", versioned_path(script)), script, FOR_GOOD)
    asked = site.archive.asked
    for script in old[1:]:
        await site.ask("GET", versioned_path(script))
    assert site.archive.asked == asked
    check_script(await site.ask("GET", versioned_path(old[0])), old[0], FOR_GOOD)
    assert site.archive.asked == asked + 1


async def test_metrics_have_one_label_for_all_versions(site: Site) -> None:
    for number in range(3):
        await site.ask("GET", f"/catchment.{number:016x}.js")
    await site.ask("GET", versioned_path(SHIPPED[TRACKER_PLUS]))
    await site.ask("GET", "/catchment.js")
    text = (await site.ask("GET", "/metrics")).body.decode()
    assert 'route="/catchment.{version}.js",status="404"} 3.0' in text
    assert 'route="/catchment.plus.{version}.js",status="200"} 1.0' in text
    assert 'route="/catchment.js",status="200"} 1.0' in text
    assert "0000000000000001" not in text

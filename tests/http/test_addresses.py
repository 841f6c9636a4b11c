"""Whose address it is: the connection's, or what trusted proxies say, and never what anybody else does."""

from __future__ import annotations

import pytest

from catchment.adapters.http.addresses import client_address
from catchment.core.project import Privacy

from .serving import MakeSite, Site, check_receipt, networks

LOOPBACK = "127.0.0.1"
TRUSTED = networks("127.0.0.0/8", "10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        (LOOPBACK, [], LOOPBACK),
        (LOOPBACK, ["198.51.100.1"], "198.51.100.1"),
        (LOOPBACK, [" 198.51.100.1 "], "198.51.100.1"),
        (LOOPBACK, ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        (LOOPBACK, ["6.6.6.6, 198.51.100.1, 10.1.2.3"], "198.51.100.1"),
        (LOOPBACK, ["6.6.6.6, 198.51.100.1", "10.1.2.3"], "198.51.100.1"),
        (LOOPBACK, ["10.1.2.3, 10.9.9.9"], "10.1.2.3"),
        (LOOPBACK, ["198.51.100.1, unknown"], LOOPBACK),
        (LOOPBACK, ["198.51.100.1, unknown, 10.1.2.3"], "10.1.2.3"),
        (LOOPBACK, [""], LOOPBACK),
        (LOOPBACK, [",,"], LOOPBACK),
        (LOOPBACK, ["198.51.100.1:54321"], "198.51.100.1"),
        (LOOPBACK, ["2001:db8::7"], "2001:db8::7"),
        (LOOPBACK, ["[2001:db8::7]"], "2001:db8::7"),
        (LOOPBACK, ["[2001:db8::7]:54321"], "2001:db8::7"),
        (LOOPBACK, ["2001:db8::7, fd00::1"], "2001:db8::7"),
        (LOOPBACK, ["::ffff:198.51.100.1, ::ffff:10.0.0.1"], "::ffff:198.51.100.1"),
        (LOOPBACK, ["198.51.100.1, '; DROP TABLE"], LOOPBACK),
        (LOOPBACK, ["198.51.100.1, 999.1.1.1"], LOOPBACK),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("::1", ["2001:db8::7"], "::1"),
        ("::ffff:127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        (None, ["198.51.100.1"], None),
    ],
)
def test_the_rightmost_address_that_is_no_trusted_proxy_is_the_client_s(
    peer: str | None, forwarded: list[str], client: str | None
) -> None:
    assert client_address(peer, forwarded, TRUSTED) == client


def test_where_nobody_is_trusted_the_connection_s_address_counts() -> None:
    assert client_address("127.0.0.1", ["198.51.100.1"], networks()) == "127.0.0.1"


async def stored_address(site: Site, **headers: str) -> str | None:
    await site.change(privacy=Privacy.FULL)
    check_receipt(await site.post(site.event(), **headers), "stored")
    return site.storage.events[-1].ip


@pytest.mark.gen_test
async def test_the_connection_s_address_is_stored(site: Site) -> None:
    assert await stored_address(site) == "127.0.0.1"


@pytest.mark.gen_test
@pytest.mark.parametrize("header", ["X_Forwarded_For", "X_Real_Ip", "Forwarded", "CF_Connecting_IP", "True_Client_IP"])
async def test_what_an_untrusted_client_says_of_its_address_counts_for_nothing(site: Site, header: str) -> None:
    assert await stored_address(site, **{header: "198.51.100.1"}) == "127.0.0.1"


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("6.6.6.6, 198.51.100.1, 127.0.0.9", "198.51.100.1"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("nonsense", "127.0.0.1"),
    ],
)
async def test_what_a_trusted_proxy_says_is_stored(make_site: MakeSite, forwarded: str, address: str) -> None:
    site = await make_site(trusted=networks("127.0.0.0/8"))
    assert await stored_address(site, X_Forwarded_For=forwarded) == address


@pytest.mark.gen_test
async def test_two_headers_of_a_proxy_are_one_list(make_site: MakeSite) -> None:
    import json

    site = await make_site(trusted=networks("127.0.0.0/8"))
    await site.change(privacy=Privacy.FULL)
    headers = [
        ("Content-Type", "application/json"),
        ("X-Forwarded-For", "6.6.6.6, 198.51.100.1"),
        ("X-Forwarded-For", "127.0.0.9"),
    ]
    check_receipt(await site.ask("POST", "/v1/events", json.dumps(site.event()).encode(), headers), "stored")
    assert site.storage.events[0].ip == "198.51.100.1"


@pytest.mark.gen_test
async def test_real_ip_is_not_trusted_over_forwarded_for(make_site: MakeSite) -> None:
    site = await make_site(trusted=networks("127.0.0.0/8"))
    headers = {"X_Forwarded_For": "198.51.100.1", "X_Real_Ip": "6.6.6.6"}
    assert await stored_address(site, **headers) == "198.51.100.1"


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("privacy", "kept"), [(Privacy.MASK, "198.51.100.0"), (Privacy.DROP, None), (Privacy.FULL, "198.51.100.1")]
)
async def test_what_is_kept_of_an_address_is_the_project_s_to_say(
    make_site: MakeSite, privacy: Privacy, kept: str | None
) -> None:
    site = await make_site(trusted=networks("127.0.0.0/8"))
    await site.change(privacy=privacy)
    check_receipt(await site.post(site.event(), X_Forwarded_For="198.51.100.1"), "stored")
    assert site.storage.events[0].ip == kept

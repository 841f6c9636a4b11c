"""Whose address it is: the connection's, or what trusted proxies say, and never what anybody else does."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from tornado.httputil import HTTPHeaders

from catchment.adapters.http.engine.addresses import Client, Clients, Networks
from catchment.core.privacy import read_network
from catchment.core.project import Privacy

from .serving import MakeSite, Site, check_receipt, networks

LOOPBACK = "127.0.0.1"
TRUSTED = Networks(networks("127.0.0.0/8", "10.0.0.0/8", "fd00::/8"))


def read(peer: str | None, *forwarded: str) -> Client:
    """The client of a request, with a header for each text."""
    headers = HTTPHeaders.parse("".join(f"X-Forwarded-For: {text}\r\n" for text in forwarded))
    return Clients(TRUSTED).read(peer, headers)


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
        (LOOPBACK, ["198.51.100.1:54321"], "198.51.100.1"),
        (LOOPBACK, ["2001:db8::7, fd00::1"], "2001:db8::7"),
        (LOOPBACK, ["198.51.100.1, ::ffff:10.0.0.1, ::FFFF:a01:203"], "198.51.100.1"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("fd00::1%eth0", ["2001:db8::7"], "2001:db8::7"),
        ("::1", ["2001:db8::7"], "::1"),
        ("::ffff:127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        (None, ["198.51.100.1"], None),
    ],
)
def test_the_rightmost_address_that_is_no_trusted_proxy_is_the_client_s(
    peer: str | None, forwarded: list[str], client: str | None
) -> None:
    assert read(peer, *forwarded).address == client


@pytest.mark.parametrize(
    "hop",
    [
        "81.2.69.160",
        "81.2.69.160:567",
        "::FFFF:81.2.69.160",
        "::ffff:5102:45a0",
        "0:0:0:0:0:ffff:81.2.69.160",
        "0000:0000:0000:0000:0000:FFFF:5102:45A0",
        "::ffff:81.2.69.160%eth0",
        "::ffff:81.2.69.160:567",
        "[::ffff:81.2.69.160]",
        "[::FFFF:5102:45a0]:567",
        '"81.2.69.160"',
        '"[::ffff:81.2.69.160]:567"',
        "\t 81.2.69.160 \t",
    ],
)
def test_an_address_is_the_same_in_every_spelling(hop: str) -> None:
    assert read(LOOPBACK, hop) == Client("81.2.69.160", "81.2.69.160")


@pytest.mark.parametrize("hop", ["2001:DB8::7", "[2001:db8::7]", "[2001:db8:0:0::0007]:54321", "2001:db8::7%eth0"])
def test_an_address_of_ipv6_is_charged_by_its_network(hop: str) -> None:
    assert read(LOOPBACK, hop) == Client("2001:db8::7", "2001:db8::/64")


@pytest.mark.parametrize(
    "hop",
    [
        "unknown",
        "_hidden",
        "unix:",
        "",
        ",",
        "'; DROP TABLE",
        "999.1.1.1",
        "10.1.2",
        "[::1",
        "[::1]x",
        "[10.0.0.1]:80:80",
        "10.0.0.1:http",
        "10.0.0.1:",
        "10.0.0.1 10.0.0.1",
        "for=10.0.0.1",
        "1" * 9000,
    ],
)
@pytest.mark.parametrize("before", ["", "10.0.0.5, "])
def test_a_hop_that_cannot_be_read_is_nobody_and_has_no_rights(before: str, hop: str) -> None:
    client = read(LOOPBACK, before + hop)
    assert client == Client(None, "unknown behind 127.0.0.1", vouched=False)
    assert client != read(LOOPBACK, f"{before}{hop}, 10.1.2.3")
    assert read(LOOPBACK, f"{before}{hop}, 10.1.2.3").address is None


@pytest.mark.parametrize(
    ("peer", "forwarded", "vouched"),
    [
        ("10.1.2.3", None, True),
        ("203.0.113.9", None, True),
        ("203.0.113.9", "10.1.2.3", False),
        (None, None, False),
        (LOOPBACK, "203.0.113.9", True),
        (LOOPBACK, "10.1.2.3, 10.1.2.4", True),
        (LOOPBACK, "81.2.69.160, 172.18.0.1", False),
        (LOOPBACK, ", 172.18.0.1", False),
        (LOOPBACK, ", ".join(["10.1.2.3"] * 1500), False),
    ],
)
def test_an_address_has_rights_if_trusted_proxies_alone_name_it(
    peer: str | None, forwarded: str | None, vouched: bool
) -> None:
    client = read(peer) if forwarded is None else read(peer, forwarded)
    assert client.vouched is vouched


def test_if_nobody_is_trusted_the_connection_s_address_counts() -> None:
    headers = HTTPHeaders({"X-Forwarded-For": "198.51.100.1"})
    assert Clients(Networks([])).read("127.0.0.1", headers).address == "127.0.0.1"


@pytest.mark.parametrize(
    ("peer", "headers", "noticed"),
    [
        (LOOPBACK, {"X-Forwarded-For": "81.2.69.160"}, None),
        (LOOPBACK, {"X-Forwarded-For": "81.2.69.160, 10.1.2.3"}, None),
        (LOOPBACK, {"X-Forwarded-For": "6.6.6.6, 81.2.69.160"}, None),
        (LOOPBACK, {"X-Forwarded-For": "172.18.0.1"}, None),
        (LOOPBACK, {"X-Forwarded-For": "81.2.69.160, 172.18.0.1"}, "172.18.0.1"),
        (LOOPBACK, {"X-Forwarded-For": "81.2.69.160, ::ffff:172.18.0.1, 10.1.2.3"}, "172.18.0.1"),
        (LOOPBACK, {"X-Forwarded-For": "81.2.69.160, 100.64.0.1"}, "100.64.0.1"),
        ("192.168.0.1", {"X-Forwarded-For": "81.2.69.160"}, "192.168.0.1"),
        ("192.168.0.1", {"Forwarded": "for=81.2.69.160"}, "192.168.0.1"),
        ("192.168.0.1", {"X-Real-Ip": "81.2.69.160"}, "192.168.0.1"),
        ("192.168.0.1", {}, None),
        ("81.2.69.142", {"X-Forwarded-For": "81.2.69.160"}, None),
    ],
)
def test_a_private_proxy_that_is_not_trusted_is_noticed_wherever_it_stands(
    peer: str, headers: dict[str, str], noticed: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    clients = Clients(TRUSTED)
    for _ in range(2):
        clients.read(peer, HTTPHeaders(headers))
    assert clients.untrusted_proxy == noticed
    assert len(caplog.records) == (noticed is not None)


@pytest.mark.parametrize(
    "text",
    ["10.0.0.0/8", "10.1.2.3/8", "::ffff:10.0.0.0/104", "::FFFF:a00:0/104", " 10.0.0.0 / 8 ", "[::ffff:10.0.0.0]/104"],
)
def test_a_network_is_the_same_in_every_spelling(text: str) -> None:
    assert read_network(text) == ip_network("10.0.0.0/8")


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
        ("nonsense", None),
    ],
)
async def test_what_a_trusted_proxy_says_is_stored(make_site: MakeSite, forwarded: str, address: str | None) -> None:
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


@pytest.mark.parametrize(
    ("address", "share"),
    [
        ("81.2.69.160", "81.2.69.160"),
        ("::ffff:81.2.69.160", "81.2.69.160"),
        ("64:ff9b::81.2.69.160", "81.2.69.160"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
    ],
)
def test_an_address_is_charged_as_its_subscriber(address: str, share: str) -> None:
    assert read(address).share == share

"""What is kept of an address."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment.core.privacy import (
    VISITOR_BYTES,
    anonymize,
    canonical,
    keyed_hash,
    mask,
    read_address,
    visitor_of_day,
)
from catchment.core.project import Privacy

addresses = st.ip_addresses().map(str)


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("81.2.69.142", "81.2.69.0"),
        ("255.255.255.255", "255.255.255.0"),
        ("1.0.0.1", "1.0.0.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("2001:DB8::1", "2001:db8::"),
        ("::1", "::"),
        ("::ffff:81.2.69.142", "81.2.69.0"),
        ("::ffff:5102:458e", "81.2.69.0"),
        ("fe80::1%eth0", "fe80::"),
        ("2002:5102:458e::1", "2002:5102:4500::"),
        ("64:ff9b::81.2.69.142", "64:ff9b::"),
        (" 81.2.69.142 ", "81.2.69.0"),
    ],
)
def test_an_address_is_masked(address: str, masked: str) -> None:
    assert mask(address) == masked


@pytest.mark.parametrize(
    "text", ["", "x", "81.2.69", "81.2.69.256", "81.2.69.142:80", "[::1]", "::1/64", "1\x00", "\ud800"]
)
def test_a_text_that_is_no_address_is_kept_in_no_form(text: str) -> None:
    assert (mask(text), canonical(text), keyed_hash(text, b"salt")) == (None, None, None)


@given(addresses)
def test_a_mask_tells_no_more_than_a_network(address: str) -> None:
    read = read_address(address)
    assert read is not None
    bits = 24 if read.version == 4 else 40 if getattr(read, "sixtofour", None) else 48
    network = ip_network(f"{read}/{bits}", strict=False)
    masked = mask(address)
    assert masked == str(network.network_address)
    assert mask(masked) == masked


@given(addresses)
def test_the_canonical_form_is_the_same_address(address: str) -> None:
    read = canonical(address)
    assert read is not None
    mapped = getattr(ip_address(address), "ipv4_mapped", None)
    assert ip_address(read) == (mapped or ip_address(address))
    assert canonical(read) == read


@given(addresses)
def test_the_canonical_form_is_one_for_every_spelling(address: str) -> None:
    read = read_address(address)
    assert read is not None
    spellings = [address, address.upper(), f" {address}"]
    if read.version == 4:
        spellings.append(f"::ffff:{read}")
    assert {canonical(text) for text in spellings} == {str(read)}


@given(addresses, addresses, st.binary(min_size=16, max_size=32))
def test_a_hash_tells_visitors_apart_and_nothing_more(one: str, other: str, salt: bytes) -> None:
    hashed = keyed_hash(one, salt)
    assert hashed is not None
    assert len(hashed) == 32
    assert (hashed == keyed_hash(other, salt)) == (canonical(one) == canonical(other))
    assert hashed != keyed_hash(one, salt + b"x")
    assert one not in hashed


@pytest.mark.parametrize("mode", Privacy)
def test_no_mode_keeps_a_text_that_is_no_address(mode: Privacy) -> None:
    assert anonymize("no address", mode, b"salt") is None


@pytest.mark.parametrize(
    ("mode", "address", "kept"),
    [
        (Privacy.MASK, "81.2.69.142", "81.2.69.0"),
        (Privacy.MASK, "::ffff:81.2.69.142", "81.2.69.0"),
        (Privacy.MASK, "2001:db8:1:2::3", "2001:db8:1::"),
        (Privacy.FULL, "81.2.69.142", "81.2.69.142"),
        (Privacy.FULL, "2001:DB8:0::3", "2001:db8::3"),
        (Privacy.DROP, "81.2.69.142", None),
        (Privacy.HASH, "81.2.69.142", keyed_hash("::ffff:81.2.69.142", b"salt")),
    ],
)
def test_the_mode_decides_what_is_kept(mode: Privacy, address: str, kept: str | None) -> None:
    assert anonymize(address, mode, b"salt") == kept


def test_a_hash_depends_on_the_address_and_the_salt() -> None:
    hashes = {keyed_hash(address, salt) for address in ("81.2.69.142", "81.2.69.143") for salt in (b"one", b"other")}
    assert len(hashes) == 4


DAY, NEXT_DAY = b"a" * 32, b"b" * 32


def test_a_visitor_of_the_day_is_the_same_for_one_project_address_browser_and_salt() -> None:
    known = visitor_of_day("shop", "81.2.69.142", "Firefox", DAY)
    assert len(known) == VISITOR_BYTES == 16
    assert visitor_of_day("shop", "81.2.69.142", "Firefox", DAY) == known
    others = {
        visitor_of_day("blog", "81.2.69.142", "Firefox", DAY),
        visitor_of_day("shop", "81.2.69.143", "Firefox", DAY),
        visitor_of_day("shop", "81.2.69.142", "Chrome", DAY),
        visitor_of_day("shop", "81.2.69.142", "", DAY),
        visitor_of_day("shop", "81.2.69.142", "Firefox", NEXT_DAY),
    }
    assert len(others - {known}) == 5


def test_a_visitor_can_not_be_made_to_look_like_another() -> None:
    """What a sender chooses is last: it can't move a boundary between the facts."""
    assert visitor_of_day("shop", "1.2.3.4", "a\0b", DAY) != visitor_of_day("shop", "1.2.3.4", "ab", DAY)
    assert visitor_of_day("shop", "1.2.3.4", "\ud800", DAY) != visitor_of_day("shop", "1.2.3.4", "", DAY)

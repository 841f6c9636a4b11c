"""What is kept of a visitor's address: masked, hashed, dropped, or whole."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"({_OCTET}\.{_OCTET}\.{_OCTET})\.{_OCTET}")


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """An address from its text, an IPv4-mapped IPv6 one as IPv4, without a zone; None where it is none."""
    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def mask(text: str) -> str | None:
    """The address without what tells one visitor from another: IPv4 without its last octet
    (``81.2.69.0``), IPv6 without what is beyond /48."""
    plain = _IPV4.fullmatch(text)
    if plain is not None:
        return f"{plain[1]}.0"
    address = read_address(text)
    if address is None:
        return None
    dropped = 8 if isinstance(address, IPv4Address) else 80
    return str(type(address)(int(address) >> dropped << dropped))


def keyed_hash(text: str, salt: bytes) -> str | None:
    """The address under a key that is thrown away: the same visitor is the same for a day, and nobody after."""
    address = read_address(text)
    return None if address is None else hmac.digest(salt, address.packed, sha256).hex()[:32]


def canonical(text: str) -> str | None:
    address = read_address(text)
    return None if address is None else str(address)

"""What is kept of a visitor's address: masked, hashed, dropped, or whole."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"({_OCTET}\.{_OCTET}\.{_OCTET})\.{_OCTET}")
_LETTERS = 100
"""No address is longer, zone included."""
_MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4 as IPv6 writes it."""


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """An address from its text, an IPv4-mapped IPv6 one as IPv4, without a zone; None if it is none."""
    if len(text) > _LETTERS:
        return None
    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def read_hop(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address as proxies write it: perhaps in quotes, in brackets, and with a port. None if it cannot be
    read, as `unknown` or `_hidden`."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].strip()
    port = ""
    if text.startswith("["):
        text, closed, port = text[1:].partition("]")
        if not closed or (port and not port.startswith(":")) or "." in port:
            return None
    elif "." in text:
        host, colon, last = text.rpartition(":")
        if colon and "." not in last:
            text, port = host, colon + last
    if port and not (port[1:].isascii() and port[1:].isdecimal()):
        return None
    return read_address(text)


def read_network(text: str) -> IPv4Network | IPv6Network:
    """A network from its text, an IPv4-mapped IPv6 one as IPv4. Raises ValueError."""
    address, slash, bits = text.strip().partition("/")
    address = address.strip().removeprefix("[").removesuffix("]").partition("%")[0]
    network = ip_network(address + slash + bits.strip(), strict=False)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - _MAPPED.prefixlen))
    return network


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

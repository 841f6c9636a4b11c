"""Reading and anonymizing addresses."""

from __future__ import annotations

import re
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from .project import Privacy

SALT_BYTES = 32
VISITOR_BYTES = 16

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"({_OCTET}\.{_OCTET}\.{_OCTET})\.{_OCTET}")
_LETTERS = 100
"""No address is longer, not even with a zone."""
_MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4-mapped IPv6 addresses."""


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in a text, without its zone, an IPv4-mapped one as IPv4. None if it is not an address."""
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
    """Return an address as proxies write it: it may be in quotes or brackets, and have a port. None if it is not an
    address, such as `unknown` or `_hidden`."""
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
    """Return the network in a text, an IPv4-mapped one as IPv4. Raise ValueError if it is not a network."""
    address, slash, bits = text.strip().partition("/")
    address = address.strip().removeprefix("[").removesuffix("]").partition("%")[0]
    network = ip_network(address + slash + bits.strip(), strict=False)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - _MAPPED.prefixlen))
    return network


def anonymize(address: str, mode: Privacy, salt: bytes) -> str | None:
    """Return the address as it may be stored in this mode. `salt` is the salt of the day; only `hash` reads it."""
    if mode is Privacy.MASK:
        return mask(address)
    if mode is Privacy.HASH:
        return keyed_hash(address, salt)
    return canonical(address) if mode is Privacy.FULL else None


def mask(text: str) -> str | None:
    """Return the address without its last part: IPv4 without the last octet (`81.2.69.0`), IPv6 only the /48, or the
    /40 of an address that holds an IPv4 one (6to4, `2002:5102:4500::`). None if it is not an address."""
    plain = _IPV4.fullmatch(text)
    if plain is not None:
        return f"{plain[1]}.0"
    address = read_address(text)
    if address is None:
        return None
    dropped = 8
    if isinstance(address, IPv6Address):
        dropped = 80 if address.sixtofour is None else 88
    return str(type(address)(int(address) >> dropped << dropped))


def keyed_hash(text: str, salt: bytes) -> str | None:
    """Return a keyed hash of the address, 32 hexadecimal digits. None if it is not an address. The salt is deleted
    after two days, and then nobody can compute the hash again."""
    address = canonical(text)
    return None if address is None else blake2b(address.encode(), key=salt, digest_size=16).hexdigest()


def visitor_of_day(project_id: str, address: str, user_agent: str, salt: bytes) -> bytes:
    """Return 16 bytes that tell the visitors of a project and a day apart. `address` has its canonical spelling.

    `salt` is the salt of the day. When it is deleted, nobody can find out any more whose bytes they were. The next day
    or another project gives the same visitor other bytes.
    """
    facts = f"{project_id}\0{address}\0{user_agent}".encode(errors="surrogatepass")
    return blake2b(facts, key=salt, digest_size=VISITOR_BYTES, person=b"visitor").digest()


def canonical(text: str) -> str | None:
    """Return the address in its shortest form. None if it is not an address."""
    if _IPV4.fullmatch(text) is not None:  # most are, and `ipaddress` takes ten times as long
        return text
    address = read_address(text)
    return None if address is None else str(address)

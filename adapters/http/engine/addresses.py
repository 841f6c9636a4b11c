"""The sender of a request: the client's address behind trusted proxies, and who is an operator.

An address comes in many spellings. It is read once, when a request's headers are there, into a `Client`; everything
behind uses that and never reads the text again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from tornado.httputil import HTTPHeaders

from catchment.core.privacy import read_address, read_hop
from catchment.core.remembering import remember_short

log = logging.getLogger(__name__)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_HOPS = 32
"""So many proxies may stand between a client and this server."""
_PEERS = 1024
_TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 addresses as a translator hands them on (RFC 6052): all of IPv4 is in one /64."""
_SHARE_BITS = 64
"""Bits of the network that an IPv6 subscriber has at least. Any address in it is the same subscriber."""

FORWARDED_FOR = "X-Forwarded-For"
_ALSO_FORWARD = frozenset(
    (
        "Forwarded",
        "X-Real-Ip",
        "Via",
        "X-Forwarded-Host",
        "X-Client-Ip",
        "True-Client-Ip",
        "Cf-Connecting-Ip",
    )
)
"""Headers of proxies that are not read here, but say that somebody forwards. Spelled as Tornado spells them."""


@dataclass(frozen=True, slots=True)
class Client:
    """The sender of a request."""

    address: str | None
    """The client's address in its one canonical spelling, an IPv4-mapped one as IPv4; None if nobody knows it."""
    share: str
    """The address that is charged: IPv4, or an IPv6 network of 64 bits. All clients without a known address behind the
    same proxy are charged as one."""
    vouched: bool = True
    """True if it is the connection's own address, or trusted proxies name it and nobody else forwards. Only then the
    address gives rights."""


class Networks:
    """Some networks, asked whether they hold an address."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def hold(self, address: str | Address | None) -> bool:
        read = read_address(address) if isinstance(address, str) else address
        return read is not None and any(read in network for network in self._networks)


class Clients:
    """Whose request it is. Notices the usual mistake behind a proxy: one that forwards, and is not trusted."""

    def __init__(self, trusted: Networks) -> None:
        self._trusted = trusted
        self._peer = lru_cache(maxsize=_PEERS)(self._read_peer)
        self._hop = remember_short(self._read_hop, entries=_PEERS, letters=64)
        self.untrusted_proxy: str | None = None
        """A private address that forwarded requests without being trusted; None if there was none."""

    def of_connection(self, peer: str | None) -> tuple[str, bool]:
        """Return the share that a connection from `peer` is charged to, and True if that is a trusted proxy."""
        client, trusted, _ = self._peer(peer)
        return client.share, trusted

    def read(self, peer: str | None, headers: HTTPHeaders) -> Client:
        """The client of a request on a connection from `peer`: the peer, or, if that is a trusted proxy, the rightmost
        address of `X-Forwarded-For` that is not one. What an untrusted peer forwards counts for nothing."""
        client, trusted, private = self._peer(peer)
        forwarded = headers.get(FORWARDED_FOR)  # of several headers one list
        if forwarded is None:
            if private and not trusted and self.untrusted_proxy is None and also_forwards(headers):
                self._notice(client.address)
            return client
        if trusted:
            return self._behind(client, forwarded)
        if private:
            self._notice(client.address)
        return replace(client, vouched=False)

    def _behind(self, proxy: Client, forwarded: str) -> Client:
        """The client that trusted proxies name, the nearest of which is `proxy`."""
        rest: str = forwarded
        for _ in range(_HOPS):
            rest, comma, hop = rest.rpartition(",")
            found = self._hop(hop)
            if found is None:  # who it is, the proxy does not know, or does not say
                break
            client, trusted, private = found
            if not trusted:
                if comma and private:
                    self._notice(client.address)
                return replace(client, vouched=False) if comma else client
            if not comma:
                return client
            proxy = client
        return Client(None, f"unknown behind {proxy.share}", vouched=False)

    def _read_peer(self, peer: str | None) -> tuple[Client, bool, bool]:
        address = read_address(peer) if peer is not None else None
        return (Client(None, "unknown", vouched=False), False, False) if address is None else self._of(address)

    def _read_hop(self, hop: str) -> tuple[Client, bool, bool] | None:
        address = read_hop(hop)
        return None if address is None else self._of(address)

    def _of(self, address: Address) -> tuple[Client, bool, bool]:
        """The client with this address; whether it is trusted as a proxy; whether its address is not a public one."""
        return Client(str(address), share_of(address)), self._trusted.hold(address), not address.is_global

    def _notice(self, address: str | None) -> None:
        if self.untrusted_proxy is not None:
            return
        self.untrusted_proxy = address
        log.warning(
            "a private address forwards requests and is not trusted, so that all its visitors look like one: "
            "set CATCHMENT_HTTP__TRUSTED_PROXIES to all your proxies; /readyz names it (untrusted_proxy)"
        )


def also_forwards(headers: HTTPHeaders) -> bool:
    """Return True if somebody forwards this request in a way that is not read here."""
    return not _ALSO_FORWARD.isdisjoint(headers)


def share_of(address: Address) -> str:
    """Return the share that an address is charged to."""
    if isinstance(address, IPv4Address):
        return str(address)
    if address in _TRANSLATED:
        return str(IPv4Address(int(address) & 0xFFFFFFFF))
    return str(IPv6Network((int(address) >> _SHARE_BITS << _SHARE_BITS, _SHARE_BITS)))

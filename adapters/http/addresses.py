"""Whose request it is: the client's address behind trusted proxies, and who is an operator."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from catchment.core.privacy import read_address

Network = IPv4Network | IPv6Network


class Networks:
    """Some networks, asked whether they hold an address."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)
        self._hold = lru_cache(maxsize=256)(self._look)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def hold(self, address: str | None) -> bool:
        return address is not None and self._hold(address)

    def _look(self, text: str) -> bool:
        address = read_address(text)
        return address is not None and any(address in network for network in self._networks)


def client_address(peer: str | None, forwarded_for: Sequence[str], trusted: Networks) -> str | None:
    """The client's address: the connection's, or, where that is a trusted proxy, the rightmost address of
    ``X-Forwarded-For`` that is not one. What an untrusted peer forwards counts for nothing."""
    if not forwarded_for or not trusted.hold(peer):
        return peer
    client = peer
    for hop in reversed(",".join(forwarded_for).split(",")):
        address = _without_port(hop.strip())
        if read_address(address) is None:
            return client
        client = address
        if not trusted.hold(address):
            return client
    return client


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    host, colon, _ = hop.partition(":")
    return host if colon and hop.count(":") == 1 else hop

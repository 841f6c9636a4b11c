"""Whose request it is: the client's address behind trusted proxies, and who is an operator."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from tornado.httputil import HTTPHeaders

from catchment.core.privacy import read_address

log = logging.getLogger(__name__)

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


class Clients:
    """Whose request it is. Notices the usual mistake behind a proxy: one that forwards, and is not trusted."""

    def __init__(self, trusted: Networks) -> None:
        self._trusted = trusted
        self.untrusted_proxy: str | None = None
        """A private peer that forwarded addresses without being trusted; None where there was none."""

    def forwards_untrusted(self, peer: str | None, headers: HTTPHeaders) -> bool:
        """Whether the peer forwards somebody else's request without being trusted: who it is, nobody knows."""
        return "X-Forwarded-For" in headers and not self._trusted.hold(peer)

    def address(self, peer: str | None, headers: HTTPHeaders) -> str | None:
        if "X-Forwarded-For" not in headers:
            return peer
        if self.untrusted_proxy is None and not self._trusted.hold(peer) and _is_private(peer):
            self.untrusted_proxy = peer
            log.warning(
                "a private peer sends X-Forwarded-For and is not trusted, so that all its visitors look like one: "
                "set CATCHMENT_HTTP__TRUSTED_PROXIES; /readyz names it"
            )
        return client_address(peer, headers.get_list("X-Forwarded-For"), self._trusted)


def _is_private(peer: str | None) -> bool:
    address = read_address(peer) if peer is not None else None
    return address is not None and address.is_private


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

"""A server for each test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from .serving import Site


@pytest.fixture
def make_site(io_loop: IOLoop) -> Iterator[Callable[..., Awaitable[Site]]]:
    """Makes servers that differ from `Site`'s defaults, and ends them."""
    sites: list[Site] = []

    async def make(**parts: Any) -> Site:
        site = Site(**parts)
        await site.start()
        sites.append(site)
        return site

    yield make
    for site in sites:
        io_loop.run_sync(site.stop)


@pytest.fixture
def site(io_loop: IOLoop, make_site: Callable[..., Awaitable[Site]]) -> Site:
    """A server with one project."""
    made: Site = io_loop.run_sync(make_site)
    return made

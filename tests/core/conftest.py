from __future__ import annotations

import pytest
from tornado.ioloop import IOLoop

from ..support.house import House, build_house


@pytest.fixture
def house(io_loop: IOLoop) -> House:
    """The use case on the memory adapters, with a project that allows https://example.com."""
    return io_loop.run_sync(build_house)

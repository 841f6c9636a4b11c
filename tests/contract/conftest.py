from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from tornado.ioloop import IOLoop

from ..support.storage import Storage, memory_storage, postgres_storage


@pytest.fixture(params=["memory", "embedded", "system"])
def storage(request: pytest.FixtureRequest, io_loop: IOLoop) -> Iterator[Storage]:
    """The ports of storage on every adapter. After the test, usage must be what is stored."""
    with contextlib.ExitStack() as stack:
        if request.param == "memory":
            opened = memory_storage()
        else:
            server = request.getfixturevalue(f"{request.param}_server")
            opened = postgres_storage(stack.enter_context(server.copy()))
        storage = io_loop.run_sync(opened.__aenter__)
        try:
            yield storage
            assert io_loop.run_sync(storage.meter.audit) == []
        finally:
            io_loop.run_sync(lambda: opened.__aexit__(None, None, None))

"""Browsers, a website, a server, and a visitor for each test.

A test here is a coroutine: it runs in the loop in which the browsers live.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import pytest
from playwright.async_api import Browser

from ..support.database import Database, Server
from ..support.running import Collector, Installation, Serving
from .browsers import find, launched
from .loop import Loop
from .site import SCRIPTS, Website
from .visitor import Visitor

T = TypeVar("T")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Runs a coroutine in the browsers' loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    loop: Loop = pyfuncitem.funcargs["loop"]
    names = pyfuncitem._fixtureinfo.argnames
    loop.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


def during(loop: Loop, context: contextlib.AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Yield what the context manager gives, entered and left in the browsers' loop."""
    value = loop.run(context.__aenter__())
    try:
        yield value
    finally:
        loop.run(context.__aexit__(None, None, None))


@pytest.fixture(scope="package")
def loop() -> Iterator[Loop]:
    with Loop() as loop:
        yield loop


@pytest.fixture(params=["chromium", "firefox"])
def kind(request: pytest.FixtureRequest) -> str:
    """Every browser there is."""
    return str(request.param)


IN_ONE_BROWSER = pytest.mark.parametrize("kind", ["chromium"])
"""For a test of what the tracker reads and decides, by script alone. What browsers do differently is tested in all."""


@pytest.fixture(scope="package")
def browsers(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Browser]]:
    """Starts a browser when the first test asks for it. Each runs until the last test with browsers: an idle one, too,
    takes time from the others."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def start(kind: str) -> Browser:
            program = find(kind)
            if program is None:
                pytest.skip(f"this machine has no {kind}")
            running = contextlib.contextmanager(during)(loop, launched(kind, program, tmp_path_factory.mktemp(kind)))
            return stack.enter_context(running)

        yield start


@pytest.fixture
def browser(kind: str, browsers: Callable[[str], Browser]) -> Browser:
    return browsers(kind)


@pytest.fixture(scope="package")
def site(loop: Loop) -> Iterator[Website]:
    assert (SCRIPTS / "catchment.js").exists(), "the tracker is not built: make assets"
    yield from during(loop, Website())


@pytest.fixture(scope="package")
def browsers_database(embedded_server: Server) -> Iterator[Database]:
    with embedded_server.copy() as database:
        yield database


@pytest.fixture(scope="package")
def installation(browsers_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """One for all tests; each has a project of its own."""
    return Installation(browsers_database.dsn, tmp_path_factory.mktemp("browsers"))


@pytest.fixture(scope="package")
def serving(installation: Installation) -> Iterator[Serving]:
    with installation.serving() as server:
        yield server


@pytest.fixture
def collector(installation: Installation, browsers_database: Database, serving: Serving) -> Collector:
    """The server, and a project of this test's own, which takes events of `localhost`."""
    return Collector(browsers_database, installation, installation.project("http://localhost:*"), serving)


@pytest.fixture
def visitor(kind: str, loop: Loop, browser: Browser, site: Website, collector: Collector) -> Iterator[Visitor]:
    """A visitor with a fresh profile. At the end no page may have met an error that it did not make itself."""

    @contextlib.asynccontextmanager
    async def visiting() -> AsyncIterator[Visitor]:
        site.pages.clear()
        site.gate = lambda body: None
        site.server = lambda: collector.address
        context = await browser.new_context()
        visitor = Visitor(kind, context, site, collector)
        visitor.listen()
        try:
            yield visitor
        finally:
            await context.close()
        assert visitor.page_errors == []

    yield from during(loop, visiting())


@pytest.fixture
def own_serving(installation: Installation, collector: Collector, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Starts servers of this test's own on the same database, with settings: for those that are to be stopped."""
    with contextlib.ExitStack() as stack:

        def start(**settings: Any) -> Serving:
            server = stack.enter_context(installation.serving(**settings))
            collector.server = server
            return server

        yield start

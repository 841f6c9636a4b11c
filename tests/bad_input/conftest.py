"""One server for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..support.database import Server
from .serving import AuditedCollector, collector


@pytest.fixture(scope="package")
def site(embedded_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedCollector]:
    """The real server as a process, on the embedded PostgreSQL, behind a trusted proxy on the loopback."""
    with embedded_server.copy() as database:
        with collector(database, tmp_path_factory.mktemp("bad-input")) as site:
            yield site
            site.check_books()
        site.check_log()  # what it wrote while it ended, too

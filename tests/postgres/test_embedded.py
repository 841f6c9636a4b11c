"""The embedded PostgreSQL."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from catchment.adapters.postgres.embedded import start_embedded
from catchment.core.errors import Invalid

from ..support.database import Server


def test_it_is_reached_by_its_socket_alone(embedded_server: Server) -> None:
    database = embedded_server.database("postgres")
    assert database.one("SHOW listen_addresses") == ""
    assert database.one("SHOW unix_socket_directories") == embedded_server.socket_folder


def test_it_keeps_what_it_promises(embedded_server: Server) -> None:
    database = embedded_server.database("postgres")
    assert [database.one(f"SHOW {name}") for name in ("fsync", "full_page_writes", "synchronous_commit")] == ["on"] * 3
    assert database.one("SHOW server_encoding") == "UTF8"


def test_nobody_else_may_look_into_its_folder(embedded_server: Server) -> None:
    mode = Path(embedded_server.socket_folder).stat().st_mode
    assert stat.S_IMODE(mode) == 0o700


def test_who_comes_later_joins_it(embedded_server: Server) -> None:
    address = start_embedded(Path(embedded_server.socket_folder))
    assert parse_dsn(address)["host"] == embedded_server.socket_folder
    psycopg2.connect(address).close()


def test_a_folder_with_other_files_is_refused_before_it_is_touched(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("somebody's")
    tmp_path.chmod(0o750)
    before = tmp_path.stat()
    with pytest.raises(Invalid, match="holds other files"):
        start_embedded(tmp_path)
    after = tmp_path.stat()
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)
    assert [file.name for file in tmp_path.iterdir()] == ["precious"]


def test_a_folder_that_can_not_be_one_is_said() -> None:
    with tempfile.NamedTemporaryFile() as file, pytest.raises(Invalid):
        start_embedded(Path(file.name))

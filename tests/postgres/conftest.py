from __future__ import annotations

import pytest

from catchment import sql


@pytest.fixture(autouse=True)
def queries_for_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named queries that only tests need."""
    for name, text in {
        "sleep": "SELECT pg_sleep(%(seconds)s)",
        "divide": "SELECT 1 / %(by)s",
        "echo": "SELECT %(text)s::text",
        "echo_late": "SELECT %(text)s::text FROM pg_sleep(%(seconds)s)",
        "to_number": "SELECT %(text)s::integer",
        "setting": "SELECT current_setting(%(name)s)",
        "note": "INSERT INTO catchment.account (id, name) VALUES (%(id)s, %(name)s)",
    }.items():
        monkeypatch.setitem(sql.queries(), name, text)

"""A command line for each test."""

from __future__ import annotations

import pytest

from .acting import Commands


@pytest.fixture
def commands() -> Commands:
    return Commands()

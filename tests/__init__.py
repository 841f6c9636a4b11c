"""Tests, in folders that mirror the packages."""

import pytest

# These modules assert for the tests: an assertion that fails says what it compared, as in a test. Before their import.
pytest.register_assert_rewrite(
    *(f"{__name__}.{part}" for part in ("support", "http", "bad_input", "browser", "cli", "e2e"))
)

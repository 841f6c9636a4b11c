"""The language that a browser asks for."""

from __future__ import annotations

import pytest

from catchment.core.languages import preferred_language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de-CH", "de-CH"),
        ("de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "de-DE"),
        ("en;q=0.5, fr;q=0.8 , de;q=0.8", "fr"),  # of two that are liked as much, the first
        ("zh-Hant-TW", "zh-Hant-TW"),
        ("en;q=0, *", None),
        ("*", None),
        ("", None),
        ("de_DE, en", "en"),
        ("de;q=2, en;q=0.1", "en"),
        (" de ; q=1.000 ", "de"),
        ("en;level=1;q=0.4", None),
        ("\x00\x1b[2J", None),
        ("x" * 70_000, None),
        ("de," * 70_000, "de"),
        ("en;q=0.1," + "a" * 190 + ",fr", "en"),
    ],
)
def test_the_language_that_is_liked_most_is_read(header: str, language: str | None) -> None:
    assert preferred_language(header) == language


def test_a_language_that_is_cut_is_not_read() -> None:
    assert preferred_language("en;q=0.1," * 22 + "de-Latn-CH-1996") == "en"

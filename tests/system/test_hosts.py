"""International host names into ASCII."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment.adapters.system.hosts import ascii_origin
from catchment.core.errors import Invalid
from catchment.core.origins import OriginRule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("https://müller.example", "https://xn--mller-kva.example"),
        ("https://MÜLLER.example", "https://xn--mller-kva.example"),
        ("https://mu\u0308ller.example", "https://xn--mller-kva.example"),
        ("https://*.müller.example:8443", "https://*.xn--mller-kva.example:8443"),
        ("http://müller.example:*", "http://xn--mller-kva.example:*"),
        ("HTTPS://straße.example/", "https://xn--strae-oqa.example"),
        ("https://例え.テスト", "https://xn--r8jz45g.xn--zckzah"),
        ("https://例え。テスト", "https://xn--r8jz45g.xn--zckzah"),
        ("https://\uff47\uff4f\uff4f\uff44.com", "https://good.com"),
        ("https://good.com", "https://good.com"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        (" https://müller.example ", "https://xn--mller-kva.example"),
    ],
)
def test_a_host_is_written_as_browsers_send_it(text: str, rule: str) -> None:
    assert str(OriginRule.parse(ascii_origin(text))) == rule


def test_a_look_alike_is_another_host() -> None:
    assert OriginRule.parse(ascii_origin("https://g\u043eod.com")) != OriginRule.parse("https://good.com")


@pytest.mark.parametrize(
    "text",
    [
        "https://good.com\uff20evil.com",
        "https://good.com\uff0fevil",
        "https://exa\u2100mple.com",
        "https://\u2488com",
        "https://ü..example",
        "https://-ü.example",
        f"https://{'ü' * 64}.example",
        "https://ü\u200b\u202e.example",
        "https://\ud800.example",
        "https://ü\x00.example",
        "https://ü@good.com",
        "https://ü%2e.example",
        "https://xn--ü.example",
    ],
    ids=ascii,
)
def test_a_host_that_is_none_is_said(text: str) -> None:
    with pytest.raises(Invalid, match=r"^origin "):
        OriginRule.parse(ascii_origin(text))


@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_every_host_becomes_ascii_or_is_said_to_be_none(host: str) -> None:
    try:
        rule = OriginRule.parse(ascii_origin(f"https://{host}"))
    except Invalid:
        return
    assert str(rule).isascii()
    assert OriginRule.parse(ascii_origin(str(rule))) == rule

"""The shipped plugin `campaigns`."""

from __future__ import annotations

import pytest

from catchment.plugins.campaigns import Campaigns
from catchment.plugins.hooks import Campaign
from catchment.plugins.testkit import check_plugin, run_hook, sample_event

PAGE = "https://yourdomain.com/page"


def campaign(url: str | None) -> Campaign | None:
    run = run_hook(Campaigns(), "catchment_enrich", sample_event(url=url))
    assert run.warnings == ()
    return run.result[0].campaign if run.result else None


def test_it_is_a_plugin() -> None:
    assert check_plugin(Campaigns()) == ("catchment_enrich",)


def test_all_five_tags() -> None:
    url = (
        f"{PAGE}?utm_source=news&utm_medium=email&utm_campaign=spring&utm_term=shoes&utm_content=top&x=1#utm_source=no"
    )
    assert campaign(url) == Campaign(source="news", medium="email", campaign="spring", term="shoes", content="top")


@pytest.mark.parametrize(
    "url",
    [
        None,
        PAGE,
        f"{PAGE}?",
        f"{PAGE}?a=1&gclid=2",
        f"{PAGE}?utm_source=",
        f"{PAGE}?utm_source=+%20",
        f"{PAGE}?utm_other=x",
        f"{PAGE}#/page",
        "https://yourdomain.com/utm_source=x",
    ],
)
def test_nothing_where_there_is_nothing(url: str | None) -> None:
    assert campaign(url) is None


@pytest.mark.parametrize(
    ("query", "source"),
    [
        ("utm_source=caf%C3%A9+au%20lait", "café au lait"),
        ("utm_source=a&utm_source=b", "a"),
        ("UTM_SOURCE=Mail", "Mail"),
        ("x=1&amp;Utm_Source=Mail", "Mail"),
        ("#utm_source=Mail", "Mail"),
        ("a=1#/page?utm_source=Mail", "Mail"),
        ("utm_source=&utm_source=b", "b"),
        ("utm_source=%ff", "\ufffd"),
        ("utm_source=a%00b", "a\ufffdb"),
        ("utm_source=%ED%A0%80", "\ufffd\ufffd\ufffd"),
        ("utm_source=<img src=x onerror=1>", "<img src=x onerror=1>"),
        (f"utm_source={'x' * 500}", "x" * 200),
        ("a;b&utm_source=a;b", "a;b"),
    ],
)
def test_a_value_is_decoded_cut_and_storable(query: str, source: str) -> None:
    assert campaign(f"{PAGE}?{query}") == Campaign(source=source)


def test_a_query_of_too_many_fields_is_not_read() -> None:
    assert campaign(f"{PAGE}?utm_source=a{'&' * 1_001}") is None

"""The header fields RateLimit-Policy and RateLimit."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment.core.metering.ladder import QuotaUse, State
from catchment.core.metering.patterns import NamePattern
from catchment.core.metering.quota import Quota
from catchment.core.metering.rate_limit import (
    LARGEST_INTEGER,
    policy_name,
    rate_limit_fields,
    seconds_left,
    shown,
    window_seconds,
)
from catchment.core.project import MOST_EVENTS, KeyKind, Scope, Window

from ..support.name_patterns import patterns

NOW = datetime(2026, 11, 30, 23, 59, 50, tzinfo=UTC)
MONTH = Quota(id="a1", scope=Scope.PROJECT, scope_id="p", window=Window.MONTH, hard=100_000)
DAY = replace(MONTH, id="b2", scope=Scope.ACCOUNT, window=Window.DAY, hard=5_000)
GRACE = replace(MONTH, id="c3", soft=50, hard=60, grace=3)

_ITEM = re.compile(r'"(?:[ !#-\[\]-~]|\\["\\])*"(;[a-z*][a-z0-9_.*-]*=\d{1,15})+')
"""A list of one string with integer parameters, by the grammar of RFC 9651."""


def test_the_fields_of_a_quota() -> None:
    fields = rate_limit_fields([QuotaUse(quota=MONTH, used=99_988)], NOW)
    assert fields is not None
    assert fields.policy == '"project-month";q=100000;w=2592000'
    assert fields.limit == '"project-month";r=12;t=10'


def test_nothing_is_left_when_hard_holds() -> None:
    fields = rate_limit_fields([QuotaUse(quota=DAY, used=5_003)], datetime(2026, 11, 30, tzinfo=UTC))
    assert fields == ('"account-day";q=5000;w=86400', '"account-day";r=0;t=86400')


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ([], None),
        ([QuotaUse(quota=replace(MONTH, soft=10, hard=None), used=5)], None),
        ([QuotaUse(quota=MONTH, used=10), QuotaUse(quota=DAY, used=10)], "b2"),
        ([QuotaUse(quota=MONTH, used=99_990), QuotaUse(quota=DAY, used=10)], "a1"),
        # Both are used up: the client has to wait for the one that ends last.
        ([QuotaUse(quota=replace(DAY, id="a0"), used=5_000), QuotaUse(quota=MONTH, used=100_000)], "a1"),
        ([QuotaUse(quota=replace(MONTH, id="z"), used=1), QuotaUse(quota=MONTH, used=1)], "a1"),
    ],
)
def test_the_quota_with_the_least_left_is_shown(uses: list[QuotaUse], expected: str | None) -> None:
    for order in (uses, uses[::-1]):
        use = shown(order, datetime(2026, 11, 10, tzinfo=UTC))
        assert (use.quota.id if use else None) == expected


def test_a_quota_in_grace_is_not_shown() -> None:
    in_grace = QuotaUse(quota=GRACE, used=70, soft_crossed=NOW - timedelta(days=1))
    assert in_grace.state(NOW) is State.GRACE
    assert rate_limit_fields([in_grace], NOW) is None
    assert shown([in_grace, QuotaUse(quota=MONTH, used=0)], NOW) == QuotaUse(quota=MONTH, used=0)
    over = replace(in_grace, soft_crossed=NOW - timedelta(days=3))
    assert shown([over], NOW) == over


@pytest.mark.parametrize(
    ("quota", "name"),
    [
        (MONTH, "project-month"),
        (replace(DAY, keys=KeyKind.BROWSER), "account-day-browser"),
        (replace(MONTH, events=NamePattern.parse("Click*")), "project-month Click*"),
        (replace(MONTH, keys=KeyKind.SERVER, events=NamePattern.parse("a b")), "project-month-server a b"),
        (replace(MONTH, events=NamePattern.parse("Käufe*")), "project-month a1"),
        (replace(MONTH, events=NamePattern.parse("a\r\nSet-Cookie: b")), "project-month a1"),
        (replace(MONTH, events=NamePattern.parse("a" * 65)), "project-month a1"),
    ],
)
def test_the_name_of_a_policy(quota: Quota, name: str) -> None:
    assert policy_name(quota) == name


def test_a_name_is_escaped_as_a_structured_string() -> None:
    quota = replace(MONTH, events=NamePattern.parse(r'say "\*"'))
    fields = rate_limit_fields([QuotaUse(quota=quota, used=0)], NOW)
    assert fields is not None
    assert fields.limit == r'"project-month say \"\\*\"";r=100000;t=10'


@pytest.mark.parametrize(
    ("day", "seconds"),
    [
        ("2026-02-10", 28 * 86_400),
        ("2028-02-10", 29 * 86_400),
        ("2026-11-01", 30 * 86_400),
        ("2026-12-31", 31 * 86_400),
    ],
)
def test_a_month_is_as_long_as_it_is(day: str, seconds: int) -> None:
    assert window_seconds(Window.MONTH, datetime.fromisoformat(f"{day}T12:00Z")) == seconds


@pytest.mark.parametrize(
    ("now", "seconds"),
    [("23:59:59.999999", 1), ("23:59:59", 1), ("23:59:58.9", 2), ("00:00", 86_400)],
)
def test_the_seconds_left_are_rounded_up(now: str, seconds: int) -> None:
    assert seconds_left(Window.DAY, datetime.fromisoformat(f"2026-11-10T{now}Z")) == seconds


def test_a_number_beyond_a_structured_integer_is_shown_as_the_largest() -> None:
    fields = rate_limit_fields([QuotaUse(quota=replace(MONTH, hard=MOST_EVENTS), used=0)], NOW)
    assert fields is not None
    assert f";q={LARGEST_INTEGER};" in fields.policy
    assert f";r={LARGEST_INTEGER};" in fields.limit


@given(
    patterns | st.text(st.characters(codec="utf-8", exclude_characters="\\*\x00"), min_size=1, max_size=80),
    st.integers(0, MOST_EVENTS),
    st.integers(0, MOST_EVENTS),
    st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(Window),
)
def test_every_quota_is_shown_in_valid_fields(
    pattern: str, hard: int, used: int, now: datetime, window: Window
) -> None:
    quota = replace(MONTH, window=window, hard=hard, events=NamePattern.parse(pattern))
    fields = rate_limit_fields([QuotaUse(quota=quota, used=used)], now)
    assert fields is not None
    assert _ITEM.fullmatch(fields.policy)
    assert _ITEM.fullmatch(fields.limit)
    assert 1 <= seconds_left(window, now) <= window_seconds(window, now)

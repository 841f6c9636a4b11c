"""The value of a quota, its states, what is announced of them, and the forecast."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catchment.core.metering.ladder import (
    QuotaUse,
    State,
    entered,
    forecast,
    room,
    soft_crossed_at,
    state_of,
    warning_at,
)
from catchment.core.metering.patterns import NamePattern
from catchment.core.metering.quota import BadQuota, Quota, QuotaRule
from catchment.core.project import MOST_EVENTS, KeyKind, Scope, Window

NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SOFT = QuotaRule(window=Window.MONTH, soft=100)
HARD = QuotaRule(window=Window.MONTH, hard=100)
BOTH = QuotaRule(window=Window.MONTH, soft=100, hard=200)
GRACE = QuotaRule(window=Window.MONTH, soft=100, hard=200, grace=3)


@st.composite
def rules(draw: st.DrawFn) -> QuotaRule:
    soft = draw(st.none() | st.integers(1, 60))
    hard = draw(st.integers(soft or 0, 80) if soft is None else st.none() | st.integers(soft, 80))
    grace = draw(st.integers(0, 5)) if soft is not None and hard is not None else 0
    window = Window.MONTH if grace else draw(st.sampled_from(Window))
    return QuotaRule(window=window, soft=soft, hard=hard, grace=grace)


steps = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 72)), max_size=12)
"""Events that arrive, and hours that pass before them."""


# The value


@pytest.mark.parametrize(
    ("given_", "field", "words"),
    [
        ({}, "hard", "missing, and so is soft"),
        ({"soft": 0}, "soft", "0 events: 1 to"),
        ({"soft": MOST_EVENTS + 1}, "soft", f"1 to {MOST_EVENTS:,}"),
        ({"hard": -1}, "hard", "-1 events: 0 to"),
        ({"soft": 11, "hard": 10}, "soft", "above hard (10)"),
        ({"soft": 1, "hard": 10, "grace": 28}, "grace", "28 days: 0 to 27"),
        ({"soft": 1, "hard": 10, "grace": -1}, "grace", "-1 days"),
        ({"hard": 10, "grace": 1}, "grace", "give both"),
        ({"soft": 10, "grace": 1}, "grace", "give both"),
        ({"soft": 1, "hard": 10, "grace": 1, "window": Window.DAY}, "grace", "use the window month"),
    ],
)
def test_a_quota_that_contradicts_itself_is_refused(given_: dict[str, int], field: str, words: str) -> None:
    with pytest.raises(BadQuota) as caught:
        QuotaRule(**{"window": Window.MONTH, **given_})  # type: ignore[arg-type]
    assert words in caught.value.mistakes[field]
    assert f"{field}: " in str(caught.value)


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(BadQuota) as caught:
        QuotaRule(window=Window.MONTH, soft=0, hard=-1, grace=99)
    assert set(caught.value.mistakes) == {"soft", "hard", "grace"}


def test_a_quota_counts_by_kind_of_key_and_by_name() -> None:
    rule = replace(HARD, keys=KeyKind.BROWSER, events=NamePattern.parse("Click*"))
    assert rule.counts(KeyKind.BROWSER, "ClickBuy")
    assert not rule.counts(KeyKind.SERVER, "ClickBuy")
    assert not rule.counts(KeyKind.BROWSER, "Buy")
    assert HARD.counts(KeyKind.SERVER, "Buy")


def test_a_quota_is_its_rule_with_an_owner() -> None:
    quota = Quota.of(GRACE, id="7", scope=Scope.ACCOUNT, scope_id="1", plan="pro")
    assert (quota.identity, quota.soft, quota.hard, quota.grace) == (GRACE.identity, 100, 200, 3)
    assert state_of(quota, 150, NOON, NOON) is State.SOFT


def test_limits_do_not_belong_to_the_identity() -> None:
    assert HARD.identity == BOTH.identity
    assert HARD.identity != replace(HARD, window=Window.DAY).identity
    assert HARD.identity != replace(HARD, keys=KeyKind.SERVER).identity
    assert HARD.identity != replace(HARD, events=NamePattern.parse("a*")).identity


# States


@pytest.mark.parametrize(
    ("rule", "used", "state"),
    [
        (SOFT, 79, State.OK),
        (SOFT, 80, State.WARNING),
        (SOFT, 99, State.WARNING),
        (SOFT, 100, State.SOFT),
        (SOFT, MOST_EVENTS, State.SOFT),
        (HARD, 79, State.OK),
        (HARD, 80, State.WARNING),
        (HARD, 99, State.WARNING),
        (HARD, 100, State.HARD),
        (HARD, 101, State.HARD),
        (BOTH, 79, State.OK),
        (BOTH, 80, State.WARNING),
        (BOTH, 100, State.SOFT),
        (BOTH, 199, State.SOFT),
        (BOTH, 200, State.HARD),
        (replace(HARD, hard=0), 0, State.HARD),
        (replace(HARD, hard=1), 0, State.OK),
        (replace(HARD, hard=1), 1, State.HARD),
    ],
)
def test_a_state_begins_with_the_event_that_reaches_it(rule: QuotaRule, used: int, state: State) -> None:
    assert state_of(rule, used, NOON, NOON) is state


@pytest.mark.parametrize(
    ("used", "since", "state"),
    [
        (199, 0 * DAY, State.SOFT),
        (200, 0 * DAY, State.GRACE),
        (900, 3 * DAY - timedelta(microseconds=1), State.GRACE),
        (900, 3 * DAY, State.HARD),
        (199, 3 * DAY, State.SOFT),
    ],
)
def test_hard_holds_when_grace_is_over(used: int, since: timedelta, state: State) -> None:
    assert state_of(GRACE, used, NOON, NOON + since) is state


def test_grace_begins_with_the_batch_that_skips_soft() -> None:
    assert state_of(GRACE, 500, None, NOON) is State.GRACE


@pytest.mark.parametrize(("limit", "at"), [(1, 1), (4, 4), (5, 4), (6, 5), (10, 8), (100, 80), (101, 81)])
def test_the_warning_is_rounded_up(limit: int, at: int) -> None:
    assert warning_at(replace(SOFT, soft=limit)) == warning_at(replace(HARD, hard=limit)) == at


@given(st.integers(1, MOST_EVENTS))
def test_the_warning_is_at_80_percent_exactly(limit: int) -> None:
    at = warning_at(replace(HARD, hard=limit))
    assert 10 * at >= 8 * limit > 10 * (at - 1)


@given(rules(), st.integers(0, 100), st.integers(0, 100), st.integers(0, 200), st.integers(0, 200))
def test_more_usage_and_more_time_never_lower_the_state(
    rule: QuotaRule, used: int, more: int, hours: int, later: int
) -> None:
    first, second = NOON + timedelta(hours=hours), NOON + timedelta(hours=hours + later)
    assert state_of(rule, used, NOON, first).rank <= state_of(rule, used + more, NOON, second).rank


@pytest.mark.parametrize(
    ("rule", "used", "since", "fits"),
    [
        (SOFT, 500, 0 * DAY, None),
        (HARD, 30, 0 * DAY, 70),
        (HARD, 130, 0 * DAY, 0),
        (GRACE, 50, 0 * DAY, None),  # the event that crosses soft begins the grace
        (GRACE, 150, 2 * DAY, None),
        (GRACE, 150, 3 * DAY, 50),
        (GRACE, 250, 3 * DAY, 0),
    ],
)
def test_what_fits(rule: QuotaRule, used: int, since: timedelta, fits: int | None) -> None:
    assert room(rule, used, soft_crossed_at(rule, used, NOON, NOON), NOON + since) == fits


@given(rules(), st.integers(0, 100), st.integers(0, 200))
def test_nothing_fits_only_if_hard_holds(rule: QuotaRule, used: int, hours: int) -> None:
    now = NOON + timedelta(hours=hours)
    assert (room(rule, used, NOON, now) == 0) is (state_of(rule, used, NOON, now) is State.HARD)


@given(rules(), steps)
@example(replace(GRACE, soft=5, hard=5), [(10, 0)])
def test_a_batch_is_admitted_like_its_events_one_by_one(rule: QuotaRule, arrivals: list[tuple[int, int]]) -> None:
    used, crossed, now = 0, None, NOON
    for events, hours in arrivals:
        now += timedelta(hours=hours)
        fits = room(rule, used, crossed, now)
        batch = events if fits is None else min(events, fits)
        singly, crossed_singly = used, crossed
        for _ in range(events):
            if room(rule, singly, crossed_singly, now) != 0:
                singly += 1
                crossed_singly = soft_crossed_at(rule, singly, crossed_singly, now)
        used += batch
        crossed = soft_crossed_at(rule, used, crossed, now)
        assert (used, crossed) == (singly, crossed_singly)
        if rule.hard is not None and not rule.grace:
            assert used <= rule.hard


def test_the_time_of_the_crossing_stays_until_soft_is_raised_above_usage() -> None:
    assert soft_crossed_at(GRACE, 99, None, NOON) is None
    assert soft_crossed_at(GRACE, 100, None, NOON) == NOON
    assert soft_crossed_at(GRACE, 150, NOON, NOON + DAY) == NOON
    assert soft_crossed_at(replace(GRACE, soft=160), 150, NOON, NOON + DAY) is None
    assert soft_crossed_at(HARD, 150, NOON, NOON + DAY) is None


def test_what_is_left_is_never_negative() -> None:
    quota = Quota.of(HARD, id="7", scope=Scope.PROJECT, scope_id="1")
    assert QuotaUse(quota=quota, used=130).left == 0
    assert QuotaUse(quota=quota, used=30).left == 70
    assert QuotaUse(quota=quota, used=100).state(NOON) is State.HARD
    assert QuotaUse(quota=Quota.of(SOFT, id="7", scope=Scope.PROJECT, scope_id="1"), used=130).left is None


# Announcements


@pytest.mark.parametrize(
    ("rule", "announced", "state", "states"),
    [
        (BOTH, State.OK, State.OK, []),
        (BOTH, State.OK, State.WARNING, [State.WARNING]),
        (BOTH, State.WARNING, State.WARNING, []),
        (BOTH, State.OK, State.HARD, [State.WARNING, State.SOFT, State.HARD]),
        (HARD, State.OK, State.HARD, [State.WARNING, State.HARD]),
        (SOFT, State.OK, State.SOFT, [State.WARNING, State.SOFT]),
        (GRACE, State.OK, State.GRACE, [State.WARNING, State.SOFT, State.GRACE]),
        (GRACE, State.GRACE, State.HARD, [State.HARD]),
        # The limits were raised: what was announced is not announced again.
        (BOTH, State.HARD, State.WARNING, []),
        (BOTH, State.SOFT, State.HARD, [State.HARD]),
    ],
)
def test_states_are_announced_in_order_and_skipped_ones_too(
    rule: QuotaRule, announced: State, state: State, states: list[State]
) -> None:
    assert entered(rule, announced, state) == tuple(states)


def test_a_grace_that_was_over_before_hard_was_reached_is_not_announced() -> None:
    state = state_of(GRACE, 200, NOON, NOON + 4 * DAY)
    assert entered(GRACE, State.SOFT, state) == (State.HARD,)


@given(st.lists(st.tuples(rules(), st.integers(0, 30), st.integers(0, 72)), min_size=1, max_size=12))
def test_each_state_is_announced_once_and_in_order_whatever_is_changed(
    arrivals: list[tuple[QuotaRule, int, int]],
) -> None:
    used, crossed, now, announced = 0, None, NOON, [State.OK]
    for rule, events, hours in arrivals:
        now += timedelta(hours=hours)
        used += events
        crossed = soft_crossed_at(rule, used, crossed, now)
        state = state_of(rule, used, crossed, now)
        announced += entered(rule, announced[-1], state)
        assert announced[-1].rank >= state.rank
    ranks = [state.rank for state in announced]
    assert ranks == sorted(set(ranks))


@given(rules(), steps)
def test_the_last_announced_state_is_the_present_one(rule: QuotaRule, arrivals: list[tuple[int, int]]) -> None:
    used, crossed, now, last = 0, None, NOON, State.OK
    for events, hours in arrivals:
        now += timedelta(hours=hours)
        used += events
        crossed = soft_crossed_at(rule, used, crossed, now)
        state = state_of(rule, used, crossed, now)
        last = (last, *entered(rule, last, state))[-1]
        assert last is state


# The forecast


@pytest.mark.parametrize(
    ("used", "last_7_days", "day"),
    [
        (0, 70, date(2026, 11, 20)),  # 10 a day: 10 days
        (99, 70, date(2026, 11, 10)),  # 0.1 days
        (94, 70, date(2026, 11, 11)),  # 0.6 days, after midnight
        (95, 70, date(2026, 11, 11)),  # 12 hours: midnight belongs to the next day
        (100, 70, None),  # it is reached
        (120, 70, None),
        (0, 0, None),
        (0, 34, None),  # 20.6 days; 20.5 are left
        (0, 35, date(2026, 11, 30)),  # 20 days
        (0, MOST_EVENTS, date(2026, 11, 10)),
    ],
)
def test_the_forecast_is_a_day_in_this_window_or_none(used: int, last_7_days: int, day: date | None) -> None:
    assert forecast(HARD, used, last_7_days, NOON) == day


def test_the_forecast_of_a_day_is_today_or_none() -> None:
    rule = replace(HARD, window=Window.DAY)
    assert forecast(rule, 0, 1401, NOON) == NOON.date()
    assert forecast(rule, 0, 1400, NOON) is None  # reached at midnight, when the next window begins


def test_without_a_hard_limit_there_is_no_forecast() -> None:
    assert forecast(SOFT, 0, 1_000_000, NOON) is None


def test_the_forecast_is_in_utc() -> None:
    late = datetime(2026, 11, 10, 23, tzinfo=timezone(timedelta(hours=-5)))  # the 11th in UTC
    assert forecast(HARD, 99, 700, late) == date(2026, 11, 11)


def test_the_largest_quota_does_not_overflow() -> None:
    assert forecast(replace(HARD, hard=MOST_EVENTS), 0, 1, NOON) is None


@given(st.integers(0, 99), st.integers(1, 1000), st.integers(0, 719))
def test_the_forecast_agrees_with_the_rate(used: int, last_7_days: int, hour: int) -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=hour)
    day = forecast(HARD, used, last_7_days, now)
    end_of = (
        datetime(2026, 12, 1, tzinfo=UTC) if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC) + DAY
    )
    by_then = (end_of - now) / timedelta(days=7) * last_7_days
    assert (used + by_then >= 100 - 1e-6) if day is not None else (used + by_then <= 100 + 1e-6)
    if day is not None and day > now.date():
        before = (end_of - DAY - now) / timedelta(days=7) * last_7_days
        assert used + before <= 100 + 1e-6

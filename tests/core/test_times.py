"""Times and periods."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment.core.times import next_period, period_of, period_text, read_period, read_time

zones = st.timezones() | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
days = st.dates(date(1, 1, 1), date(9998, 12, 31))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-02T14:19:12.000Z", datetime(2026, 11, 2, 14, 19, 12, tzinfo=UTC)),
        ("2026-11-02t14:19:12z", datetime(2026, 11, 2, 14, 19, 12, tzinfo=UTC)),
        ("2026-11-02 14:19:12", datetime(2026, 11, 2, 14, 19, 12, tzinfo=UTC)),
        ("2026-11-02T14:19", datetime(2026, 11, 2, 14, 19, tzinfo=UTC)),
        ("2026-11-02T14:19:12+01:00", datetime(2026, 11, 2, 13, 19, 12, tzinfo=UTC)),
        ("2026-11-02T14:19:12-0530", datetime(2026, 11, 2, 19, 49, 12, tzinfo=UTC)),
        ("2026-11-02 14:19:12.5+00", datetime(2026, 11, 2, 14, 19, 12, 500_000, tzinfo=UTC)),  # as PostgreSQL writes it
        ("2026-11-02T14:19:12.123456789Z", datetime(2026, 11, 2, 14, 19, 12, 123456, tzinfo=UTC)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_utc(text: str, moment: datetime) -> None:
    assert read_time(text) == moment


@pytest.mark.parametrize(
    "text",
    ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2023-02-29T00:00:00Z", "2026-11-02T14:60Z",
     "2026-11-02T14:19:12.Z", "2026-11-02T14:19:12,5Z", "2026-W45-1T14:19", "2026-306T14:19", "+02026-11-02T14:19",
     "2026-11-02T14:19:12 Z", "2026-11-02T14:19:12+1", b"2026-11-02T14:19", None, 0],
)  # fmt: skip
def test_what_is_no_time_is_none(text: object) -> None:
    assert read_time(text) is None


@given(st.text(max_size=45) | st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?", fullmatch=True))
def test_reading_a_time_never_fails(text: str) -> None:
    moment = read_time(text)
    assert moment is None or moment.utcoffset() == timedelta()


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)), zones)
def test_a_moment_is_the_same_in_every_zone(moment: datetime, zone: timezone) -> None:
    local = moment.astimezone(zone)
    seconds = (local.utcoffset() or timedelta()).total_seconds()
    if seconds % 60 == 0:  # zones of the nineteenth century have seconds, which ISO 8601 does not write
        assert read_time(local.isoformat()) == moment


@pytest.mark.parametrize(
    ("moment", "period"),
    [
        ("2026-10-31T23:59:59.999999Z", "2026-10"),
        ("2026-11-01T00:00:00Z", "2026-11"),
        ("2026-11-01T00:30:00+01:00", "2026-10"),
        ("2026-10-31T23:30:00-01:00", "2026-11"),
        ("2026-12-31T23:59:59Z", "2026-12"),
    ],
)
def test_a_period_is_a_month_in_utc(moment: str, period: str) -> None:
    assert period_text(period_of(datetime.fromisoformat(moment))) == period


@given(days)
def test_the_next_period_begins_when_a_period_ends(day: date) -> None:
    period = day.replace(day=1)
    following = next_period(day)
    assert following.day == 1
    assert (following - timedelta(days=1)).replace(day=1) == period


@given(st.dates(date(1970, 1, 1), date(9998, 12, 31)).map(lambda day: day.replace(day=1)))
def test_a_period_survives_being_written(period: date) -> None:
    assert read_period(period_text(period)) == period


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "2026-00", "2026-1", "2026-11-01", "26-11", "2026-11\n", "x"])
def test_what_is_no_period_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_period(text)

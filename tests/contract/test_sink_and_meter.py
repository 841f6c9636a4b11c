"""`EventSink` and `UsageMeter`, as a pair: what is stored, what is counted, and that they agree.

After each of these tests the fixture asks the meter for an audit, and it must find nothing.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from catchment.core.errors import Invalid, Unavailable
from catchment.core.event import Campaign, Place, UserAgent
from catchment.core.metering.quota import OverQuota, Quota
from catchment.core.outcomes import StoreOutcome
from catchment.core.project import KeyKind, Window

from ..support.events import NOON, account_quota, an_event, events, kind_quota, project_quota
from ..support.storage import Storage

pytestmark = pytest.mark.gen_test

STORED, DUPLICATE, FULL = StoreOutcome.STORED, StoreOutcome.DUPLICATE, "quota_exceeded"


async def test_events_are_stored_and_counted(storage: Storage) -> None:
    assert await storage.store(*events(storage.project, 3)) == [STORED] * 3
    (usage,) = await storage.meter.usage()
    assert (usage.account_id, usage.account) == (storage.project.account_id, "acme")
    assert (usage.project_id, usage.project) == (storage.project.id, "shop")
    assert (usage.period, usage.events, usage.closed) == (date(2026, 11, 1), 3, False)


async def test_an_empty_request_is_answered(storage: Storage) -> None:
    assert await storage.store() == []
    assert await storage.store(quotas=(project_quota(storage.project, 1),)) == []
    assert await storage.store(an_event(storage.project, "one")) == [STORED]


async def test_nothing_is_used_where_nothing_was_stored(storage: Storage) -> None:
    assert await storage.meter.usage() == []
    assert await storage.used(project_quota(storage.project, 7)) == 0


async def test_an_event_with_everything_is_stored(storage: Storage) -> None:
    event = an_event(
        storage.project,
        "one",
        category="CTA",
        label="",
        value=-1.5e300,
        data={"a": [1, None, {"b": True}], "": "\U0001f600 \u202e <img onerror> \r\n"},
        user_id="ada",
        page_title="=cmd|",
        referrer="https://search.example/",
        referrer_host="search.example",
        user_agent="Mozilla/5.0 %s %(x)s",
        agent=UserAgent(browser="Firefox", browser_version="1", os="Linux", os_version="2", device="desktop"),
        ip="81.2.69.0",
        place=Place(country="GB", region="ENG", city="Boxford"),
        campaign=Campaign(source="a", medium="b", campaign="c", term="d", content="e"),
        is_bot=True,
        properties={"tags": ["x"]},
    )
    assert await storage.store(event) == [STORED]


# duplicates


async def test_an_id_is_stored_once(storage: Storage) -> None:
    assert await storage.store(an_event(storage.project, "one")) == [STORED]
    assert await storage.store(an_event(storage.project, "one", name="Other")) == [DUPLICATE]
    assert await storage.counted() == 1


async def test_of_the_same_id_in_one_request_the_first_is_stored(storage: Storage) -> None:
    sent = [an_event(storage.project, event_id) for event_id in ("b", "a", "b", "c", "a", "b")]
    assert await storage.store(*sent) == [STORED, STORED, DUPLICATE, STORED, DUPLICATE, DUPLICATE]
    assert await storage.counted() == 3


async def test_ids_of_the_two_kinds_of_key_are_apart(storage: Storage) -> None:
    kinds = [KeyKind.BROWSER, KeyKind.SERVER, KeyKind.BROWSER, KeyKind.SERVER]
    sent = [an_event(storage.project, "one", key_kind=kind) for kind in kinds]
    assert await storage.store(*sent) == [STORED, STORED, DUPLICATE, DUPLICATE]


async def test_ids_of_projects_are_apart(storage: Storage) -> None:
    other = await storage.add_project("blog")
    assert await storage.store(an_event(storage.project, "one")) == [STORED]
    assert await storage.store(an_event(other, "one")) == [STORED]
    assert await storage.store(an_event(other, "one")) == [DUPLICATE]
    assert [(usage.project, usage.events) for usage in await storage.meter.usage()] == [("blog", 1), ("shop", 1)]


async def test_ids_count_their_case_and_every_character(storage: Storage) -> None:
    ids = ["a", "A", "a ", "\xe4", "a\u0308", "\U0001f600", "x" * 64, "x" * 63]
    assert await storage.store(*(an_event(storage.project, event_id) for event_id in ids)) == [STORED] * len(ids)


async def test_a_duplicate_is_one_whatever_the_times_say(storage: Storage) -> None:
    """The next day, and the next month."""
    assert await storage.store(an_event(storage.project, "one")) == [STORED]
    for later in (timedelta(days=1), timedelta(days=31)):
        again = an_event(storage.project, "one", received_at=NOON + later, occurred_at=NOON - later)
        assert await storage.store(again) == [DUPLICATE]
    assert await storage.counted() == 1


async def test_a_duplicate_is_never_refused_for_quota(storage: Storage) -> None:
    quotas = (project_quota(storage.project, 1),)
    assert await storage.store(an_event(storage.project, "one"), quotas=quotas) == [STORED]
    sent = [an_event(storage.project, event_id) for event_id in ("two", "one", "two")]
    assert await storage.store(*sent, quotas=quotas) == [FULL, DUPLICATE, FULL]


# quotas


async def test_the_first_in_the_requests_order_that_fit_are_stored(storage: Storage) -> None:
    sent = [an_event(storage.project, event_id) for event_id in ("z", "y", "x", "w")]
    assert await storage.store(*sent, quotas=(project_quota(storage.project, 2),)) == [STORED, STORED, FULL, FULL]
    assert await storage.counted() == 2


async def test_what_was_refused_for_quota_is_stored_when_there_is_room(storage: Storage) -> None:
    one = an_event(storage.project, "one")
    assert await storage.store(one, quotas=(project_quota(storage.project, 0),)) == [FULL]
    assert await storage.counted() == 0
    assert await storage.store(one, quotas=(project_quota(storage.project, 1),)) == [STORED]


async def test_of_the_same_id_in_a_request_over_quota_none_is_stored(storage: Storage) -> None:
    sent = [an_event(storage.project, event_id) for event_id in ("one", "two", "one", "two")]
    outcomes = await storage.store(*sent, quotas=(project_quota(storage.project, 1),))
    assert (outcomes[0], outcomes[1], outcomes[2]) == (STORED, FULL, DUPLICATE)
    assert outcomes[3] is not STORED
    assert await storage.counted() == 1


async def test_what_was_stored_before_a_quota_was_set_is_counted(storage: Storage) -> None:
    await storage.store(*events(storage.project, 5))
    for window in Window:
        quota = project_quota(storage.project, 6, window)
        assert await storage.used(quota) == 5
    outcomes = await storage.store(*events(storage.project, 3, "more"), quotas=(project_quota(storage.project, 6),))
    assert outcomes == [STORED, FULL, FULL]


async def test_an_accounts_quota_counts_all_its_projects(storage: Storage) -> None:
    blog, stranger = await storage.add_project("blog"), await storage.add_project("site", "other")
    quotas = (account_quota(storage.project, 3),)
    await storage.limit(*quotas)
    assert await storage.store(*events(stranger, 5)) == [STORED] * 5
    assert await storage.store(*events(storage.project, 2)) == [STORED] * 2
    assert await storage.store(*events(blog, 2)) == [STORED, FULL]
    assert await storage.store(an_event(storage.project, "one more")) == [FULL]
    assert await storage.used(quotas[0]) == 3


async def test_all_limits_must_have_room(storage: Storage) -> None:
    blog = await storage.add_project("blog")
    account = account_quota(storage.project, 4)
    assert await storage.store(*events(storage.project, 3), quotas=(account, project_quota(storage.project, 2))) == [
        STORED,
        STORED,
        FULL,
    ]
    assert await storage.store(*events(blog, 3), quotas=(account, project_quota(blog, 9))) == [STORED, STORED, FULL]
    assert await storage.used(account) == 4
    assert await storage.used(project_quota(blog, 9)) == 2


async def test_what_one_limit_refuses_takes_nothing_of_another(storage: Storage) -> None:
    blog = await storage.add_project("blog")
    account = account_quota(storage.project, 2)
    await storage.store(*events(storage.project, 5), quotas=(account, project_quota(storage.project, 1)))
    assert await storage.store(*events(blog, 2), quotas=(account,)) == [STORED, FULL]


async def test_a_days_quota_starts_again_the_next_day_in_utc(storage: Storage) -> None:
    quotas = (project_quota(storage.project, 1, Window.DAY), project_quota(storage.project, 3))
    midnight = datetime(2026, 11, 3, tzinfo=UTC)
    arrivals = [
        midnight - timedelta(microseconds=1),
        midnight - timedelta(hours=23),
        midnight,
        midnight + timedelta(hours=1),
        midnight + timedelta(days=1),
        midnight + timedelta(days=2),
    ]
    sent = [an_event(storage.project, str(n), received_at=arrival) for n, arrival in enumerate(arrivals)]
    assert await storage.store(*sent, quotas=quotas) == [STORED, FULL, STORED, FULL, STORED, FULL]


async def test_a_months_quota_starts_again_the_next_month_in_utc(storage: Storage) -> None:
    quotas = (project_quota(storage.project, 1),)
    ends = datetime(2026, 12, 1, tzinfo=UTC)
    for arrival, outcome in (
        (ends - timedelta(microseconds=1), STORED),
        (ends - timedelta(days=3), FULL),
        (ends, STORED),
        (ends + timedelta(days=30), FULL),
    ):
        assert await storage.store(an_event(storage.project, str(arrival), received_at=arrival), quotas=quotas) == [
            outcome
        ]


async def test_a_quota_that_was_lowered_refuses_all(storage: Storage) -> None:
    await storage.store(*events(storage.project, 3), quotas=(project_quota(storage.project, 5),))
    lowered = project_quota(storage.project, 2)
    assert await storage.store(an_event(storage.project, "one"), quotas=(lowered,)) == [FULL]
    assert await storage.used(lowered) == 3


async def test_a_quota_may_be_larger_than_any_integer_of_32_bits(storage: Storage) -> None:
    quota = project_quota(storage.project, 10**15)
    assert await storage.store(an_event(storage.project, "one"), quotas=(quota,)) == [STORED]
    assert await storage.used(quota) == 1


# kinds of key


async def test_a_quota_of_a_kind_of_key_holds_that_kind_apart(storage: Storage) -> None:
    quotas = (kind_quota(storage.project, KeyKind.BROWSER, 2),)
    browser, server = (
        [an_event(storage.project, f"event-{n}", key_kind=kind) for n in range(4)]
        for kind in (KeyKind.BROWSER, KeyKind.SERVER)
    )
    assert await storage.store(*browser, quotas=quotas) == [STORED, STORED, FULL, FULL]
    assert await storage.store(*server, quotas=quotas) == [STORED] * 4
    assert await storage.used(quotas[0]) == 2
    assert await storage.counted() == 6


async def test_an_event_is_told_the_limit_that_it_met_and_that_ends_last(storage: Storage) -> None:
    day, month = project_quota(storage.project, 1, Window.DAY), account_quota(storage.project, 2)
    browser = kind_quota(storage.project, KeyKind.BROWSER, 1)
    other = kind_quota(storage.project, KeyKind.SERVER, 0)

    async def met(event_id: str, *quotas: Quota) -> Quota | None:
        await storage.limit(*quotas)
        (outcome,) = (await storage.stored(an_event(storage.project, event_id))).outcomes
        return replace(outcome.quota, id=quotas[0].id) if isinstance(outcome, OverQuota) else None

    assert await met("one", month, day, browser, other) is None
    assert await met("two", month, day, other) == day
    assert await met("three", month, browser, other) == browser
    assert await met("four", month, day, browser) == browser
    assert await met("five", month, other) is None
    assert await met("six", month, day) == month


# periods


async def test_a_period_is_the_arrivals_month_in_utc_whatever_the_event_says(storage: Storage) -> None:
    ends = datetime(2026, 12, 1, tzinfo=UTC)
    arrivals = [ends - timedelta(microseconds=1), ends, ends - timedelta(days=31)]
    sent = [
        an_event(storage.project, str(n), received_at=arrival, occurred_at=NOON - timedelta(days=400))
        for n, arrival in enumerate(arrivals)
    ]
    assert await storage.store(*sent) == [STORED] * 3
    usage = await storage.meter.usage()
    assert [(one.period, one.events) for one in usage] == [
        (date(2026, 10, 1), 1),
        (date(2026, 11, 1), 1),
        (date(2026, 12, 1), 1),
    ]
    assert [one.events for one in await storage.meter.usage(period=date(2026, 12, 1))] == [1]
    assert await storage.meter.usage(period=date(2027, 1, 1)) == []


async def test_usage_is_of_all_or_of_one(storage: Storage) -> None:
    blog, site = await storage.add_project("blog"), await storage.add_project("site", "other")
    for project, count in ((storage.project, 1), (blog, 2), (site, 3)):
        await storage.store(*events(project, count))
    everything = [(one.account, one.project, one.events) for one in await storage.meter.usage()]
    assert everything == [("acme", "blog", 2), ("acme", "shop", 1), ("other", "site", 3)]
    assert [one.events for one in await storage.meter.usage(account=site.account_id)] == [3]
    assert [one.events for one in await storage.meter.usage(project=blog.id)] == [2]
    assert await storage.meter.usage(account=site.account_id, project=blog.id) == []


async def test_a_period_that_is_over_can_be_closed(storage: Storage) -> None:
    await storage.store(*events(storage.project, 2))
    storage.clock.jump(datetime(2026, 12, 1, 2, tzinfo=UTC))
    for _ in range(2):
        await storage.meter.close(date(2026, 11, 1))
        (usage,) = await storage.meter.usage()
        assert (usage.events, usage.closed) == (2, True)


async def test_a_closed_period_never_changes(storage: Storage) -> None:
    """An arrival in it can only come of a clock that was set back."""
    await storage.store(an_event(storage.project, "one"))
    storage.clock.jump(datetime(2026, 12, 1, 2, tzinfo=UTC))
    await storage.meter.close(date(2026, 11, 1))
    with pytest.raises(Unavailable):
        await storage.store(an_event(storage.project, "two"))
    assert await storage.counted() == 1
    assert await storage.store(an_event(storage.project, "two", received_at=storage.clock.now())) == [STORED]


@pytest.mark.parametrize("period", [date(2026, 11, 1), date(2026, 12, 1), date(2030, 1, 1)])
async def test_a_period_that_still_runs_can_not_be_closed(storage: Storage, period: date) -> None:
    with pytest.raises(Invalid):
        await storage.meter.close(period)


# many


async def test_a_request_of_a_thousand_is_stored(storage: Storage) -> None:
    data = {f"key{n}": "x" * 20 for n in range(20)}
    sent = events(storage.project, 1000, data=data)
    assert await storage.store(*sent) == [STORED] * 1000
    assert await storage.store(*sent) == [DUPLICATE] * 1000
    assert await storage.counted() == 1000


async def test_a_thousand_with_limits_duplicates_and_an_old_one_in_order(storage: Storage) -> None:
    await storage.store(an_event(storage.project, "event-3"))
    sent = [an_event(storage.project, f"event-{n % 900}") for n in range(1000)]
    outcomes = await storage.store(*sent, quotas=(project_quota(storage.project, 501),))
    assert outcomes[:4] == [STORED, STORED, STORED, DUPLICATE]
    assert outcomes[4:501] == [STORED] * 497
    assert outcomes[501:900] == [FULL] * 399
    assert STORED not in outcomes[900:]
    assert await storage.counted() == 501


async def test_many_requests_at_once_are_each_answered_for_their_own(storage: Storage) -> None:
    projects = [storage.project, await storage.add_project("blog"), await storage.add_project("site", "other")]
    batches = [events(projects[n % 3], n % 5 + 1, f"request-{n}") for n in range(60)]
    answers = await asyncio.gather(*(storage.store(*batch) for batch in batches))
    assert [len(answer) for answer in answers] == [len(batch) for batch in batches]
    assert {outcome for answer in answers for outcome in answer} == {STORED}
    assert await storage.counted() == sum(map(len, batches))


async def test_integers_of_any_size_are_taken(storage: Storage) -> None:
    numbers = [2**53 + 1, -(2**63), 2**64, 10**400, -(10**4000)]
    sent = [an_event(storage.project, str(n), data={"n": number, "s": "é"}) for n, number in enumerate(numbers)]
    assert await storage.store(*sent) == [STORED] * len(numbers)
    assert json.dumps(sent[0].data) == '{"n": 9007199254740993, "s": "\\u00e9"}'

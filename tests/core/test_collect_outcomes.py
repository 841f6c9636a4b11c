"""Every outcome and every reason that the core decides: one test each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from catchment.core.collecting.submission import Unreadable
from catchment.core.errors import CommitUnknown, Unavailable
from catchment.core.event import Enrichment, Event
from catchment.core.keys import make_key
from catchment.core.metering.patterns import NamePattern
from catchment.core.metering.quota import QuotaRule
from catchment.core.outcomes import EventWarning, Filtered, Outcome
from catchment.core.project import Bots, DoNotTrack, KeyKind, Privacy, Window
from catchment.core.refusals import OriginPlace, Reason, Refusal

from ..support.house import FullBuckets, House, a_payload
from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test


async def test_a_good_event_is_stored(house: House) -> None:
    receipt = await house.receipt(a_payload(eventId="one", sessionId="visit"))
    assert (receipt.outcome, receipt.reason) == (Outcome.STORED, None)
    assert (receipt.event_id, receipt.session_id) == ("one", "visit")
    assert receipt.warnings == []
    assert [event.event_id for event in house.store.events] == ["one"]


async def test_ids_that_are_missing_are_made(house: House) -> None:
    receipt = await house.receipt()
    (event,) = house.store.events
    assert receipt.event_id == event.event_id
    assert receipt.session_id == event.session_id
    assert event.event_id
    assert event.session_id != event.event_id


async def test_a_second_event_with_the_same_id_is_a_duplicate(house: House) -> None:
    await house.receipt(a_payload(eventId="one"))
    receipt = await house.receipt(a_payload(eventId="one"))
    assert (receipt.outcome, receipt.reason, receipt.event_id) == (Outcome.DUPLICATE, None, "one")
    assert len(house.store.events) == 1


async def test_an_id_counts_its_case(house: House) -> None:
    await house.receipt(a_payload(eventId="one"))
    assert (await house.receipt(a_payload(eventId="ONE"))).outcome is Outcome.STORED


async def test_a_browser_key_can_not_take_a_servers_ids(house: House) -> None:
    await house.receipt(a_payload(eventId="one"))
    receipt = await house.receipt(a_payload(eventId="one"), key=house.server_key)
    assert receipt.outcome is Outcome.STORED


async def test_a_dry_run_stores_and_counts_nothing(house: House) -> None:
    receipt = await house.receipt(dry_run=True)
    assert receipt.outcome is Outcome.STORED
    assert receipt.event is not None
    assert house.store.events == []
    assert house.store.usage == {}


async def test_a_dry_run_is_refused_like_a_real_one(house: House) -> None:
    receipt = await house.receipt(a_payload(event_name=None), dry_run=True)
    assert (receipt.outcome, receipt.reason) == (Outcome.REFUSED, Reason.INVALID_EVENT)


# filtered


async def test_a_robot_is_filtered_where_the_project_wants_it(house: House) -> None:
    await house.change(bots=Bots.FILTER)
    house.plugins.enrichments = [Enrichment(is_bot=True)]
    receipt = await house.receipt()
    assert (receipt.outcome, receipt.reason) == (Outcome.FILTERED, Reason.BOT)
    assert house.store.events == []


async def test_a_robot_is_flagged_where_nothing_else_is_said(house: House) -> None:
    house.plugins.enrichments = [Enrichment(is_bot=True)]
    assert (await house.receipt()).outcome is Outcome.STORED
    assert house.store.events[0].is_bot


async def test_a_visitor_who_asks_not_to_be_tracked_is_filtered_where_the_project_honours_it(house: House) -> None:
    await house.change(do_not_track=DoNotTrack.FILTER)
    receipt = await house.receipt(do_not_track=True)
    assert (receipt.outcome, receipt.reason) == (Outcome.FILTERED, Reason.DO_NOT_TRACK)
    assert (await house.receipt(do_not_track=False)).outcome is Outcome.STORED


async def test_asking_not_to_be_tracked_is_ignored_where_nothing_else_is_said(house: House) -> None:
    assert (await house.receipt(do_not_track=True)).outcome is Outcome.STORED


async def test_a_servers_headers_do_not_speak_for_its_visitors(house: House) -> None:
    await house.change(do_not_track=DoNotTrack.FILTER)
    assert (await house.receipt(do_not_track=True, key=house.server_key)).outcome is Outcome.STORED


async def test_a_plugin_filters(house: House) -> None:
    house.plugins.verdict = Filtered("plugin:office:intranet")
    receipt = await house.receipt()
    assert (receipt.outcome, receipt.reason) == (Outcome.FILTERED, "plugin:office:intranet")
    assert house.store.events == []


# refused


async def test_an_event_with_a_bad_field_is_refused_by_field(house: House) -> None:
    receipt = await house.receipt(a_payload(event_name=" ", eventId="one"))
    assert (receipt.outcome, receipt.reason) == (Outcome.REFUSED, Reason.INVALID_EVENT)
    assert receipt.refusal is not None
    assert list(receipt.refusal.errors) == ["event_name"]
    assert receipt.event_id == "one"
    assert receipt.session_id is None


async def test_a_refusal_names_its_event_as_far_as_it_was_sent(house: House) -> None:
    receipt = await house.receipt(a_payload(event_name="A" * 500, eventId="one"))
    assert receipt.name == "A" * 120
    for payload in (a_payload(event_name=7), "no event"):
        assert (await house.receipt(payload)).name == ""
    answer = await house.post(*[a_payload(event_name=f"E{n}") for n in range(5)], key=None)
    assert answer.names == ("E0", "E1", "E2")


async def test_a_line_that_can_not_be_read_is_refused_at_its_index(house: House) -> None:
    bad = Unreadable(Refusal(reason=Reason.INVALID_JSON, detail="line 2: not JSON"))
    answer = await house.post(a_payload(), bad, a_payload())
    assert [receipt.outcome for receipt in answer.receipts] == [Outcome.STORED, Outcome.REFUSED, Outcome.STORED]
    assert answer.receipts[1].reason == Reason.INVALID_JSON


@pytest.mark.parametrize("key", [None, ""])
async def test_a_request_without_a_key_is_refused(house: House, key: str | None) -> None:
    assert (await house.refusal(key=key)).reason is Reason.MISSING_KEY


async def test_a_key_that_nobody_has_is_refused(house: House) -> None:
    stranger = make_key(KeyKind.BROWSER, bytes(16))
    assert (await house.refusal(key=stranger)).reason is Reason.UNKNOWN_KEY


@pytest.mark.parametrize("key", ["x", "pk_", "pk_mistyped", "sk_" + "1" * 100, "pk_\x00", "pk_\ud800", "pk_ü" * 9])
async def test_a_text_that_can_not_be_a_key_is_refused_without_a_look_up(house: House, key: str) -> None:
    house.store.failing = AssertionError("looked up")  # type: ignore[assignment]
    assert (await house.refusal(key=key)).reason is Reason.UNKNOWN_KEY


async def test_a_revoked_key_is_refused(house: House) -> None:
    await house.administer.revoke_key(house.browser_key)
    assert (await house.refusal()).reason is Reason.REVOKED_KEY


async def test_a_revoked_key_of_a_project_that_is_off_is_still_a_revoked_key(house: House) -> None:
    await house.administer.revoke_key(house.browser_key)
    await house.change(enabled=False)
    assert (await house.refusal()).reason is Reason.REVOKED_KEY


async def test_a_project_that_is_switched_off_is_refused(house: House) -> None:
    await house.change(enabled=False)
    assert (await house.refusal()).reason is Reason.PROJECT_DISABLED


async def test_an_event_over_the_quota_is_refused(house: House) -> None:
    await house.quotas.set(QuotaRule(window=Window.MONTH, hard=1), project="shop")
    assert (await house.receipt()).outcome is Outcome.STORED
    receipt = await house.receipt()
    assert (receipt.outcome, receipt.reason) == (Outcome.REFUSED, Reason.QUOTA_EXCEEDED)
    assert receipt.refusal is not None
    assert receipt.refusal.reason is Reason.QUOTA_EXCEEDED
    assert len(house.store.events) == 1


DAYS_OF_NOVEMBER_LEFT = 28 * 86400 + 43200


@pytest.mark.parametrize(
    ("owner", "rule", "key", "words", "retry_after"),
    [
        (
            {"project": "shop"},
            QuotaRule(window=Window.DAY, hard=1),
            KeyKind.BROWSER,
            "The quota of this project is used up: at most 1 events a day. It begins anew at 2026-11-03T00:00:00Z.",
            43200,
        ),
        (
            {"account": "acme"},
            QuotaRule(window=Window.MONTH, keys=KeyKind.SERVER, events=NamePattern.parse("Sign*"), hard=1),
            KeyKind.SERVER,
            "The quota of the account acme is used up: at most 1 events named Sign* a month with server keys. "
            "It begins anew at 2026-12-01T00:00:00Z.",
            DAYS_OF_NOVEMBER_LEFT,
        ),
    ],
)
async def test_an_event_over_the_quota_is_told_which_and_until_when(
    house: House, owner: dict[str, Any], rule: QuotaRule, key: KeyKind, words: str, retry_after: int
) -> None:
    await house.quotas.set(rule, **owner)
    sent = {"key": house.server_key} if key is KeyKind.SERVER else {}
    await house.receipt(**sent)
    refusal = (await house.receipt(**sent)).refusal
    assert refusal is not None
    assert (refusal.words, refusal.retry_after) == (words, retry_after)


async def test_a_quota_starts_again_with_its_window(house: House) -> None:
    await house.quotas.set(QuotaRule(window=Window.DAY, hard=1), account="acme")
    await house.receipt()
    house.clock.jump(datetime(2026, 11, 3, 0, 0, tzinfo=UTC))
    assert (await house.receipt()).outcome is Outcome.STORED


async def test_a_page_of_another_website_is_refused(house: House) -> None:
    receipt = await house.receipt(a_payload(url="https://evil.example/"))
    assert (receipt.outcome, receipt.reason) == (Outcome.REFUSED, Reason.ORIGIN_NOT_ALLOWED)


async def test_an_origin_header_of_another_website_refuses_the_request(house: House) -> None:
    refusal = await house.refusal(origin="https://evil.example")
    assert (refusal.reason, refusal.about) == (Reason.ORIGIN_NOT_ALLOWED, OriginPlace.HEADER)


@pytest.mark.parametrize("origin", ["", "example.com", "https://example.com/", "https://example.com\n", "NULL"])
async def test_an_origin_header_that_is_none_refuses_the_request(house: House, origin: str) -> None:
    assert (await house.refusal(origin=origin)).reason is Reason.ORIGIN_NOT_ALLOWED


async def test_the_null_origin_is_refused_unless_the_project_allows_it(house: House) -> None:
    refusal = await house.refusal(origin="null")
    assert (refusal.reason, refusal.about) == (Reason.ORIGIN_NOT_ALLOWED, OriginPlace.NULL_HEADER)
    await house.change(allow_null_origin=True)
    assert (await house.receipt(origin="null")).outcome is Outcome.STORED


async def test_url_and_origin_header_each_match_a_rule_and_not_each_other(house: House) -> None:
    await house.administer.change_project("shop", add_origins=["https://frame.example"])
    receipt = await house.receipt(origin="https://frame.example")
    assert receipt.outcome is Outcome.STORED


async def test_a_server_key_is_not_bound_to_origins(house: House) -> None:
    payload = a_payload(url="https://elsewhere.example/")
    receipt = await house.receipt(payload, key=house.server_key, origin="https://evil.example")
    assert receipt.outcome is Outcome.STORED


async def test_a_plugin_refuses_with_its_own_code_and_words(house: House) -> None:
    house.plugins.verdict = Refusal(reason=Reason.REFUSED_BY_PLUGIN, code="no_value", detail="A value is needed.")
    receipt = await house.receipt()
    assert (receipt.outcome, receipt.reason) == (Outcome.REFUSED, Reason.REFUSED_BY_PLUGIN)
    assert receipt.refusal is not None
    assert (receipt.refusal.code, receipt.refusal.words) == ("no_value", "A value is needed.")
    assert house.store.events == []


async def test_too_many_events_in_too_short_a_time_refuse_the_request(house: House) -> None:
    house.collect.rate_limiter = FullBuckets(seconds=7)
    refusal = await house.refusal()
    assert (refusal.reason, refusal.retry_after) == (Reason.RATE_LIMITED, 7)


async def test_a_request_that_is_refused_for_its_origin_costs_nothing_of_the_rate(house: House) -> None:
    house.collect.rate_limiter = FullBuckets(seconds=7)
    assert (await house.refusal(origin="https://evil.example")).reason is Reason.ORIGIN_NOT_ALLOWED


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unavailable("down", retry_after=2), Reason.UNAVAILABLE),
        (CommitUnknown("lost", retry_after=3), Reason.COMMIT_UNKNOWN),
    ],
)
async def test_a_sink_that_fails_refuses_all_and_names_the_ids(
    house: House, error: Unavailable, reason: Reason
) -> None:
    class FailingSink:
        async def store(self, *_: object, **__: object) -> None:
            raise error

    house.collect.sink = FailingSink()  # type: ignore[assignment]
    answer = await house.post(a_payload(eventId="one"), a_payload(), a_payload(event_name=None, eventId="three"))
    assert answer.receipts == []
    assert answer.refusal is not None
    assert (answer.refusal.reason, answer.refusal.retry_after) == (reason, error.retry_after)
    first, second, third = answer.refusal.event_ids
    assert (first, third) == ("one", "three")
    assert second


async def test_a_look_up_that_fails_refuses_all_and_names_the_ids(house: House) -> None:
    house.store.failing = Unavailable("down")
    answer = await house.post(a_payload(eventId="one"), a_payload(eventId=7), "not an event")
    assert answer.refusal is not None
    assert answer.refusal.reason is Reason.UNAVAILABLE
    assert answer.refusal.event_ids[0] == "one"
    assert len(set(answer.refusal.event_ids)) == 3


async def test_nothing_is_stored_if_the_salt_of_the_day_can_not_be_read(house: House) -> None:
    class FailingSalts:
        async def of_day(self, day: date) -> bytes:
            raise Unavailable("down")

    house.collect.salts = FailingSalts()
    await house.change(privacy=Privacy.HASH)
    assert (await house.refusal()).reason is Reason.UNAVAILABLE
    assert house.store.events == []


async def test_a_batch_that_waits_too_long_for_its_turn_is_told_so(house: House) -> None:
    """It is refused at half of its time, since its check would end too late, while those that came before go on."""
    go_on = asyncio.Event()
    checked = []

    async def ask(event: Event, warnings: list[EventWarning]) -> Sequence[Enrichment]:
        checked.append(event.event_id)
        await go_on.wait()
        return ()

    house.plugins.enrich = ask  # type: ignore[method-assign]
    first = [asyncio.ensure_future(house.post(*[a_payload(eventId=f"{n}-{m}") for m in range(2)])) for n in range(64)]
    await eventually(lambda: len(checked) == 64, "as many as there are places are being checked")
    deadline = house.clock.monotonic() + 0.2
    late = await house.post(a_payload(eventId="late"), a_payload(eventId="later"), deadline=deadline)
    alone = asyncio.ensure_future(house.post(a_payload(eventId="alone")))
    await eventually(lambda: len(checked) == 65, "an event that comes alone needs no place")
    assert late.refusal == Refusal(reason=Reason.UNAVAILABLE, retry_after=1, event_ids=("late", "later"))
    assert checked == [*(f"{n}-0" for n in range(64)), "alone"]
    go_on.set()
    await asyncio.gather(*first, alone)
    assert len(house.store.events) == 129
    assert len((await house.post(a_payload(eventId="late"), a_payload(eventId="later"))).receipts) == 2


@pytest.mark.parametrize("events", [1, 3])
async def test_a_check_that_passes_the_deadline_ends(house: House, events: int) -> None:
    checked = []

    async def take_long(event: Event, warnings: list[EventWarning]) -> Sequence[Enrichment]:
        checked.append(event.event_id)
        house.clock.advance(timedelta(seconds=3))
        return ()

    house.plugins.enrich = take_long  # type: ignore[method-assign]
    answer = await house.post(
        *[a_payload(eventId=str(n)) for n in range(events)],
        deadline=house.clock.monotonic() + (3 if events == 1 else 4),
    )
    assert answer.refusal == Refusal(
        reason=Reason.UNAVAILABLE, retry_after=1, event_ids=tuple(str(n) for n in range(events))
    )
    assert checked == [str(n) for n in range(min(events, 2))]
    assert house.store.events == []


async def test_after_a_failure_the_same_id_is_stored_once(house: House) -> None:
    house.store.failing = Unavailable("down")
    answer = await house.post(a_payload())
    assert answer.refusal is not None
    (event_id,) = answer.refusal.event_ids
    house.store.failing = None
    assert (await house.receipt(a_payload(eventId=event_id))).outcome is Outcome.STORED
    house.clock.advance(timedelta(days=1))
    assert (await house.receipt(a_payload(eventId=event_id))).outcome is Outcome.DUPLICATE

"""What the steps of the path do to an event, and that the events of a request do not touch one another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catchment.core.collecting.admission import REQUEST_STEPS
from catchment.core.collecting.steps import EVENT_STEPS, VISITOR_STEPS
from catchment.core.event import Campaign, Enrichment, Event, Place, UserAgent, row_of
from catchment.core.outcomes import Outcome, WarningCode
from catchment.core.project import Privacy, Visitors
from catchment.core.refusals import Reason

from ..support.house import House, a_payload


@pytest.mark.gen_test
async def test_an_event_is_stored_as_it_was_sent(house: House) -> None:
    house.plugins.agent = UserAgent(browser="Firefox", os="Linux", device="desktop")
    house.plugins.place = Place(country="GB", city="Boxford")
    payload = a_payload(
        event_data={"category": "CTA", "label": "Hero", "value": 1, "custom": [1, {"a": None}]},
        page_title="Pricing",
        referrer="https://Search.Example:8443/find?q=1",
        userAgent="Mozilla/5.0 (X11)",
        sessionId="visit",
        userId="ada",
        eventId="one",
        timestamp="2026-11-02T11:59:00.500Z",
    )
    await house.receipt(payload)
    (event,) = house.store.events
    assert event == Event.with_only(
        project_id=house.project.id,
        key_kind=event.key_kind,
        event_id="one",
        name="SignUp",
        category="CTA",
        label="Hero",
        value=1.0,
        data={"custom": [1, {"a": None}]},
        session_id="visit",
        user_id="ada",
        url="https://example.com/pricing",
        page_title="Pricing",
        page_path="/pricing",
        referrer="https://Search.Example:8443/find?q=1",
        referrer_host="search.example",
        user_agent="Mozilla/5.0 (X11)",
        agent=house.plugins.agent,
        ip="81.2.69.0",
        place=house.plugins.place,
        visitor=event.visitor,
        occurred_at=datetime(2026, 11, 2, 11, 59, 0, 500_000, tzinfo=UTC),
        received_at=house.clock.now(),
    )


@pytest.mark.gen_test
async def test_a_server_speaks_for_its_visitor(house: House) -> None:
    payload = {"event_name": "Paid", "ip": "2001:db8:1:2::3", "timestamp": "2001-01-01T00:00:00Z"}
    await house.receipt(payload, key=house.server_key)
    (event,) = house.store.events
    assert house.plugins.located == ["2001:db8:1:2::3"]
    assert (event.url, event.page_path, event.user_agent) == (None, None, None)
    assert event.ip == "2001:db8:1::"
    assert event.occurred_at == datetime(2001, 1, 1, tzinfo=UTC)


@pytest.mark.gen_test
async def test_of_a_servers_connection_nothing_is_taken(house: House) -> None:
    await house.receipt(
        {"event_name": "Paid"}, key=house.server_key, address="81.2.69.142", headers={"user_agent": "curl/8"}
    )
    (event,) = house.store.events
    assert (event.ip, event.user_agent) == (None, None)
    assert house.plugins.located == []


@pytest.mark.gen_test
async def test_the_full_address_is_shown_to_locators_alone(house: House) -> None:
    await house.receipt(address="81.2.69.142")
    assert house.plugins.located == ["81.2.69.142"]
    assert [event.ip for event in house.plugins.validated] == ["81.2.69.0"]
    assert "81.2.69.142" not in repr(house.store.events)


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("privacy", "kept"),
    [(Privacy.MASK, "81.2.69.0"), (Privacy.DROP, None), (Privacy.FULL, "81.2.69.142")],
)
async def test_what_is_kept_of_an_address_is_the_projects_choice(
    house: House, privacy: Privacy, kept: str | None
) -> None:
    await house.change(privacy=privacy)
    receipt = await house.receipt(dry_run=True)
    assert receipt.event is not None
    assert receipt.event.ip == kept


@pytest.mark.gen_test
async def test_the_events_of_a_visitor_and_a_day_have_the_same_visitor(house: House) -> None:
    await house.receipt(address="81.2.69.142")
    await house.receipt(address="81.2.69.142")
    await house.receipt(address="81.2.69.143")
    await house.receipt(address="81.2.69.142", headers={"user_agent": "Chrome"})
    house.clock.advance(timedelta(days=1))
    await house.receipt(address="81.2.69.142")
    visitors = [event.visitor for event in house.store.events]
    assert visitors[0] == visitors[1]
    assert len(set(visitors) - {None}) == 4
    assert all(event.ip in ("81.2.69.0", None) for event in house.store.events)


@pytest.mark.gen_test
async def test_a_visitor_is_kept_whatever_is_kept_of_the_address(house: House) -> None:
    await house.change(privacy=Privacy.DROP)
    await house.receipt(address="81.2.69.142")
    (event,) = house.store.events
    assert (event.ip, len(event.visitor or b"")) == (None, 16)


@pytest.mark.gen_test
async def test_a_project_that_keeps_no_visitors_and_an_event_without_an_address_have_none(house: House) -> None:
    await house.receipt({"event_name": "Paid"}, key=house.server_key)
    await house.change(visitors=Visitors.NONE)
    await house.receipt(address="81.2.69.142")
    assert [event.visitor for event in house.store.events] == [None, None]


@pytest.mark.gen_test
async def test_a_hashed_address_is_the_same_during_a_day_in_utc(house: House) -> None:
    await house.change(privacy=Privacy.HASH)
    hours = [datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 2, 23, 59, 59, tzinfo=UTC)]
    hours.append(datetime(2026, 11, 3, tzinfo=UTC))
    for hour in hours:
        house.clock.jump(hour)
        await house.receipt()
    first, last, next_day = [event.ip for event in house.store.events]
    assert first == last
    assert len({first, next_day, None}) == 3


@pytest.mark.gen_test
async def test_the_senders_clock_is_corrected(house: House) -> None:
    """Its clock is a day slow: it says that the event happened a minute before it was sent."""
    now = house.clock.now()
    sent_at, timestamp = now - timedelta(days=1), now - timedelta(days=1, minutes=1)
    receipt = await house.receipt(a_payload(timestamp=timestamp.isoformat()), sent_at=sent_at.isoformat())
    assert house.store.events[0].occurred_at == now - timedelta(minutes=1)
    assert receipt.warnings == []


@pytest.mark.gen_test
async def test_a_clock_that_is_fast_is_corrected(house: House) -> None:
    now = house.clock.now()
    ahead = now + timedelta(days=30)
    await house.receipt(a_payload(timestamp=ahead.isoformat()), sent_at=ahead.isoformat())
    assert house.store.events[0].occurred_at == now


@pytest.mark.gen_test
@pytest.mark.parametrize("sent_at", ["yesterday", 1_700_000, "infinity", " ", {}, True])
async def test_a_sent_at_that_is_no_time_corrects_nothing_and_is_said(house: House, sent_at: object) -> None:
    timestamp = (house.clock.now() - timedelta(minutes=1)).isoformat()
    receipt = await house.receipt(a_payload(timestamp=timestamp), sent_at=sent_at)
    assert [(warning.code, warning.field) for warning in receipt.warnings] == [(WarningCode.WRONG_TYPE, "sentAt")]
    assert house.store.events[0].occurred_at.isoformat() == timestamp


@pytest.mark.gen_test
async def test_events_of_a_request_do_not_touch_one_another(house: House) -> None:
    answer = await house.post(
        a_payload(eventId="a"),
        a_payload(event_name=7, eventId="b"),
        "not an event",
        a_payload(eventId="a"),
        a_payload(url="https://evil.example/", eventId="c"),
        a_payload(eventId="d", colour="red"),
    )
    assert [(receipt.outcome, receipt.reason) for receipt in answer.receipts] == [
        (Outcome.STORED, None),
        (Outcome.REFUSED, Reason.INVALID_EVENT),
        (Outcome.REFUSED, Reason.INVALID_EVENT),
        (Outcome.DUPLICATE, None),
        (Outcome.REFUSED, Reason.ORIGIN_NOT_ALLOWED),
        (Outcome.STORED, None),
    ]
    assert [len(receipt.warnings) for receipt in answer.receipts] == [0, 0, 0, 0, 0, 1]
    assert [event.event_id for event in house.store.events] == ["a", "d"]


@pytest.mark.gen_test
async def test_an_event_that_names_the_requests_key_is_stored(house: House) -> None:
    assert (await house.receipt(a_payload(projectKey=house.browser_key))).outcome is Outcome.STORED


@pytest.mark.gen_test
@pytest.mark.parametrize("key", ["pk_other", 7, {}, ""])
async def test_an_event_that_names_another_key_is_refused(house: House, key: object) -> None:
    receipt = await house.receipt(a_payload(projectKey=key))
    assert (receipt.outcome, receipt.reason) == (Outcome.REFUSED, Reason.INVALID_EVENT)
    assert receipt.refusal is not None
    assert list(receipt.refusal.errors) == ["projectKey"]


@pytest.mark.gen_test
async def test_later_enrichments_win(house: House) -> None:
    house.plugins.enrichments = [
        Enrichment(is_bot=True, properties={"a": 1, "b": 1}),
        Enrichment(campaign=Campaign(source="newsletter")),
        Enrichment(is_bot=False, properties={"b": 2}),
    ]
    await house.receipt()
    (event,) = house.store.events
    assert event.campaign == Campaign(source="newsletter")
    assert not event.is_bot
    assert event.properties == {"a": 1, "b": 2}


@pytest.mark.gen_test
async def test_properties_of_plugins_are_within_the_limits_of_event_data(house: House) -> None:
    house.plugins.enrichments = [Enrichment(properties={"long": "x" * 2001, **{str(n): n for n in range(60)}})]
    receipt = await house.receipt(key=house.server_key)
    (event,) = house.store.events
    assert len(event.properties) == 50
    assert event.properties["long"] == "x" * 2000
    assert [warning.code for warning in receipt.warnings] == [WarningCode.DROPPED, WarningCode.CUT]


@pytest.mark.gen_test
async def test_characters_of_properties_that_can_not_be_stored_are_replaced(house: House) -> None:
    house.plugins.enrichments = [Enrichment(properties={"a\x00": ["\ud800"]})]
    receipt = await house.receipt(key=house.server_key)
    assert house.store.events[0].properties == {"a\ufffd": ["\ufffd"]}
    assert {warning.code for warning in receipt.warnings} == {WarningCode.CHARACTERS_REPLACED}


@pytest.mark.gen_test
@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_public_key_is_told_nothing_about_properties_of_plugins(house: House, dry_run: bool) -> None:
    """Everybody has it, and the name of a property alone may tell something about a person."""
    house.plugins.enrichments = [Enrichment(properties={"vip_since": "x" * 2001, "tier\x00": {"a": {"b": {"c": {}}}}})]
    assert (await house.receipt(dry_run=dry_run)).warnings == []
    sent = await house.receipt(a_payload(properties={"mine": 1}), dry_run=dry_run)
    assert [warning.code for warning in sent.warnings] == [WarningCode.UNKNOWN_FIELD]


def test_the_row_of_an_event_has_every_column_once() -> None:
    now = datetime(2026, 11, 2, tzinfo=UTC)
    everything: dict[str, Any] = {"project_id": "p", "event_id": "e", "name": "n", "session_id": "s"}
    row = row_of(Event.with_only(key_kind=None, occurred_at=now, received_at=now, **everything))  # type: ignore[arg-type]
    assert len(row) == 35
    assert (row["occurred_at"], row["is_bot"], row["data"]) == ("2026-11-02T00:00:00+00:00", False, {})


def test_the_steps_are_named_and_in_order() -> None:
    """The address is gone before plugins validate; origins are matched before the rate is counted."""
    assert [step.__name__ for step in REQUEST_STEPS] == [
        "refuse_closed",
        "match_origin_header",
        "check_rate",
    ]
    assert [step.run.__name__ for step in EVENT_STEPS] == [
        "refuse_unreadable",
        "refuse_another_key",
        "check_fields",
        "check_signature",
        "match_url",
        "drop_do_not_track",
        "meet_visitor",
        "validate",
        "enrich",
        "drop_bots",
    ]
    assert [step.__name__ for step in VISITOR_STEPS] == [
        "parse_user_agent",
        "locate",
        "recognize_visitor",
        "anonymize_address",
    ]

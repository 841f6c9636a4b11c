"""Scrubbing, case by case: what is taken out, what stays, and what can be replayed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catchment.core.keys import make_key
from catchment.core.metering.personal_data import DETECTORS, NAME_ENDINGS, NAMES, Kind, is_card
from catchment.core.metering.scrub import SAMPLE_BYTES, Replay, scrub, to_send
from catchment.core.project import KeyKind

PK = make_key(KeyKind.BROWSER, bytes(range(16)))
SK = make_key(KeyKind.SERVER, bytes(range(32)))
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
EVENT: dict[str, Any] = {
    "event_name": "SignUp",
    "eventId": "019a0000-0000-7000-8000-000000000001",
    "sessionId": "0f8fad5bd9cb469fa16570867728950e",
    "timestamp": "2026-11-02T12:00:00.000Z",
    "url": "https://shop.example/join/how-we-reduced-costs-by-30-percent",
    "page_title": "Join us, 24 hours a day",
    "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0",
    "event_data": {"category": "Ladder", "value": 12.5, "steps": [1, 2, 3], "at": "2026-11-28 21:18:03", "ok": True},
}


def data(value: object) -> Any:
    """Return what is left of a value in `event_data`."""
    return scrub({**EVENT, "event_data": {"note": value}}).payload["event_data"]["note"]


def test_an_event_without_personal_data_stays_as_it_is() -> None:
    scrubbed = scrub(EVENT)
    assert scrubbed.payload == EVENT
    assert scrubbed.taken == {}
    assert scrubbed.replay is Replay.WHOLE


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("write to jane.doe+x@mail.example, please", "write to [email], please"),
        ("jane%40mail.example", "[email]"),
        ("jürgen@bücher.example", "[email]"),
        ("from 203.0.113.7!", "from [ip]!"),
        ("999.203.0.113.7", "999.[ip]"),
        ("at 2001:db8::1.", "at [ip]"),
        ("at [2001:0db8:0:0:0:0:0:1]:443", "at [[ip]]:443"),
        ("::ffff:203.0.113.7", "[ip]"),
        ("aa:bb:cc:dd:ee:ff", "[ip]"),
        ("card 4111 1111 1111 1111", "card [card]"),
        ("card 4111-1111-1111-1111", "card [card]"),
        ("call +49 151 1234567", "call [phone]"),
        ("call (555) 123-4567", "call ([phone]"),
        ("Authorization: Bearer abc", "Authorization: [secret]"),
        ("bearer abc", "[token]"),
        ("Basic dXNlcjpwYXNz", "[token]"),
        (JWT, "[token]"),
        (PK, "[token]"),
        (SK, "[token]"),
        (f"x{SK}", "[token]"),
        ("ghp_abcdefgh", "[token]"),
        ("9f86d081884c7d659a2feaa0c55ad015", "[token]"),
        ("0f8fad5b-d9cb-469f-a165-70867728950e", "[token]"),
        ("q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ/+==", "[token]"),
        ("password=hunter2", "password=[secret]"),
        ('{"password": "hunter2"}', '{"password": [secret]'),
        ("https://jane:pw@shop.example/a?x=1#y", "https://[user]@shop.example/a?[query]"),
        ("see https://shop.example/a#top now", "see https://shop.example/a#[fragment] now"),
        ("//jane:pw@shop.example/", "//[user]@shop.example/"),
        ("/search?q=jane", "/search?[query]"),
        ("https://203.0.113.7/", "https://[ip]/"),
        (4111111111111111, "[card]"),
        (4111111111111111.0, "[card]"),
        pytest.param(10**5000, "[number]", id="huge"),
        (float("nan"), "[number]"),
        (b"bytes", "[other]"),
        (("a@b.example",), "[other]"),
    ],
)
def test_personal_data_is_taken_out(text: object, left: str) -> None:
    assert data(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Ladder, 3 m",
        "at 21:18:03",
        "@mention",
        "a :: b",
        "std::vector",
        "Which? This one",
        "basic subscription",
        "https://shop.example/a",
        "http://192.168.1.5:3000/",
        "http://[::1]:8080/",
        "ShoppingCartCheckoutButtonClicked",
        "iPhone-15-Pro-Max-256GB-Blue-Titanium",
        "2026-11-28T21:18:03.123Z",
        "1.5.2",
        "[email]",
        0,
        -1.5,
        1764370000000,
        2**63 - 1,
        True,
        None,
    ],
)
def test_what_is_not_personal_stays(text: object) -> None:
    assert data(text) == text


@pytest.mark.parametrize("name", [*NAMES, *NAME_ENDINGS, "Billing_E-Mail", "user_id", "X-Forwarded-For", "accessToken"])
def test_a_value_with_a_name_of_personal_data_is_taken_out(name: str) -> None:
    found = scrub({**EVENT, name: 7, "event_data": {name: {"deep": "jane"}, "list": [{name: "jane"}]}})
    kept = found.payload["event_data"]
    assert found.payload[name] == kept[name] == kept["list"][0][name]
    assert kept[name] in {kind.placeholder for kind in Kind}


@pytest.mark.parametrize("value", [None, True, ""])
def test_a_value_that_tells_nothing_of_a_person_stays(value: object) -> None:
    assert scrub({**EVENT, "event_data": {"email": value}}).payload["event_data"] == {"email": value}


def test_the_fields_of_persons_are_taken_out_whatever_they_hold() -> None:
    scrubbed = scrub({**EVENT, "userId": 7, "ip": "x", "projectKey": "y"})
    assert [scrubbed.payload[field] for field in ("userId", "ip", "projectKey")] == ["[user]", "[ip]", "[token]"]
    assert scrubbed.taken == {
        "userId": frozenset({Kind.USER}),
        "ip": frozenset({Kind.IP}),
        "projectKey": frozenset({Kind.TOKEN}),
    }


def test_a_name_that_is_personal_data_is_scrubbed_as_well() -> None:
    scrubbed = scrub({**EVENT, "event_data": {"for 203.0.113.7": 1}, "bob@mail.example": 2})
    assert scrubbed.payload["event_data"] == {"for [ip]": 1}
    assert scrubbed.payload["[email]"] == "[email]"


@pytest.mark.parametrize("field", ["url", "referrer", "page_path"])
def test_everything_after_a_path_is_taken_out_with_its_blanks(field: str) -> None:
    sent = {**EVENT, field: "https://shop.example/find?q=jane doe from here#x"}
    assert scrub(sent).payload[field] == "https://shop.example/find?[query]"


def test_the_version_in_a_user_agent_is_no_address() -> None:
    sent = {**EVENT, "userAgent": "Bot/1.2.0.0 (203.0.113.7; +https://bot.example/?who=jane)"}
    assert scrub(sent).payload["userAgent"] == "Bot/1.2.0.0 ([ip]; +https://bot.example/?[query]"


@pytest.mark.parametrize("digits", ["4111111111111111", "378282246310005", "6011111111111117", "5555555555554444"])
def test_a_card_has_the_right_check_digit(digits: str) -> None:
    assert is_card(digits)
    assert not is_card(digits[:-1] + str((int(digits[-1]) + 1) % 10))


def test_every_detector_says_what_it_is_about() -> None:
    assert len({detector.about for detector in DETECTORS}) == len(DETECTORS)


# replays


@pytest.mark.parametrize(
    ("change", "replay"),
    [
        ({"projectKey": PK}, Replay.WHOLE),
        ({"userId": "7"}, Replay.REDUCED),
        ({"url": "https://shop.example/?q=jane"}, Replay.REDUCED),
        ({"event_data": {"mail": "a@b.example"}}, Replay.REDUCED),
        ({"userAgent": "x " * 600}, Replay.REDUCED),
        ({"event_name": "mail a@b.example"}, Replay.NO),
        ({"event_name": None}, Replay.NO),
        ({"eventId": "a@b.example"}, Replay.NO),
        ({"eventId": "x" * 65}, Replay.NO),
        ({"timestamp": "a@b.example"}, Replay.NO),
        ({"url": "https://203.0.113.7/"}, Replay.NO),
        ({"url": "https://jane@shop.example/"}, Replay.NO),
        ({"url": f"https://shop.example/reset/{SK}"}, Replay.NO),
        ({"event_data": {"text": "long " * 500}}, Replay.NO),
        ({"event_data": {str(number): number for number in range(51)}}, Replay.NO),
        ({"event_data": {"big": ["text " * 100] * 20}}, Replay.NO),
        ({str(number): number for number in range(100)}, Replay.NO),
    ],
)
def test_a_sample_says_if_it_can_be_replayed(change: dict[str, Any], replay: Replay) -> None:
    assert scrub({**EVENT, **change}).replay is replay


@pytest.mark.parametrize("payload", [None, 7, "text", [EVENT], [], {}, {1: 2}, object()])
def test_what_is_no_event_can_t_be_replayed(payload: object) -> None:
    assert scrub(payload).replay is Replay.NO


def test_a_replay_sends_no_placeholders() -> None:
    sample = scrub(
        {
            **EVENT,
            "userId": "7",
            "ip": "203.0.113.7",
            "url": "https://shop.example/a?b=c",
            "event_data": {"note": "of jane@mail.example", "mail": "jane@mail.example", "in": {"phone": "1", "n": 1}},
        }
    )
    assert to_send(sample.payload) == {
        **EVENT,
        "url": "https://shop.example/a",
        "event_data": {"note": "of [email]", "in": {"n": 1}},
    }


# bounds


def deep(levels: int) -> object:
    value: object = "end"
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize(
    "payload",
    [
        deep(500),
        [deep(100)] * 1000,
        {str(number): "x" * 1000 for number in range(1000)},
        {"x" * 100_000: "y" * 100_000},
        "x" * 1_000_000,
        ["\x01" * 500] * 100,
        {"event_data": {"\U0001f600" * 90 + str(number): "\U0001f600" * 500 for number in range(50)}},
    ],
)
def test_a_sample_of_a_hostile_payload_is_small(payload: object) -> None:
    sample = scrub(payload)
    assert len(json.dumps(sample.payload, ensure_ascii=False, separators=(",", ":")).encode()) <= SAMPLE_BYTES
    assert Kind.CUT in set().union(*sample.taken.values())


def test_needed_fields_have_space_whatever_comes_before_them() -> None:
    junk = {f"junk{number}": "words and words " * 100 for number in range(45)}
    sample = scrub({**junk, **EVENT}).payload
    assert {field: sample[field] for field in ("event_name", "eventId", "timestamp", "url")} == {
        field: EVENT[field] for field in ("event_name", "eventId", "timestamp", "url")
    }


def test_half_of_a_secret_does_not_stay_at_the_cut() -> None:
    for before in range(380, 520):
        left = data("." * before + " 4111 1111 1111 1111 " + "." * 200)
        assert left.endswith("…")
        assert "1111" not in left
        left = data("." * before + " jane@mail.example " + "." * 200)
        assert "jane" not in left

"""Scrubbing, with anything: nothing secret is left, the sample is small JSON, and a second time changes nothing."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from catchment.core.keys import make_key
from catchment.core.metering.personal_data import is_card
from catchment.core.metering.scrub import SAMPLE_BYTES, Replay, scrub, to_send
from catchment.core.metering.scrub_text import scrub_text
from catchment.core.project import KeyKind

LOWER = "abcdefghijklmnopqrstuvwxyz"


def card(digits: str) -> str:
    """Return a card number that begins with these digits."""
    return next(digits + check for check in "0123456789" if is_card(digits + check))


def grouped(digits: str, separator: str) -> str:
    return separator.join(digits[start : start + 4] for start in range(0, len(digits), 4))


words = st.text(LOWER, min_size=2, max_size=12)
emails = st.builds("{}.{}@{}.example".format, words, words, words)
ipv4 = st.ip_addresses(v=4).map(str)
ipv6 = st.ip_addresses(v=6).map(str).filter(lambda text: sum(map(str.isalnum, text)) > 4)
cards = st.builds(
    lambda first, rest, separator: grouped(card(first + rest), separator),
    st.sampled_from("3456"),
    st.text("0123456789", min_size=14, max_size=14),
    st.sampled_from(["", " ", "-"]),
)
phones = st.builds(
    lambda digits, separator: "+" + separator.join(digits),
    st.lists(st.text("123456789", min_size=2, max_size=4), min_size=4, max_size=5),
    st.sampled_from(["", " ", "-", "."]),
)
browser_keys = st.binary(min_size=16, max_size=16).map(lambda some: make_key(KeyKind.BROWSER, some))
server_keys = st.binary(min_size=32, max_size=32).map(lambda some: make_key(KeyKind.SERVER, some))
jwts = st.binary(min_size=16, max_size=64).map(
    lambda some: "eyJhbGciOiJIUzI1NiJ9." + base64.urlsafe_b64encode(some).decode().rstrip("=")
)
unlike_words = st.text(LOWER + "0123456789", min_size=6, max_size=40).map("0{}".format)
bearers = unlike_words.map("Bearer {}".format)
hexadecimal = st.binary(min_size=16, max_size=32).map(bytes.hex)
uuids = st.uuids(version=4).map(str)
queries = st.builds("https://shop.example/a?{}={}".format, words, unlike_words)
logins = st.builds("https://{}:{}@shop.example/".format, unlike_words, words)

SECRETS = st.one_of(
    emails, ipv4, ipv6, cards, phones, browser_keys, server_keys, jwts, bearers, hexadecimal, uuids, queries, logins
)
PLAIN = st.text("abc XYZ.,;!?()<>\"'äß\n", max_size=30)
IDENTIFIERS = ("eventId", "sessionId")

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=40),
    st.from_regex(r"[0-9@.:/?#\[\]a-f-]{0,40}"),
)
anything = st.recursive(
    scalars | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=60) | st.dictionaries(st.text(max_size=12) | st.integers(), inner, max_size=60)
    ),
    max_leaves=80,
)
FIELDS = (
    "event_name eventId sessionId timestamp url referrer page_path page_title userAgent userId ip projectKey event_data"
)
names = st.sampled_from([*FIELDS.split(), "password", "note", "…"])
events = st.dictionaries(names | st.text(max_size=12), anything, max_size=20)


def text_of(sample: Any) -> str:
    return json.dumps(sample, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def secret_parts(secret: str) -> list[str]:
    """Return what must not be left of a secret: of a url and of a bearer token, their secret parts."""
    if secret.startswith("https://"):
        inner = secret.removeprefix("https://")
        return [inner.partition("@")[0]] if "@" in inner else [secret.partition("?")[2]]
    return [secret.removeprefix("Bearer ")]


@st.composite
def hidden(draw: st.DrawFn) -> tuple[Any, str]:
    """Return an event with a secret somewhere in it, and the secret."""
    secret = draw(SECRETS)
    text = draw(PLAIN) + " " + secret + " " + draw(PLAIN)
    value: Any = draw(st.sampled_from([text, secret]))
    for _ in range(draw(st.integers(0, 4))):
        around = draw(st.sampled_from(["list", "value", "name"]))
        if around == "list":
            value = [draw(scalars), value]
        elif around == "value":
            value = {draw(words): value}
        else:
            value = {value if isinstance(value, str) else "inner": value}
    field = draw(names.filter(lambda name: name not in IDENTIFIERS and name != "…") | st.just(secret))
    return {"event_name": "X", "url": "https://shop.example/", field: value}, secret


@given(hidden())
def test_no_secret_is_left_in_a_sample(made: tuple[Any, str]) -> None:
    payload, secret = made
    sample = text_of(scrub(payload).payload)
    for part in secret_parts(secret):
        assert part not in sample


@example("eventId", "+11.11.11.1111")
@given(st.sampled_from(IDENTIFIERS), st.one_of(emails, ipv4, ipv6, cards, phones, jwts, bearers, queries, logins))
def test_an_id_keeps_no_personal_data(field: str, secret: str) -> None:
    scrubbed = scrub({"event_name": "X", field: secret})
    for part in secret_parts(secret):
        assert part not in text_of(scrubbed.payload)


@given(st.uuids() | st.text(LOWER + LOWER.upper(), min_size=1, max_size=64))
def test_an_event_keeps_its_id(event_id: UUID | str) -> None:
    scrubbed = scrub({"event_name": "X", "eventId": str(event_id)})
    assert scrubbed.payload["eventId"] == str(event_id)
    assert scrubbed.replay is Replay.WHOLE


@given(events | anything)
@example({"eventId": "x" * 1000, "url": "?" * 5000})
@example({"event_data": {"…": "[cut]", "a": ["[cut]", 1]}})
@example("password [email]: x")
def test_a_sample_is_small_json_and_a_second_time_changes_nothing(payload: Any) -> None:
    sample = scrub(payload).payload
    text = text_of(sample)
    assert len(text.encode()) <= SAMPLE_BYTES
    assert json.loads(text) == sample
    assert scrub(sample).payload == sample


@given(events)
def test_the_payload_itself_is_not_changed(payload: dict[Any, Any]) -> None:
    before = repr(payload)
    scrub(payload)
    assert repr(payload) == before


@given(events)
def test_a_whole_sample_is_the_payload_itself(payload: dict[Any, Any]) -> None:
    scrubbed = scrub({"event_name": "X", **payload})
    if scrubbed.replay is Replay.WHOLE:
        sent = to_send(scrubbed.payload)
        kept = {name: value for name, value in payload.items() if name != "projectKey"}
        assert {name: value for name, value in sent.items() if name in kept} == kept


@given(st.text(max_size=900), st.integers(16, 600))
def test_a_text_is_never_longer_than_it_may_be(text: str, longest: int) -> None:
    scrubbed = scrub_text(text, set(), longest=longest)
    assert len(scrubbed) <= longest
    assert scrub_text(scrubbed, set(), longest=longest) == scrubbed

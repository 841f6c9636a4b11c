"""Project keys and their checksum."""

from __future__ import annotations

import string
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment.core.keys import fingerprint, kind_of, make_key, random_bytes_needed, shortened
from catchment.core.project import KeyKind

made_keys = st.sampled_from(KeyKind).flatmap(
    lambda kind: st.tuples(
        st.just(kind), st.binary(min_size=random_bytes_needed(kind), max_size=random_bytes_needed(kind))
    )
).map(lambda made: (made[0], make_key(*made)))  # fmt: skip


@given(made_keys)
def test_a_key_tells_its_kind(made: tuple[KeyKind, str]) -> None:
    kind, key = made
    assert kind_of(key) is kind
    assert key.startswith({KeyKind.BROWSER: "pk_", KeyKind.SERVER: "sk_"}[kind])
    assert set(key[3:]) <= set(string.ascii_letters + string.digits)
    assert len(key) <= 80


@given(made_keys, st.data())
def test_any_letter_that_is_mistyped_is_noticed(made: tuple[KeyKind, str], data: st.DataObject) -> None:
    """A checksum of 32 bits notices every change within 32 bits, and so of any one letter."""
    _, key = made
    at = data.draw(st.integers(0, len(key) - 1))
    letter = data.draw(st.characters().filter(lambda letter: letter != key[at]))
    assert kind_of(key[:at] + letter + key[at + 1 :]) is None


@given(made_keys, st.data())
def test_neighbours_that_are_swapped_are_noticed(made: tuple[KeyKind, str], data: st.DataObject) -> None:
    _, key = made
    at = data.draw(st.integers(3, len(key) - 2).filter(lambda at: key[at] != key[at + 1]))
    assert kind_of(key[:at] + key[at + 1] + key[at] + key[at + 2 :]) is None


@given(made_keys, st.integers(1, 30))
def test_a_key_that_was_cut_off_is_noticed(made: tuple[KeyKind, str], missing: int) -> None:
    """One in four thousand million is not: the letters before the end would have to be their own checksum."""
    _, key = made
    assert kind_of(key[: max(3, len(key) - missing)]) is None


@given(st.text(st.characters(exclude_categories=()), max_size=100) | made_keys.map(lambda made: made[1] + " "))
def test_other_texts_are_no_keys(text: str) -> None:
    assert kind_of(text) is None


def test_different_randomness_makes_different_keys() -> None:
    keys = {make_key(KeyKind.BROWSER, n.to_bytes(16)) for n in (0, 1, 255, 256, 2**127, 2**128 - 1)}
    assert len(keys) == 6
    assert len({len(key) for key in keys}) == 1


@pytest.mark.parametrize(("kind", "count"), [(KeyKind.BROWSER, 32), (KeyKind.SERVER, 16), (KeyKind.SERVER, 0)])
def test_a_key_takes_all_the_randomness_of_its_kind(kind: KeyKind, count: int) -> None:
    with pytest.raises(ValueError, match="random bytes"):
        make_key(kind, bytes(count))


def test_a_key_is_looked_up_by_its_sha_256() -> None:
    assert fingerprint("pk_x") == sha256(b"pk_x").digest()


def test_of_a_server_key_little_is_shown() -> None:
    key = make_key(KeyKind.SERVER, bytes(range(32)))
    assert shortened(key) == key[:9] + "…"

"""Bodies that nobody thought of: they become an answer, never an exception, and what is stored can be stored.

`python -m tests.bad_input.fuzz` goes on where this ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import fuzz
from .oracle import Oracle, check_decoders, good_event
from .rows import check_common
from .serving import AuditedCollector
from .strategies import bodies, corpus, mutations
from .wire import request

_ANY = bodies()
_SLOW_START = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with Oracle() as oracle:
        yield oracle


@pytest.mark.parametrize("path", corpus(), ids=lambda path: path.name)
def test_what_was_once_of_interest_is_answered(oracle: Oracle, path: Path) -> None:
    oracle.judge(path.read_bytes())


@given(body=_ANY)
@settings(max_examples=150, suppress_health_check=_SLOW_START)
def test_whenever_the_fast_decoder_succeeds_the_strict_one_gives_the_same(body: bytes) -> None:
    check_decoders(body)


@given(body=_ANY)
@settings(max_examples=200, suppress_health_check=_SLOW_START)
def test_any_bytes_become_an_answer(oracle: Oracle, body: bytes) -> None:
    oracle.judge(body)


@given(body=_ANY, batch=st.booleans(), server=st.booleans())
@settings(max_examples=200, suppress_health_check=_SLOW_START)
def test_what_passes_the_checks_is_taken_by_the_database(
    site: AuditedCollector, body: bytes, batch: bool, server: bool
) -> None:
    """The database may object to nothing that was let through: nothing is in quarantine after it."""
    body = body.replace(b"https://example.com", b"https://good.com")
    media = ("Content-Type", "application/x-ndjson" if batch and b"\n" in body else "application/json")
    with site.wire() as wire:
        key = site.server_key if server else site.browser_key
        answer = check_common(site.ask(wire, body, media, path="/v1/batch" if batch else "/v1/events", key=key))
        assert answer.status < 500
    site.check_log()


def test_after_all_of_it_the_books_are_right(site: AuditedCollector) -> None:
    site.check_books()


_REQUEST = request(
    "/v1/events",
    json.dumps(good_event()).encode(),
    [
        ("Content-Type", "application/json"),
        ("Origin", "https://good.com"),
        ("User-Agent", "x"),
        ("Expect", "100-continue"),
    ],
)


@given(sent=st.one_of(mutations([_REQUEST]), st.binary(max_size=300)))
@settings(max_examples=150, suppress_health_check=_SLOW_START)
def test_any_bytes_on_a_connection_are_answered_or_it_is_closed(site: AuditedCollector, sent: bytes) -> None:
    """Without a key, so that nothing can be stored whose answer the end cuts off."""
    with site.wire() as wire:
        wire.send(sent)
        wire.end()
        answer = wire.answer()
        while answer is not None:
            assert answer.status in (100, 200, 204, 400, 401, 403, 404, 405, 413, 415)
            answer = wire.answer()
    with site.wire() as wire:
        site.check_after(wire)


def test_a_fuzz_run_puts_what_it_finds_into_the_corpus_as_small_as_it_became(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = []

    def judge(oracle: Oracle, body: bytes) -> None:
        if b"[" in body:
            failed.append(body)
            raise AssertionError("a bracket")

    monkeypatch.setattr(Oracle, "judge", judge)
    assert fuzz.by_hypothesis(60.0, tmp_path) == 1
    (found,) = tmp_path.iterdir()
    assert found.read_bytes() == failed[-1]
    assert len(failed[-1]) <= len(failed[0])
    assert str(found) in capsys.readouterr().out
